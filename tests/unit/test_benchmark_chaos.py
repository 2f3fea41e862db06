"""Figures of chaos: what a fault, a client and a checker take, and how that is told."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from labctl import faults
from labctl.benchmark import bites, chaos, checking, pace
from labctl.benchmark.bites import Trial
from labctl.cli import main
from labctl.errors import LabError
from labctl.workloads.labs import Wanted, config
from tests.unit.faults_world import World
from tests.unit.labs import desired
from tests.unit.test_workloads import KNOWN, LAB


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(bites, "await_healthy", lambda *_: None)
    monkeypatch.setattr(bites, "inject", lambda e, f: faults.inject(e, f, guard=lambda *_: None))
    monkeypatch.setattr(bites, "SECONDS", {"power": 0.0})
    return World(desired(tmp_path))


NAMES = [
    "kill an instance",
    "pause an instance",
    "stop an instance",
    "kill 3 instances",
    "power-off of a node",
    "cut of a node",
    "cut of port 3306",
    "loss of 20 %",
]
ALONE = {"kill an instance", "pause an instance", "stop an instance", "power-off of a node"}


def test_every_fault_is_made_measured_and_healed(world: World, tmp_path: Path) -> None:
    before, wanted = world.state(), desired(tmp_path)
    found = bites.cases(world.lab)
    assert list(found) == NAMES
    for name, case in found.items():
        trial = bites.trial(world, wanted, case)
        assert 0 <= trial.made <= trial.bites
        assert trial.healed > 0
        assert (trial.skew is None) == (name in ALONE)
        assert world.state() == before


def test_a_fault_that_does_not_bite_is_healed_and_said(world: World, tmp_path: Path) -> None:
    world.broken = {"kill"}
    case = bites.cases(world.lab)["kill an instance"]
    with pytest.raises(LabError, match="had no effect"):
        bites.trial(world, desired(tmp_path), case)
    assert faults.active(world.lab) == []


def test_skew_lies_between_the_first_target_and_the_last() -> None:
    assert bites.skew({"c1": 0.02, "c2": 0.05, "c3": 0.03}) == pytest.approx(0.03)
    assert bites.skew({"c1": 0.02}) is None
    assert bites.skew({}) is None


def event(kind: str, t: float, p: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": kind, "t": t, "w": "pace", "p": p, **more}


def events(count: int, apart: float) -> list[dict[str, Any]]:
    return [
        each
        for n in range(count)
        for each in (event("invoke", n * apart, n % 4), event("ok", n * apart + 0.002, n % 4))
    ]


def test_a_rate_is_kept_when_the_client_is_never_late() -> None:
    found = pace.pace(100, events(401, 0.01))
    assert (found.reached, found.took) == (pytest.approx(100), pytest.approx(0.002))
    assert found.kept


def test_a_rate_is_not_kept_when_it_is_late_or_does_less() -> None:
    late = pace.pace(100, [*events(401, 0.01), event("lag", 3, seconds=0.07)])
    assert (late.late, late.most, late.kept) == (1, 0.07, False)
    slow = pace.pace(200, events(401, 0.01))
    assert not slow.kept
    none = pace.pace(50, [])
    assert (none.reached, none.kept) == (0, False)
    assert pace.highest([pace.pace(100, events(401, 0.01)), late]) == 100
    assert pace.highest([slow]) is None


def test_only_the_benchmark_may_ask_a_client_for_more_than_it_can() -> None:
    fast = Wanted("pace", "redis", "set", 3200, unbounded=True)
    assert config(fast, LAB, KNOWN, "run", 0)["rate"] == 3200


def test_the_cheapest_workload_is_one_that_the_lab_has(tmp_path: Path) -> None:
    assert pace.workload(desired(tmp_path)) is None


def test_made_up_histories_are_sound() -> None:
    found = checking.measure(2000)
    assert list(found) == ["set", "read and pair", "bank", "register", "append"]
    assert {(each.operations, each.broken) for each in found.values()} == {(2000, ())}
    assert all(each.cpu > 0 for each in found.values())


@pytest.mark.parametrize("way", checking._STORES)
def test_a_store_that_forgets_is_found_out(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    sound = checking._STORES[way]

    def forgets(number: int, dice: Random, kept: dict[Any, Any]) -> Any:
        done = sound(number, dice, kept)
        if number == 100:
            (kept.get("values") or next(iter(kept.values()), []))[-1:] = []
        return done

    def steals(number: int, dice: Random, kept: dict[Any, Any]) -> Any:
        done = sound(number, dice, kept)
        if number == 101:
            kept["0"] += 1
        return done

    def undoes(number: int, dice: Random, kept: dict[Any, Any]) -> Any:
        done = sound(number, dice, kept)
        if number == 300:
            for row in kept["values"]:
                row[1] = 1
        return done

    bad = {"bank": steals, "register": undoes}.get(way, forgets)
    monkeypatch.setattr(checking, "_STORES", {way: bad})
    assert checking.measure(2000)[way].broken


def test_the_document_and_its_rows() -> None:
    document = {
        "faults": {
            "cut of a node": chaos.fault(
                [
                    Trial(0.1, 0.5, 0.012, 0.4),
                    Trial(0.2, 0.7, 0.03, 0.2),
                    Trial(0.1, 0.6, 0.02, 0.3),
                ]
            ),
            "kill an instance": chaos.fault([Trial(0.1, 0.5, None, 0.4)]),
        },
        "client": chaos.client(
            "redis/set", [pace.Pace(400, 399.6, 0, 0.0, 0.0011), pace.Pace(800, 702, 9, 0.2, 0.004)]
        ),
        "checkers": chaos.checkers(
            {
                "set": checking.Checked(100_000, 0.301, ()),
                "bank": checking.Checked(100_000, 0.2, ("total conserved",)),
            }
        ),
        "library": chaos.lengths(
            ["one", "two", "three"],
            {
                "one": {"seconds": 90.0, "runs": 3},
                "two": {"seconds": 30.0, "runs": 1},
                "mine": {"seconds": 999.0, "runs": 1},
            },
        ),
    }
    rows = [(what, figure, remark) for what, figure, remark in chaos.rows(document)]
    assert rows == [
        (
            "fault: cut of a node",
            "0.50 / 0.60 / 0.70 s",
            "until proved; made in 0.10, targets at most 30 ms apart",
        ),
        ("  healed", "0.20 / 0.30 / 0.40 s", "including the proof that nothing is left"),
        ("fault: kill an instance", "0.50 / 0.50 / 0.50 s", "until proved; made in 0.10"),
        ("  healed", "0.40 / 0.40 / 0.40 s", "including the proof that nothing is left"),
        (
            "client measures the lab up to",
            "400 operations/s",
            "redis/set; at higher rates the client itself is late",
        ),
        ("  asked 400/s", "400/s", "late 0 times, 0.00 s at most; median 1.1 ms"),
        ("  asked 800/s", "702/s", "late 9 times, 0.20 s at most; median 4.0 ms"),
        ("checker: set", "0.30 CPU-s", "100000 operations"),
        ("checker: bank", "0.20 CPU-s", "WRONG: total conserved"),
        ("the library's runs", "2.0 min", "2 of 3 scenarios were run here; medians"),
    ]
    assert document["client"]["highest"] == 400


def test_nothing_to_measure_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["labctl", "benchmark", "--only-chaos", "--no-chaos"])
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "labctl: --only-chaos and --no-chaos leave nothing to measure: leave one out\n"
    )
