"""Shrinking, with a judge that knows which faults it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.run.shrink import Entry, Timeline, shrink, smallest, step
from labctl.errors import InputError
from tests.unit.traits import traits


def entry(index: int, **more: Any) -> dict[str, Any]:
    base = {
        "index": index,
        "fault": "kill",
        "traits": traits("kill"),
        "asked": 10.0 * index,
        "healed": 10.0 * index + 5.25,
        "targets": ["c1/mariadb"],
        "spec": {"fault": "kill", "target": "galera-writer"},
        "resolved": {},
    }
    return {**base, **more}


def needs(*wanted: int) -> Callable[[Timeline], Any]:
    def judge(timeline: Timeline) -> str:
        there = {each["index"] for each in timeline}
        return "INVALID" if set(wanted) <= there else "VALID"

    return judge


def left(wanted: tuple[int, ...], count: int, most: int = 1000) -> tuple[list[int], int, bool]:
    shrunk = shrink([entry(index) for index in range(count)], needs(*wanted), most=most)
    return [each["index"] for each in shrunk.timeline], shrunk.runs, shrunk.minimal


@pytest.mark.parametrize("wanted", [(0,), (7,), (3, 4), (0, 7), (1, 3, 6), tuple(range(8))])
def test_what_it_takes_is_left_and_nothing_else(wanted: tuple[int, ...]) -> None:
    found, _, minimal = left(wanted, 8)
    assert found == list(wanted)
    assert minimal


def test_no_fault_at_all() -> None:
    assert left((), 4) == ([], 2, True)


def test_one_fault_is_minimal() -> None:
    assert left((0,), 1) == ([0], 2, True)


def test_runs_are_bounded_and_what_is_left_still_fails() -> None:
    found, runs, minimal = left((0, 63), 64, most=10)
    assert runs <= 10
    assert not minimal
    assert {0, 63} <= set(found)


def test_nothing_is_run_twice() -> None:
    seen: list[tuple[int, ...]] = []

    def judge(timeline: Timeline) -> Any:
        seen.append(tuple(each["index"] for each in timeline))
        return needs(1, 5)(timeline)

    shrink([entry(index) for index in range(8)], judge)
    assert len(seen) == len(set(seen))


def test_unknown_is_not_gone_on_with() -> None:
    def judge(timeline: Timeline) -> Any:
        return "INVALID" if len(timeline) == 4 else "UNKNOWN"

    assert len(shrink([entry(index) for index in range(4)], judge).timeline) == 4


def test_what_does_not_fail_again_is_not_shrunk() -> None:
    with pytest.raises(InputError, match="run again, is not INVALID"):
        shrink([entry(0)], needs(9))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            entry(1),
            {"at": "10s", "fault": "kill", "target": "galera-writer", "for": "5.25s"},
        ),
        (
            entry(1, healed=None, spec={"fault": "kill", "target": {"one": "mariadb"}}),
            {"at": "10s", "fault": "kill", "target": "c1/mariadb"},
        ),
        (
            entry(
                2,
                fault="cut",
                spec={"fault": "cut", "shape": "majority", "direction": "in"},
                resolved={"groups": [["c1", "c2"], ["c3"]]},
            ),
            {
                "at": "20s",
                "fault": "cut",
                "direction": "in",
                "groups": [["c1", "c2"], ["c3"]],
                "for": "5.25s",
            },
        ),
    ],
)
def test_a_recorded_fault_as_a_step(given: Entry, said: dict[str, Any]) -> None:
    assert step(given) == said


def test_the_smallest_scenario_is_one() -> None:
    scenario = {
        "name": "nemesis",
        "description": "d",
        "workloads": [{"name": "set", "kind": "galera", "as": "set"}],
        "timeline": [{"every": "10s", "times": 9, "fault": "kill", "target": {"one": "mariadb"}}],
        "limit": "20m",
    }
    made = ScenarioDoc.model_validate(smallest(scenario, [entry(1), entry(3)], 4.5))
    assert made.name == "nemesis-shrunk"
    assert [each.at for each in made.timeline] == ["5.5s", "25.5s"]
    assert made.limit == "250.75s"
    assert not list(made.problems())
