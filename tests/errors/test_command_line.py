"""Bad input on the command line: one line, its exit code, nothing touched; no engine is there."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.cli import main
from labctl.engine.port import LABEL
from labctl.engine.streams import LineStream
from tests.fakes.engine import FakeEngine

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


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in this process: its exit code, and what it wrote to its two streams."""

    def running(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["labctl", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.run()
        assert isinstance(ended.value.code, int)
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return running


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that commands about a whole lab find."""
    engine = FakeEngine()
    monkeypatch.setattr("labctl.cli.lifecycle.connect", lambda _: engine)
    return engine


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Whatever the command is, it ends so."""

    def failing() -> int:
        raise error

    monkeypatch.setattr(main, "app", failing)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("command", ["up", "plan", "render"])
def test_a_bad_topology_touches_nothing(home: Path, run: Run, command: str, path: Path) -> None:
    code, out, err = run(command, str(path))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("labctl: ")
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("up", "--from", "none"),
            2,
            "there is no checkpoint 'none' (checkpoints: none; 'labctl checkpoint save' makes one)",
        ),
        (
            ("up", "--from", "../none"),
            2,
            "checkpoint name '../none' should be at most 31 lower-case letters, digits and '-', "
            "and begin with a letter",
        ),
        (
            ("checkpoint", "remove", "none"),
            2,
            "there is no checkpoint 'none' (checkpoints: none; 'labctl checkpoint save' makes one)",
        ),
        (("checkpoint", "save", "one"), 2, NO_LAB),
        (
            ("checkpoint", "save", "One"),
            2,
            "checkpoint name 'One' should be at most 31 lower-case letters, digits and '-', "
            "and begin with a letter",
        ),
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
            "--profile auto depends on a machine, render on none; name a profile",
        ),
        (("move", "keystone", "--to", "c1"), 2, NO_LAB),
        (("frobnicate",), 2, "No such command 'frobnicate'. (see 'labctl --help')"),
        (
            ("\x1b[31mred\n\x7fä\udcff",),
            2,
            "No such command '\\x1b[31mred\\n\\x7fä\\udcff'. (see 'labctl --help')",
        ),
        (
            ("chaos", "check", "one\ntwo"),
            2,
            "there is no run 'one\\ntwo': start one with `labctl chaos run`",
        ),
        (
            ("kill", "c1", "--for", "soon"),
            2,
            "'soon' is not a duration: write it as 90s, 5m, 1h or 1h30m",
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
    home: Path, run: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert run(*arguments) == (code, "", f"labctl: {said}\n")
    assert not home.exists()


def test_no_engine_is_the_machine_s_fault(home: Path, run: Run) -> None:
    code, _, err = run("up", "single", "--subnet", "198.18.7.0/24")
    assert code == 3
    assert len(err.splitlines()) == 1
    assert NO_ENGINE in err


def test_an_interrupt_is_130(home: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    fails(monkeypatch, KeyboardInterrupt())
    assert run("status") == (130, "", "labctl: interrupted\n")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_what_ends_a_command_is_its_exit_code_and_its_advice(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    fake: FakeEngine,
    number: signal.Signals,
    code: int,
) -> None:
    """Through the parser, too, which would have the exit code 130 and no word."""

    def up(*_: object, **__: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("labctl.running.lifecycle.up", up)
    assert run("up", "single", "--profile", "support") == (
        code,
        "",
        "labctl: interrupted; the next 'labctl up' finishes what was started, "
        "'labctl down' removes it\n",
    )


def test_the_end_of_following_a_log_is_no_news(
    home: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    class Engine(FakeEngine):
        def follow(self, name: str, tail: int | None = None) -> LineStream:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError

    lab = SimpleNamespace(
        node=lambda _: "c1", instance=lambda *_: "c1/a", container=lambda _: "demo-c1-a"
    )
    reached = Engine(), SimpleNamespace(lab=lab)
    monkeypatch.setattr("labctl.cli.inside.attach_and_warn", lambda *_: reached)
    assert run("logs", "c1/a", "-f") == (130, "", "")


def test_a_defect_is_one_line_and_a_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    fails(monkeypatch, ZeroDivisionError("oops"))
    what = f"a defect in labctl (ZeroDivisionError: oops); please report {home}/defect.log"
    assert run("status") == (1, "", f"labctl: {what}\n")
    log = home / "defect.log"
    assert "ZeroDivisionError" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", ["", "/proc/nowhere"])
def test_a_defect_whose_file_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, run: Run, place: str
) -> None:
    _nobody(monkeypatch)
    monkeypatch.setenv("LABCTL_HOME", place)
    fails(monkeypatch, ZeroDivisionError("oops"))
    code, _, err = run("status")
    assert code == 1
    assert err.startswith("labctl: a defect in labctl (ZeroDivisionError: oops); please report it")
    assert err.count("\n") == 1


def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a user without a name, as in a container that runs with a number."""

    def unknown(_: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_STATE_HOME", "LABCTL_HOME", "LABCTL_LAB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.parametrize("arguments", [("status",), ("plan", "single"), ("chaos", "runs")])
def test_no_home_directory(
    monkeypatch: pytest.MonkeyPatch, run: Run, arguments: tuple[str, ...]
) -> None:
    _nobody(monkeypatch)
    assert run(*arguments) == (
        3,
        "",
        "labctl: you have no home directory to keep state in: set LABCTL_HOME to a directory\n",
    )


@pytest.mark.parametrize("arguments", [("status",), ("plan", "single"), ("down", "--lab", "x")])
def test_a_state_folder_that_may_not_be_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, run: Run, arguments: tuple[str, ...]
) -> None:
    """For root, too, who may read everything."""

    exists = Path.exists

    def refuse(path: Path) -> bool:
        if home in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refuse)
    code, _, err = run(*arguments)
    assert code == 3
    assert err.startswith(f"labctl: {home}/labs")
    assert err.endswith(
        ": Permission denied; labctl keeps its state there: "
        "set LABCTL_HOME to a directory of your own\n"
    )


def test_a_state_folder_that_cannot_be_made(home: Path, run: Run, fake: FakeEngine) -> None:
    home.write_text("a file")
    assert run("up", "single", "--profile", "support") == (
        3,
        "",
        f"labctl: {home}: File exists; labctl keeps its state there: "
        "set LABCTL_HOME to a directory of your own\n",
    )


def test_what_else_the_system_refuses_names_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def refused(**_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system", "/somewhere")

    monkeypatch.setattr("labctl.cli.commands.parser", lambda: refused)
    assert run("status") == (3, "", "labctl: /somewhere: Read-only file system\n")


def _remove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of what must not be removed removes nothing, also where the check is missing."""
    monkeypatch.setattr("labctl.state.store.forget", lambda _: None)
    monkeypatch.setattr("labctl.faults.verbs.forget", lambda _: None)


BAD_NAMES = [
    "",
    ".",
    "..",
    "/nonexistent/labctl-test",
    "../x",
    "A",
    "a" * 32,
    "-x",
    "a\n",
    "a\0",
    "ä",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    "command", [("down", "--lab"), ("status", "-l"), ("up", "single", "--name"), ("plan", "-n")]
)
def test_a_name_that_no_lab_can_have(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    fake: FakeEngine,
    command: tuple[str, ...],
    name: str,
) -> None:
    _remove_nothing(monkeypatch)
    code, _, err = run(*command, name)
    assert code == 2
    assert err.startswith("labctl: lab name '")
    assert err.endswith(
        "' should be at most 31 lower-case letters, digits and '-', and begin with a letter\n"
    )
    assert not home.exists()


def test_the_environment_s_lab_is_checked_too(
    home: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    _remove_nothing(monkeypatch)
    monkeypatch.setenv("LABCTL_LAB", "/nonexistent/labctl-test")
    code, _, err = run("down")
    assert code == 2
    assert err.startswith("labctl: lab name '/nonexistent/labctl-test' should be")


def test_down_of_a_name_that_no_lab_ever_had(home: Path, run: Run, fake: FakeEngine) -> None:
    none = "there is no lab 'mistyped' (labs: none; 'labctl up' makes one)"
    for _ in range(2):  # to have asked makes it no lab
        assert run("down", "--lab", "mistyped") == (2, "", f"labctl: {none}\n")
    assert not home.exists()


def test_down_twice_is_no_mistake(home: Path, run: Run, fake: FakeEngine) -> None:
    """What another state folder knows, or none any more, is found by its label."""
    fake.create_volume("demo-data", {LABEL: "demo"})
    assert run("down", "--lab", "demo") == (0, "lab demo is down: 1 volume\n", "")
    assert run("down", "--lab", "demo") == (0, "lab demo is down: nothing was there\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "x" * 300), f"there is no topology '{'x' * 59}…' (shipped: "),
        (("plan", "x" * 300 + ".yml"), f"{'x' * 199}…: cannot be read: File name too long"),
        (("plan", "a\0b"), "there is no topology 'a\\x00b' (shipped: "),
        (("render", "single", "-o", ""), "--output is not a path: name a file or a directory"),
        (("exec", "-t", "c1", "--", "true"), "--tty needs a terminal, and "),
    ],
)
def test_arguments_that_no_file_system_takes(
    home: Path, monkeypatch: pytest.MonkeyPatch, run: Run, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith(f"labctl: {said}")


@pytest.mark.parametrize(
    ("output", "written"),
    [
        ("new.yml", "new.yml"),
        ("old.yml", "old.yml"),
        ("there", "there/compose.yml"),
        ("new/", "new/compose.yml"),
        ("deep/er/x.yaml", "deep/er/x.yaml"),
        (None, "compose.yml"),
    ],
)
def test_where_render_writes(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    output: str | None,
    written: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.yml").write_text("old")
    Path("there").mkdir()
    options = [] if output is None else ["-o", output]
    done = run("render", "single", "--profile", "support", *options)
    assert done == (0, f"{tmp_path / written}\n", "")
    assert Path(written).read_text().startswith("name: single\n")
    assert Path(written).stat().st_mode & 0o777 == 0o600


def test_render_to_standard_output(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("render", "single", "--profile", "support", "-o", "-")
    assert code == 0
    assert out.startswith("name: single\n")


def test_render_where_nothing_can_be_written(home: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "x.yml"
    done = run("render", "single", "--profile", "support", "-o", str(below))
    assert done == (3, "", f"labctl: {below}: cannot be written: File exists\n")


EXTENSION = "name: mine\ndescription: d\nextends: other.yml\n"


def test_a_topology_from_a_pipe_extends_what_is_in_the_working_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.yml").write_text("name: other\ndescription: d\nextends: single\n")
    reader, writer = os.pipe()
    os.write(writer, EXTENSION.encode())
    os.close(writer)
    with os.fdopen(reader):
        render = ("render", f"/dev/fd/{reader}", "--profile", "support", "-o", "-")
        code, out, _ = run(*render)
    assert code == 0
    assert out.startswith("name: mine\n")
