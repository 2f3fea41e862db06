"""Many runs on one page: the newest of each, the worst first, whatever their folders are like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from labctl.chaos.folder import runs
from labctl.chaos.report import overview
from tests.unit.chaos_run import HOSTILE, change, write_run
from tests.unit.test_chaos_command import labctl


def run(home: Path, day: int, name: str, outcome: str | None, **verdict: Any) -> Path:
    folder = write_run(home / f"labs/demo/runs/2026010{day}T120000_a1b2c3", rate=0.2)
    change(folder, "run.json", lambda d: d.update(scenario=name, ended="then", seconds=90.5))
    change(
        folder, "verdict.json", lambda d: d.update(outcome=outcome, why=f"why {name}", **verdict)
    )
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Four scenarios, one of them run twice: in order again, broken, unclear, not judged."""
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    run(tmp_path, 1, "again", "INVALID")
    run(tmp_path, 2, "broken", "INVALID", budgets=[budget("galera", 4.0, 5.0), budget("vip", 9, 3)])
    run(tmp_path, 3, "again", "VALID", budgets=[], checks=[check("kept"), check("not promised")])
    run(tmp_path, 4, "unclear", "UNKNOWN")
    (run(tmp_path, 5, "unjudged", None) / "verdict.json").write_text("{")
    yield tmp_path


def budget(name: str, measured: float, bound: float) -> dict[str, Any]:
    parts = [
        {"timer": "client: waits for an answer", "seconds": 2.0},
        {"timer": f"{name} timer", "seconds": 1.0},
    ]
    outcome = "VALID" if measured <= bound else "INVALID"
    told = {"fault": 0, "dominant": "client: waits for an answer", "outcome": outcome, "why": ""}
    return {"name": name, "measured": measured, "bound": bound, "parts": parts, **told}


def check(promise: str) -> dict[str, Any]:
    return {"workload": "w", "check": "lost", "outcome": "VALID", "promise": promise, "why": ""}


def entries() -> list[overview.Entry]:
    return overview.entries(runs.rows("demo"))


def test_the_newest_of_each_counts(home: Path) -> None:
    found = {entry.row["scenario"]: entry.outcome for entry in entries()}
    assert found == {
        "again": "VALID",
        "broken": "INVALID",
        "unclear": "UNKNOWN",
        "unjudged": "UNKNOWN",
    }


def test_the_page_shows_each_with_its_report_and_its_dearest_budget(home: Path) -> None:
    page = overview.html("demo", entries())
    assert "4 scenarios, the newest run of each: 1 INVALID, 2 UNKNOWN, 1 VALID" in page
    assert "in 1 of the VALID runs something was lost that was not promised" in page
    links = re.findall(r'href="(\.\./runs/[^"]+)"', page)
    reports = home / "labs/demo/reports"
    assert len(links) == 4
    assert all((reports / link).resolve().parent.is_dir() for link in links)
    # Nine seconds of three is more of its bound than four of five; the client's wait decides none.
    assert "vip 9.00 s of 3.00 s, vip timer" in page
    assert "galera 4.00 s" not in page
    assert "http" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_machines_and_pull_requests_are_told_the_same(home: Path) -> None:
    suite = ElementTree.fromstring(overview.junit("demo", entries())).find("testsuite")  # noqa: S314
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "2")
    failure = suite.find("testcase[@name='broken']/failure")
    assert failure is not None
    assert failure.get("message") == "why broken"
    rows = [line.split(" | ") for line in overview.summary("demo", entries()).splitlines()]
    assert [row[:2] for row in rows if len(row) == 4][1:] == [
        ["| INVALID", "broken"],
        ["| UNKNOWN", "unclear"],
        ["| UNKNOWN", "unjudged"],
        ["| VALID", "again"],
    ]


def test_what_a_folder_says_is_never_markup(home: Path) -> None:
    folder = run(home, 6, HOSTILE, "INVALID")
    (folder / "scenario.yml").write_text(f"description: '{HOSTILE}'\nrow: ['{HOSTILE}', 3]\n")
    for text in overview.made("demo", entries()).values():
        assert "<script" not in text
        assert "<img" not in text


@pytest.mark.parametrize("text", ["", "[1]", "row: 3", "row: [[1]]", "{", "row: []"])
def test_a_damaged_scenario_is_on_the_page_too(home: Path, text: str) -> None:
    (home / "labs/demo/runs/20260104T120000_a1b2c3/scenario.yml").write_text(text)
    assert "unclear" in overview.html("demo", entries())


def test_no_run_proves_nothing() -> None:
    assert "0 scenarios, the newest run of each: none" in overview.html("demo", [])
    assert "UNKNOWN" in overview.summary("demo", [])


def test_the_command_writes_what_lies_beside_the_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labctl(monkeypatch, "overview", "--lab", "demo") == 0
    page = home / "labs/demo/reports/chaos.html"
    assert capsys.readouterr().out == f"see {page}\n"
    assert {path.name for path in page.parent.iterdir()} == {"chaos.html", "chaos.xml", "chaos.md"}
    assert labctl(monkeypatch, "overview", "--lab", "none") == 2
    assert capsys.readouterr().err == (
        "labctl: lab 'none' has no runs yet: `labctl chaos run` starts one\n"
    )
    assert not (home / "labs/none").exists()
