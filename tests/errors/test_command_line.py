"""Bad input on the command line: one line, its exit code, nothing touched; no engine is there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labctl.cli import main

NO_ENGINE = "unix:///nonexistent/engine.sock"
OTHER_CATALOGUE = {"need-not-met"}
"""Cases that are bad only with the tests' own catalogue."""
NO_LAB = "there is no lab; 'labctl up three-controller' makes one"
CASES = [
    path
    for path in sorted((Path(__file__).parent / "topology").glob("*.yml"))
    if path.stem not in OTHER_CATALOGUE
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABCTL_ENGINE", NO_ENGINE)
    monkeypatch.delenv("LABCTL_LAB", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The program in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["labctl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("command", ["up", "plan", "render"])
def test_a_bad_topology_touches_nothing(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    path: Path,
) -> None:
    assert run(monkeypatch, command, str(path)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("labctl: ")
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("up", "nonsense"),
            2,
            "there is no topology 'nonsense' (shipped: segregated, single, three-controller); "
            "name one of these or the path of a .yml file",
        ),
        (("status",), 2, NO_LAB),
        (
            ("status", "--lab", "x"),
            2,
            "there is no lab 'x' (labs: none; 'labctl up' makes one)",
        ),
        (
            ("up", "single", "--subnet", "300.1.2.3"),
            2,
            "Invalid value for '--subnet': Octet 300 (> 255) not permitted in '300.1.2.3'; "
            "write it as 198.18.7.0/24 (see 'labctl --help')",
        ),
        (
            ("up", "single", "--profile", "everything"),
            2,
            "--profile is 'everything', should be one of: support, core, full, auto",
        ),
        (
            ("up", "single", "--without", "mariadb"),
            2,
            "--without mariadb: keystone needs it; add '--without keystone', or keep it",
        ),
        (
            ("up", "single", "--with", "mariadbb"),
            2,
            "--with mariadbb: no service 'mariadbb'; did you mean 'mariadb'?",
        ),
        (
            ("render", "single", "--profile", "auto"),
            2,
            "--profile auto asks a machine, which render does not; name a profile",
        ),
        (("move", "keystone", "--to", "c1"), 2, NO_LAB),
        (("frobnicate",), 2, "No such command 'frobnicate'. (see 'labctl --help')"),
        (
            ("kill", "c1", "--for", "soon"),
            2,
            "'soon' is no duration: write it as 90s, 5m, 1h or 1h30m",
        ),
        (("cut", "c1", "--one-way", "up"), 2, "--one-way is 'up', should be in or out"),
        (
            ("images", "build", "toaster"),
            2,
            "there is no image role 'toaster' "
            "(roles: browser, client, compute, controller, controller-clock, database, "
            "loadbalancer, messaging, network, node, openstack, storage)",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_the_exact_words(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert run(monkeypatch, *arguments) == code
    assert capsys.readouterr().err == f"labctl: {said}\n"
    assert not home.exists()


def test_no_engine_is_the_machine_s_fault(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "up", "single", "--subnet", "198.18.7.0/24") == 3
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert NO_ENGINE in said


def test_an_interrupt_is_130(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupted)
    assert run(monkeypatch, "status") == 130
    assert capsys.readouterr().err.startswith("labctl: interrupted; the next 'labctl up'")


def test_a_defect_is_one_line_and_a_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(main, "app", broken)
    assert run(monkeypatch, "status") == 1
    said = capsys.readouterr().err
    assert said == (
        f"labctl: a defect in labctl (ZeroDivisionError: oops); please report {home}/defect.log\n"
    )
    assert "ZeroDivisionError" in (home / "defect.log").read_text()
