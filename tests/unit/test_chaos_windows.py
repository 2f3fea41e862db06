"""The windows of a change: what its plan takes down, and for how long."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from labctl.chaos.run.windows import Windows
from labctl.errors import InputError
from labctl.model.topology import Choice, TopologyDoc
from labctl.planning.desired import Desired
from labctl.planning.foresee import after
from labctl.planning.plan import make_plan
from labctl.planning.steps import Observed, Plan
from labctl.running.observe import observe
from tests.unit.labs import desired, running
from tests.unit.labs_random import ReadyEngine, requests
from tests.unit.test_plan_change import Asked, at_once, bring_up, changes, shipped_ones

__all__ = ["at_once"]


def follow(plan: Plan, *labs: Desired) -> dict[str, Any]:
    """Carry a plan out step by step, a second each: name → what it was, from, to."""
    ticks = itertools.count()
    told: list[str] = []
    windows = Windows(
        lambda: float(next(ticks)), [each.lab for each in labs], labs[-1].probes, told.append
    )
    windows.planned(plan)
    for step in plan.steps.values():
        windows.started(step)
        windows.done(step, 1.0)
    windows.note("c1/store could not be drained: it is busy")
    assert told == windows.notes
    assert windows.steps == len(plan.steps)
    assert all(row["ended"] > row["began"] for row in windows.rows)
    return {row["name"]: (row["what"], row["began"], row["ended"]) for row in windows.rows}


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path)


def test_a_roll_is_one_window_for_each_member_and_none_overlaps(
    tmp_path: Path, wanted: Desired
) -> None:
    changed = desired(tmp_path, size=4)
    found = follow(make_plan(changed, running(wanted)), wanted, changed)
    assert {name: what for name, (what, *_) in found.items()} == {
        "c1/store": "replaced",
        "c2/store": "replaced",
        "c3/store": "replaced",
    }
    spans = sorted((began, ended) for _, began, ended in found.values())
    assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))


def test_a_node_that_is_replaced_has_windows_of_its_own_and_of_all_on_it(wanted: Desired) -> None:
    observed = replace(running(wanted), renew={"c2": True})
    found = follow(make_plan(wanted, observed), wanted, wanted)
    assert {name: what for name, (what, *_) in found.items()} == {
        "c2": "replaced",
        "c2/store": "replaced",
        "c2/api": "replaced",
    }
    assert found["c2/store"][1] < found["c2"][2] < found["c2/store"][2]


def test_from_nothing_all_is_new(wanted: Desired) -> None:
    plan = make_plan(wanted, Observed())
    assert after(wanted, Observed(), plan.steps.values()).containers
    found = follow(plan, wanted)
    assert {what for what, *_ in found.values()} == {"new"}
    assert found.keys() == {*wanted.instances, *wanted.holders}


def test_what_leaves_is_removed_when_it_is_gone(tmp_path: Path, wanted: Desired) -> None:
    api = wanted.lab.services["api"]
    fewer = {**wanted.lab.services, "api": replace(api, nodes=api.nodes[:2])}
    smaller = replace(
        wanted,
        instances={n: unit for n, unit in wanted.instances.items() if n != "c3/api"},
        probes={n: probe for n, probe in wanted.probes.items() if n != "c3/api"},
        lab=replace(wanted.lab, services=fewer),
    )
    found = follow(make_plan(smaller, running(wanted)), wanted, smaller)
    assert [(name, what) for name, (what, *_) in found.items()] == [("c3/api", "removed")]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Made smaller, each would be carried out a hundred times.
    phases=(Phase.reuse, Phase.generate),
)
@given(st.one_of(requests(), shipped_ones()), st.data())
def test_whatever_is_changed_every_window_ends(
    request: tuple[TopologyDoc, Choice], data: st.DataObject
) -> None:
    first = Asked(*request)
    try:
        second = data.draw(changes(first))
        before, later = first.desired(), second.desired()
        engine = ReadyEngine(before)
        bring_up(engine, before)
        engine.aim(later)
        plan = make_plan(later, observe(engine, later, ask_host=True))
    except (InputError, ValueError):
        return
    found = follow(plan, before, later)
    known = {*before.instances, *before.holders, *later.instances, *later.holders}
    assert found.keys() <= known
    gone = {name for name, (what, *_) in found.items() if what == "removed"}
    assert gone <= {*before.instances, *before.holders}
