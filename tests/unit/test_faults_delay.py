"""Delays on a lab in memory: asked for, composed, proved by the time that pings take, healed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl import faults
from labctl.chaos.run.injector import Injector, require
from labctl.engine.port import ExecResult
from labctl.errors import EngineError, InputError, LabError
from labctl.faults import Fault, Target
from tests.unit.faults_world import World
from tests.unit.labs import desired

REFUSED = (
    "this kernel has no netem (sch_netem), which delays packets: leave out the delay, or "
    "use a machine whose kernel has it"
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    return World(desired(tmp_path))


def inject(world: World, *nodes: str, by: float = 0.1, jitter: float = 0.0) -> Fault:
    fault = faults.delayed(world, world.lab, nodes, by=by, jitter=jitter)
    faults.inject(world, fault, guard=lambda *_: None)
    return fault


def test_it_is_proved_by_the_time_that_a_ping_takes(world: World) -> None:
    fault = faults.delayed(world, world.lab, ["c1"], by=0.1, jitter=0.02)
    evidence = faults.inject(world, fault, guard=lambda *_: None)
    assert evidence.said == "delay c1 (100 ms ± 20 ms): in effect"
    assert evidence.seen == {"c1 answers after": "80.1 ms"}
    assert world.spaces["small-c1"].delay == (100, 20)
    assert faults.heal(world, fault).seen == {"c1 answers after": "0.1 ms"}


def test_delays_overlap_and_the_longest_counts(world: World) -> None:
    before = world.state()
    short = inject(world, "c1", by=0.05)
    long = inject(world, "c1", "c2", by=0.2)
    assert world.spaces["small-c1"].delay == (200, 0)
    faults.heal(world, long)
    assert world.spaces["small-c1"].delay == (50, 0)
    assert world.spaces["small-c2"].delay == (0, 0)
    faults.heal(world, short)
    assert world.state() == before


def test_a_node_that_powers_on_is_delayed_again(world: World) -> None:
    before = world.state()
    fault = inject(world, "c1")
    off = faults.halt(world, world.lab, "kill", [Target("c1")])
    faults.inject(world, off, guard=lambda *_: None)
    faults.heal(world, off)
    assert world.spaces["small-c1"].delay == (100, 0)
    assert not world.spaces["small-c1"].tables
    faults.heal(world, fault)
    assert world.state() == before


def test_a_delay_that_stays_is_found_out(world: World) -> None:
    fault = inject(world, "c1")
    real = World._tc

    def deaf(self: World, space: Any, words: Any) -> ExecResult:
        return real(self, space, words) if "show" in words else ExecResult(0, "", "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "_tc", deaf)
        with pytest.raises(LabError) as caught:
            faults.heal(world, fault)
    assert str(caught.value) == "delay c1 (100 ms) is healed, but c1 still has its netem"
    assert faults.active(world.lab)


def test_a_node_that_stays_slow_is_found_out(world: World) -> None:
    fault = inject(world, "c1")
    world.spaces["small-c2"].delay = (300, 0)
    with pytest.raises(LabError) as caught:
        faults.heal(world, fault)
    assert str(caught.value) == "delay c1 (100 ms) is healed, but c1 answers after 300.1 ms"


def test_a_delay_that_nobody_can_notice(world: World) -> None:
    others = [Target("c2"), Target("c3"), Target("client")]
    faults.inject(world, faults.halt(world, world.lab, "kill", others), guard=lambda *_: None)
    with pytest.raises(LabError) as caught:
        inject(world, "c1")
    assert str(caught.value) == ("delay c1 (100 ms) had no effect: no other node can test it")


def test_a_kernel_without_netem_is_asked_before_anything_is_touched(world: World) -> None:
    world.netem = False
    before = world.state()
    with pytest.raises(EngineError) as caught:
        inject(world, "c1")
    assert (str(caught.value), caught.value.exit_code) == (REFUSED, 3)
    assert world.state() == before
    assert faults.active(world.lab) == []
    with pytest.raises(EngineError) as caught:
        require(world, world.lab, ["kill", "delay"])
    assert str(caught.value) == REFUSED
    world.calls.clear()
    require(world, world.lab, ["kill", "limit"])
    assert world.calls == []


def test_a_scenarios_words_come_to_it(world: World) -> None:
    action = SimpleNamespace(
        fault="delay",
        targets=("c1/store", "c2"),
        groups=(),
        pairs=(),
        terms={"by": "100ms", "jitter": "20ms"},
        at=0.0,
        heal_at=5.0,
    )
    made = Injector(world, world.lab, dict, 60.0).fault(cast(Any, action))
    assert (made.targets, made.terms["by"], made.terms["jitter"]) == (("c1", "c2"), 0.1, 0.02)
    assert Fault.from_json(made.to_json()) == replace(made)


@pytest.mark.parametrize(
    ("by", "jitter", "message"),
    [
        (0.001, 0.0, "a delay is between 10 ms and 10 s, not 1 ms"),
        (11, 0.0, "a delay is between 10 ms and 10 s, not 11000 ms"),
        (
            0.1,
            0.06,
            "a jitter is at most half of the delay, else the delay could not be detected",
        ),
    ],
)
def test_delays_that_make_no_sense(world: World, by: float, jitter: float, message: str) -> None:
    with pytest.raises(InputError) as caught:
        faults.delayed(world, world.lab, ["c1"], by=by, jitter=jitter)
    assert str(caught.value) == message
