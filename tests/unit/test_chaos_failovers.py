"""Budgets of a recorded run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from labctl.chaos.judge.failovers import budgets, players
from labctl.chaos.model.timers import timers
from tests.unit.test_chaos_timeline import lab
from tests.unit.traits import traits


@dataclass(frozen=True)
class Ok:
    t: float
    workload: str = "vip-probe"
    type: str = "ok"
    f: str = "add"


@dataclass
class Recorded:
    events: list[Any]
    timeline: list[dict[str, Any]]
    run: dict[str, Any] = field(default_factory=lambda: {"settings": {"timers": timers(lab())}})
    scenario: dict[str, Any] = field(
        default_factory=lambda: {
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
    )
    observations: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"t": 1.0, "vip": ["c1"], "clusters": {"galera": {"writer": "c2"}}},
            {"t": 12.0, "vip": ["c2"], "clusters": {}},
        ]
    )
    end: float = 40.0


def fault(
    index: int = 0, bites: float | None = 10.0, healed: float | None = 20.0
) -> dict[str, Any]:
    return {
        "index": index,
        "fault": "power-off",
        "traits": traits("power-off"),
        "asked": 10.0,
        "bites": bites,
        "healed": healed,
        "targets": ["c1"],
        "spec": {},
    }


def probed(gap: float) -> list[Any]:
    before = [Ok(number / 10) for number in range(100)]
    return [*before, *(Ok(9.9 + gap + number / 10) for number in range(200))]


BOUND = 0.9 + 131 / 256 * 0.3 + 0.7
"""3 x advert and the skew of the next, then a probe that waits and the next one of its kind."""


@pytest.mark.parametrize(("gap", "outcome"), [(1.2, "VALID"), (3.0, "INVALID")])
def test_a_gap_beside_its_bound(gap: float, outcome: str) -> None:
    made = budgets(Recorded(probed(gap), [fault()]))
    assert [(each.name, each.fault, each.outcome) for each in made] == [("vip", 0, outcome)]
    assert made[0].bound == pytest.approx(BOUND)
    assert made[0].measured == pytest.approx(gap)
    assert made[0].dominant == "vrrp advert_int x 3"


def test_who_plays_a_part_is_read_before_the_fault() -> None:
    run = Recorded([], [fault()])
    assert players(run, fault()) == {"vip": "c1", "galera": "c2"}


def test_another_node_than_the_holder_has_no_budget() -> None:
    run = Recorded(probed(3.0), [{**fault(), "targets": ["c3"]}])
    assert budgets(run) == []


def test_a_fault_that_did_not_bite_has_no_budget() -> None:
    assert budgets(Recorded(probed(3.0), [fault(bites=None)])) == []


def test_bounds_of_faults_at_the_same_time_add_up() -> None:
    made = budgets(Recorded(probed(2.5), [fault(), fault(1, bites=11.0)]))
    assert [each.outcome for each in made] == ["VALID", "VALID"]
    assert made[0].bound == pytest.approx(2 * BOUND)


def test_a_balancer_that_nobody_moves_has_no_budget() -> None:
    run = Recorded([], [fault()])
    run.run = {"settings": {"timers": timers(lab("core"))}}
    run.events = [replace(event, f=f) for event in probed(9.0) for f in ("ping", "fetch")]
    for way, judged in (("floating", ["INVALID"]), ("balanced", [])):
        run.scenario["workloads"] = [
            {
                "name": "vip-probe",
                "kind": "tenant",
                "as": way,
                "settings": {"timeout": 0.5},
                "rate": 9,
            }
        ]
        assert [each.outcome for each in budgets(run) if each.name == "tenant"] == judged


def test_a_run_without_timers_has_no_budgets() -> None:
    assert budgets(Recorded(probed(3.0), [fault()], run={})) == []


def test_what_the_scenario_allows_caps_the_bound() -> None:
    run = Recorded(probed(1.2), [fault()])
    run.scenario["expect"] = {"budgets": {"vip": "1s"}}
    assert budgets(run)[0].outcome == "INVALID"
