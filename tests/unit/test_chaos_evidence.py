"""What is missing from a run makes it UNKNOWN first; what is expected is a pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.folder import history, layout
from labctl.chaos.judge import verdict
from labctl.chaos.run.campaign import Result, code_of, tally, worst
from tests.unit.test_chaos_verdict import FAULT, RUN, run, written

LASTING = {**FAULT, "asked": 5.0, "lasts": 12.0, "healed": 17.5}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"damage": ["line 3 is no whole event"]}, "line 3 is no whole event"),
        (
            {"timeline": [{**LASTING, "healed": 8.0}]},
            "fault 0 (kill c1/mariadb) ended earlier than planned: after 3.0 s of 12 s",
        ),
        (
            {"timeline": [{**FAULT, "healed_by": "another command"}]},
            "fault 0 (kill c1/mariadb) ended earlier than planned: another command healed it",
        ),
        (
            {"finals": {"w": {"c1": [], "c2": None}}},
            "c2 of w could not be read in the end",
        ),
        (
            {
                "observations": [o for o in run().observations if o["t"] < 1]
                + [{**run().observations[-1], "t": 40.0}]
            },
            "nothing was observed from 0.0 to 40.0 s",
        ),
    ],
)
def test_what_is_missing_outweighs_what_is_lost(changes: dict[str, Any], why: str) -> None:
    assert verdict.verdict(run(lost=True)).outcome == "INVALID"
    found = verdict.verdict(run(**{"lost": True, **changes}))
    assert (found.outcome, found.why.partition(" (and ")[0]) == ("UNKNOWN", why)


def test_a_fault_that_lasted_as_planned_is_none() -> None:
    assert verdict.verdict(run(timeline=[LASTING])).outcome == "VALID"


def test_a_file_that_was_changed_is_not_what_was_recorded(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "run.json").write_text(json.dumps({**RUN, "sealed": layout.seal(folder)}))
    assert verdict.judge(folder).outcome == "VALID"
    text = (folder / "history.jsonl").read_text()
    (folder / "history.jsonl").write_text(text.replace('"t": 1.2', '"t": 1.3'))
    found = verdict.judge(folder)
    assert (found.outcome, found.why) == ("UNKNOWN", "history.jsonl is not what the run recorded")


def rows(*events: tuple[float, int, str]) -> list[history.Event]:
    return [history.Event(t, "w", p, kind, "add", 1) for t, p, kind in events]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        (((1, 0, "invoke"), (2, 0, "ok")), None),
        (((1, 0, "invoke"), (2, 1, "invoke"), (3, 0, "ok"), (4, 1, "info")), None),
        (((2, 0, "invoke"), (1, 0, "ok")), "goes back in time: from 2.000 to 1.000 s"),
        (
            ((1, 0, "invoke"), (2, 0, "ok"), (2, 0, "ok")),
            "has an end without a beginning: process 0 of 'w' at 2.000 s",
        ),
        (
            ((1, 0, "invoke"), (1, 0, "invoke"), (2, 0, "ok")),
            "has an operation that never ended: process 0 of 'w' at 1.000 s",
        ),
    ],
)
def test_what_no_client_writes(events: Any, problem: str | None) -> None:
    assert history.audit(rows(*events)) == ([f"the history {problem}"] if problem else [])


@pytest.mark.parametrize(
    ("outcome", "met", "code"),
    [
        ("VALID", True, 0),
        ("INVALID", False, 1),
        ("UNKNOWN", False, 4),
        ("INVALID", True, 0),
        # A scenario that should be INVALID and is VALID has caught nothing.
        ("VALID", False, 4),
    ],
)
def test_the_exit_code_says_whether_it_is_as_expected(outcome: str, met: bool, code: int) -> None:
    assert code_of({"outcome": outcome, "expected": {"met": met}}) == code


def test_a_campaign_passes_with_what_was_to_be_caught() -> None:
    caught, kept = Result("a", "INVALID", "why", 0), Result("b", "VALID", "why", 0)
    assert worst([caught, kept]) == 0
    assert tally([caught, kept], []) == "1 INVALID as expected, 1 VALID"
    assert worst([caught, Result("c", "INVALID", "why", 1)]) == 1


@pytest.mark.parametrize(
    ("workload", "fits"),
    [
        ({"kind": "galera", "as": "set", "rate": 50}, True),
        # The same rate, but each read has a whole list, or a balance of each account.
        ({"kind": "galera", "as": "append", "rate": 50, "settings": {"per_key": 400}}, False),
        ({"kind": "galera", "as": "bank", "rate": 50, "settings": {"accounts": 300}}, False),
        ({"kind": "rabbitmq", "as": "quorum", "rate": 100}, False),
    ],
)
def test_a_run_that_is_accepted_can_be_recorded_whole(workload: Any, fits: bool) -> None:
    doc = ScenarioDoc.model_validate(
        {
            "name": "s",
            "description": "d",
            "workloads": [{"name": "w", **workload}],
            "timeline": [],
            "limit": "20m",
        }
    )
    said = [sentence for place, sentence in doc.problems() if place == ("limit",)]
    assert bool(said) is not fits
