"""Shrinking, with a judge that knows which faults it takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import pytest

from labctl.chaos.document import library
from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.run import timeline
from labctl.chaos.run.shrink import Entry, Timeline, shrink, smallest, steps
from labctl.documents.catalog import load_catalog
from labctl.documents.topologies import load_topology, shipped
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.model.topology import Choice
from labctl.resolve.resolution import resolve
from labctl.resolve.selection import select
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
    def judge(part: Timeline) -> str:
        there = {each["index"] for each in part}
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

    def judge(part: Timeline) -> Any:
        seen.append(tuple(each["index"] for each in part))
        return needs(1, 5)(part)

    shrink([entry(index) for index in range(8)], judge)
    assert len(seen) == len(set(seen))


def test_unknown_is_not_gone_on_with() -> None:
    def judge(part: Timeline) -> Any:
        return "INVALID" if len(part) == 4 else "UNKNOWN"

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
            entry(1, lasts=5.0),
            {"at": "10s", "fault": "kill", "target": "galera-writer", "for": "5s"},
        ),
        (
            entry(
                1,
                fault="cut",
                spec={"fault": "cut", "isolate": {"one": "mariadb"}},
                resolved={"groups": [["c2"]], "pairs": []},
            ),
            {"at": "10s", "fault": "cut", "groups": [["c2"]], "for": "5.25s"},
        ),
        (
            entry(
                1,
                fault="cut",
                spec={"fault": "cut", "isolate": "galera-writer"},
                resolved={"groups": [["c2"]], "pairs": []},
            ),
            {"at": "10s", "fault": "cut", "isolate": "galera-writer", "for": "5.25s"},
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
def test_a_recorded_fault_as_a_line(given: Entry, said: dict[str, Any]) -> None:
    assert steps(given) == [said]


SCENARIO = {
    "name": "nemesis",
    "description": "d",
    "workloads": [{"name": "set", "kind": "galera", "as": "set"}],
    "timeline": [{"every": "10s", "times": 9, "fault": "kill", "target": {"one": "mariadb"}}],
    "limit": "20m",
}


def test_the_smallest_scenario_is_one() -> None:
    made = ScenarioDoc.model_validate(smallest(SCENARIO, [entry(1), entry(3)], 4.5))
    assert made.name == "nemesis-shrunk"
    assert [each.at for each in made.timeline] == ["5.5s", "25.5s"]
    assert made.limit == "250.75s"
    assert not list(made.problems())


@pytest.mark.parametrize("nodes", [["a", "b", "c", "d"], ["e", "a", "d", "b", "c"]])
def test_a_shrunk_ring_is_a_scenario_that_parts_the_same_nodes(nodes: list[str]) -> None:
    count = len(nodes)
    pairs = {
        frozenset((nodes[one], nodes[other]))
        for one in range(count)
        for other in range(one + 2, count - (one == 0))
    }
    ring = entry(
        1,
        fault="cut",
        spec={"fault": "cut", "shape": "ring", "only": "vrrp"},
        resolved={"groups": [], "pairs": [sorted(pair) for pair in pairs]},
    )
    made = ScenarioDoc.model_validate(smallest(SCENARIO, [ring]))
    assert not list(made.problems())
    assert {(each.at, each.for_, each.only) for each in made.timeline} == {("10s", "5.25s", "vrrp")}
    parted = [
        frozenset((one, other))
        for each in made.timeline
        for one, other in product(*(each.groups or ()))
    ]
    assert sorted(map(sorted, parted)) == sorted(map(sorted, pairs))


@pytest.mark.parametrize("name", library.scenarios())
def test_every_scenario_of_the_library_is_one_when_it_is_shrunk(name: str) -> None:
    """Recorded as planned: each part is played by somebody."""
    doc, _ = library.load_scenario(library.scenarios()[name])
    actions = timeline.resolve(doc, three_controllers("full"), seed=1)
    document = doc.model_dump(by_alias=True, exclude_unset=True, mode="json")
    made = ScenarioDoc.model_validate(smallest(document, [recorded(each) for each in actions]))
    assert not list(made.problems())
    assert [each.fault for each in made.timeline if each.fault] == [a.fault for a in actions]
    changes = [[step.altered for step in each.timeline if step.verb] for each in (doc, made)]
    assert changes[0] == changes[1]


def recorded(action: timeline.Action) -> dict[str, Any]:
    """A line of timeline.json, of an action that went as planned."""
    names = [str(getattr(each, "of", (each,))[0]) for each in action.targets]
    groups = [[str(getattr(each, "of", (each,))[0]) for each in group] for group in action.groups]
    lasts = None if action.heal_at is None else action.heal_at - action.at
    return {
        "index": action.index,
        "fault": action.fault,
        "traits": traits(action.fault),
        "asked": action.at,
        "healed": action.at + (lasts or 20.0) + 0.7,
        "lasts": lasts,
        "targets": names,
        "spec": action.spec,
        "resolved": {"groups": groups, "pairs": action.pairs},
    }


@pytest.fixture(scope="module")
def lab() -> Lab:
    """The support tier on three controllers."""
    return three_controllers("support")


@cache
def three_controllers(profile: str) -> Lab:
    """The shipped topology with a profile's services."""
    catalog = load_catalog()
    topology, source = load_topology(shipped()["three-controller"])
    return resolve(select(topology, catalog, Choice(profile=profile), source), catalog)
