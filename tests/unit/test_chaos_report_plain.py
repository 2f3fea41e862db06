"""JUnit XML, the summary and the lines of a run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from labctl.chaos.report import junit, lines, made, read, summary
from tests.unit.chaos_run import HOSTILE, change, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "20261122T210411_5c1f0e", rate=2)


def poison(data: dict[str, list[dict[str, object]]]) -> None:
    data["checks"][0]["why"] = HOSTILE


def test_junit_counts_what_it_holds(run: Path) -> None:
    suite = ElementTree.fromstring(junit(read(run)))[0]  # noqa: S314 - it is our own
    cases = suite.findall("testcase")
    assert int(suite.get("tests", "")) == len(cases) == 2 + 3 + 6 + 3
    assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure")) == 2
    assert int(suite.get("errors", "")) == len(suite.findall("testcase/error")) == 3


def test_what_is_not_judged_is_an_error_and_never_skipped(run: Path) -> None:
    suite = ElementTree.fromstring(junit(read(run)))[0]  # noqa: S314
    names = [case.get("name", "") for case in suite if case.find("error") is not None]
    assert names == [
        "lose 30 % at c3 at 76.00 s bites",
        "linearizable",
        "rabbitmq after cut c1 from c2 and c3 at 48.00 s",
    ]
    assert suite.findall("testcase/skipped") == []


def test_hostile_text_leaves_the_xml_whole(run: Path) -> None:
    change(run, "verdict.json", poison)
    failure = ElementTree.fromstring(junit(read(run))).find(".//failure")  # noqa: S314
    assert failure is not None
    assert "<script>" in failure.get("message", "")


def test_a_run_that_nobody_judged_does_not_pass(run: Path) -> None:
    (run / "verdict.json").unlink()
    suite = ElementTree.fromstring(junit(read(run)))[0]  # noqa: S314
    assert suite[1].get("classname", "").endswith(".run")
    assert suite[1].find("error") is not None


def test_an_outcome_that_no_case_explains_is_a_case_itself(run: Path) -> None:
    def bare(data: dict[str, object]) -> None:
        data |= {"outcome": "UNKNOWN", "why": "the run was cut short", "checks": [], "budgets": []}

    change(run, "verdict.json", bare)
    (run / "timeline.json").write_text("[]")
    suite = ElementTree.fromstring(junit(read(run)))[0]  # noqa: S314
    assert suite.findall("testcase")[-1].get("name") == "outcome"
    assert suite.get("errors") == "1"


def test_the_summary_is_a_table_that_text_cannot_leave(run: Path) -> None:
    change(run, "verdict.json", poison)
    text = summary(read(run))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert text.startswith("### galera-writer-behind-a-cut: INVALID\n")
    assert len(rows) == 1 + 14
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)
    assert "<script" not in text
    assert "labctl chaos replay 20261122T210411_5c1f0e" in text


def test_the_lines_begin_with_the_outcome_and_what_decided_it(run: Path) -> None:
    told = lines(read(run))
    assert told[0].startswith("INVALID  galera-writer-behind-a-cut: galera-set: 2 acknowledged")
    assert told[1].startswith("  INVALID  galera-set lost: ")
    assert told[1].endswith("(lost though promised)")
    assert told[2].endswith("(1.71 s of 1.30 s, advert_int x 3)")
    assert sum(line.startswith("  UNKNOWN") for line in told) == 3
    assert sum(line.startswith("  VALID") for line in told) == 1


def test_a_terminal_is_told_nothing_that_moves_it(run: Path) -> None:
    change(run, "verdict.json", lambda data: data.update(why="\x1b[2J gone"))
    assert "\x1b" not in "".join(lines(read(run)))


def test_made_has_the_three_files_and_writes_none(run: Path) -> None:
    before = sorted(run.iterdir())
    assert sorted(made(run)) == ["junit.xml", "report.html", "summary.md"]
    assert sorted(run.iterdir()) == before
