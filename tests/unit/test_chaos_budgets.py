"""Budgets of a recorded run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from labctl.chaos.folder.history import Event
from labctl.chaos.judge.bounds import Bound
from labctl.chaos.judge.budgets import compare, of_run
from labctl.chaos.judge.explained import Explainer
from labctl.chaos.judge.record import Record
from labctl.chaos.model.findings import Part
from labctl.chaos.model.timers import timers
from tests.unit.test_chaos_timeline import lab
from tests.unit.traits import traits

SCENARIO: dict[str, Any] = {
    "workloads": [
        {
            "name": "vip-probe",
            "kind": "vip",
            "as": "probe",
            "rate": 10,
            "settings": {"timeout": 0.5},
        }
    ]
}
SEEN = [
    {"t": 1.0, "vip": ["c1"], "clusters": {"galera": {"writer": "c2"}}},
    {"t": 12.0, "vip": ["c2"], "clusters": {}},
    {"t": 40.0, "vip": ["c2"], "clusters": {}},
]


def ok(t: float, f: str = "add") -> Event:
    """An acknowledgement."""
    return Event(t, "vip-probe", 0, "ok", f)


def recorded(events: list[Event], timeline: list[dict[str, Any]], **more: Any) -> Record:
    given = {"run": {"settings": {"timers": timers(lab())}}, "scenario": SCENARIO, **more}
    return Record(**given, events=events, timeline=timeline, observations=SEEN)


def fault(
    index: int = 0, bites: float | None = 10.0, healed: float | None = 20.0
) -> dict[str, Any]:
    return {
        "index": index,
        "fault": "power-off",
        "traits": traits("power-off"),
        "asked": 10.0,
        "began": 10.0,
        "bites": bites,
        "healed": healed,
        "targets": ["c1"],
        "spec": {},
    }


def probed(gap: float) -> list[Event]:
    before = [ok(number / 10) for number in range(100)]
    return [*before, *(ok(9.9 + gap + number / 10) for number in range(200))]


BOUND = 0.9 + 131 / 256 * 0.3 + 0.7
"""3 x advert and the skew of the next, then a probe that waits and the next one of its kind."""


@pytest.mark.parametrize(("gap", "outcome"), [(1.2, "VALID"), (3.0, "INVALID")])
def test_a_gap_beside_its_bound(gap: float, outcome: str) -> None:
    made = of_run(recorded(probed(gap), [fault()]))
    assert [(each.name, each.fault, each.outcome) for each in made] == [("vip", 0, outcome)]
    assert made[0].bound == pytest.approx(BOUND)
    assert made[0].measured == pytest.approx(gap)
    assert made[0].dominant == "vrrp advert_int x 3"


def test_who_plays_a_part_is_read_before_the_fault() -> None:
    run = recorded([], [fault()])
    assert Explainer(run).players(fault()) == {"vip": "c1", "galera": "c2"}


def test_another_node_than_the_holder_has_no_budget() -> None:
    run = recorded(probed(3.0), [{**fault(), "targets": ["c3"]}])
    assert of_run(run) == []


def test_a_fault_that_did_not_bite_has_no_budget() -> None:
    assert of_run(recorded(probed(3.0), [fault(bites=None)])) == []


def test_bounds_of_faults_at_the_same_time_add_up() -> None:
    made = of_run(recorded(probed(2.5), [fault(), fault(1, bites=11.0)]))
    assert [each.outcome for each in made] == ["VALID", "VALID"]
    assert made[0].bound == pytest.approx(2 * BOUND)
    # Beside a silence that only one of them meets, the other's bound counts for nothing.
    later = [ok(t / 10) for t in range(1000) if not 100 < t < 125]
    apart = of_run(recorded(later, [fault(), {**fault(1, bites=60.0, healed=70.0), "began": 60.0}]))
    assert [each.outcome for each in apart] == ["INVALID", "VALID"]


def test_a_balancer_that_nobody_moves_has_no_budget() -> None:
    events = [replace(event, f=f) for event in probed(9.0) for f in ("ping", "fetch")]
    about = {"settings": {"timers": timers(lab("core"))}}
    for way, judged in (("floating", ["INVALID"]), ("balanced", [])):
        workload = {**SCENARIO["workloads"][0], "kind": "tenant", "as": way, "rate": 9}
        run = recorded(events, [fault()], run=about, scenario={"workloads": [workload]})
        assert [each.outcome for each in of_run(run) if each.name == "tenant"] == judged


def test_a_run_without_timers_has_no_of_run() -> None:
    assert of_run(recorded(probed(3.0), [fault()], run={})) == []


def test_what_the_scenario_allows_caps_the_bound() -> None:
    scenario = {**SCENARIO, "expect": {"budgets": {"vip": "1s"}}}
    run = recorded(probed(1.2), [fault()], scenario=scenario)
    assert of_run(run)[0].outcome == "INVALID"


def test_a_budget_is_kept_broken_or_unknown() -> None:
    bound = Bound((Part("a", 1.0), Part("b", 3.0)))
    kept = compare("vip", 2, bound, 3.9)
    assert (kept.outcome, kept.bound, kept.dominant, kept.fault) == ("VALID", 4.0, "b", 2)
    broken = compare("vip", 2, bound, 4.1)
    assert broken.outcome == "INVALID"
    assert broken.why == "vip was away for 4.10 s, 4.00 s are allowed (b)"
    assert compare("vip", 2, bound, None).outcome == "UNKNOWN"


def test_a_scenario_may_allow_less_than_the_timers_never_more() -> None:
    bound = Bound((Part("a", 10000.0),))
    capped = compare("vip", 0, bound, 6.0, cap=5.0)
    assert (capped.outcome, capped.dominant) == ("INVALID", "limit of the scenario")
    assert compare("vip", 0, Bound((Part("a", 1.0),)), 2.0, cap=5.0).outcome == "INVALID"
