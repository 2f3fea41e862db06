"""Changes of the lab in the report: lanes, a section, and the same in plain text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos import report
from labctl.chaos.report import changes, plain, record
from labctl.chaos.report.axis import TimeAxis
from tests.unit.chaos_run import HOSTILE, write_run

WINDOWS = [
    {"name": "c1/mariadb", "what": "replaced", "began": 21.0, "ended": 26.5},
    {"name": "c4/mariadb", "what": "new", "began": 30.0, "ended": 38.0},
    {"name": "c2/mariadb", "what": "replaced", "began": 40.0, "ended": None},
]
BUDGET = {
    "name": "galera",
    "fault": 7,
    "bound": 9.6,
    "parts": [{"timer": "client", "seconds": 9.6}],
    "dominant": "client",
    "measured": 2.1,
    "outcome": "VALID",
    "why": "galera was away for 2.10 s",
}


def row(index: int, said: str, **fields: Any) -> dict[str, Any]:
    base = {"index": index, "said": said, "asked": 20.0, "began": 20.0, "ended": 45.0}
    return {**base, "windows": [], "left": [], "notes": [], "error": None, **fields}


@pytest.fixture
def run(tmp_path: Path) -> record.Record:
    folder = write_run(tmp_path / "run")
    rows = [
        row(7, "change mariadb sync_wait to 1", windows=WINDOWS, notes=["c1 could not be drained"]),
        row(8, "replace c2", began=None, ended=None, error="the run ended before it was due"),
        row(9, HOSTILE, ended=None, error=HOSTILE, left=[HOSTILE]),
    ]
    (folder / "changes.json").write_text(json.dumps(rows))
    verdict = json.loads((folder / "verdict.json").read_text())
    verdict["budgets"].append(BUDGET)
    (folder / "verdict.json").write_text(json.dumps(verdict))
    return record.read(folder)


def test_the_page_shows_every_change_and_each_window(run: record.Record, tmp_path: Path) -> None:
    page = report.made(tmp_path / "run")["report.html"]
    assert "<script>" not in page
    assert "c1/mariadb is replaced: 21.00 s to 26.50 s (5.50 s)" in page
    assert 'id="change-7"' in page
    assert 'href="#change-7"' in page
    assert "✓ 2.10 s without an answer, 9.60 s allowed" in page
    assert "c1 could not be drained" in page


def test_lanes_are_one_for_each_change_and_each_instance(run: record.Record) -> None:
    rows = list(changes.lanes(run, TimeAxis(run.length, 100, 1000)))
    assert len(rows) == 1 + 3 + 3
    assert 'class="window new"' in str(rows[5].markup)
    assert "was not made" in str(rows[2].markup)


def test_a_run_without_changes_says_nothing_of_them(tmp_path: Path) -> None:
    run = record.read(write_run(tmp_path / "run"))
    assert list(changes.lanes(run, TimeAxis(run.length, 100, 1000))) == []
    assert not changes.section(run)
    assert "changes.json" not in " ".join(run.missing)
    assert "change" not in report.made(tmp_path / "run")["report.html"].partition("</style>")[2]


def test_plain_text_has_every_change_and_what_its_clients_missed(run: record.Record) -> None:
    cases = {case.name: case for case in plain.cases(run) if case.group == "changes"}
    assert {name: case.outcome for name, case in cases.items()} == {
        "change mariadb sync_wait to 1 at 20.00 s": "VALID",
        "replace c2 at 20.00 s": "UNKNOWN",
        f"{HOSTILE} at 20.00 s": "UNKNOWN",
    }
    assert cases["change mariadb sync_wait to 1 at 20.00 s"].why == (
        "complete after 25.0 s, 3 windows"
    )
    assert "galera during change mariadb sync\\_wait to 1 at 20.00 s" in plain.summary(run)
    assert "3 changes, " in plain.summary(run)
    assert 'classname="chaos.' in plain.junit(run)


def test_a_torn_file_of_changes_is_left_out_and_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "changes.json").write_text('[{"index": 7, "said"')
    run = record.read(folder)
    assert run.changes == []
    assert "changes.json is damaged and left out" in run.missing
    (folder / "changes.json").write_text('[{"windows": [{"name": "c1"}, 3]}, "x"]')
    (only,) = record.read(folder).changes
    assert (only.said, only.windows) == ("change", [])
