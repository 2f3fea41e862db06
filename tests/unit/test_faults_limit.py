"""Limits of CPU time and memory on a lab in memory: composed, proved, healed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labctl import faults
from labctl.engine.port import ExecResult, Limits
from labctl.errors import EngineError, InputError, LabError
from labctl.faults import Fault, Target
from labctl.faults.kinds import limit
from labctl.model.lab import Lab
from tests.fakes.engine import FakeEngine
from tests.unit.faults_world import World
from tests.unit.labs import desired

STORE, CONTAINER = Target("c1", "store"), "small-c1-store"
MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    return World(desired(tmp_path))


@pytest.fixture
def lab(world: World) -> Lab:
    return world.lab


def inject(world: World, **limits: Any) -> Fault:
    fault = faults.limited(world, world.lab, [STORE], **limits)
    faults.inject(world, fault, guard=lambda *_: None)
    return fault


def test_it_says_what_is_left(world: World) -> None:
    fault = faults.limited(world, world.lab, [STORE], cpus=0.2, memory=200 * MIB)
    evidence = faults.inject(world, fault, guard=lambda *_: None)
    assert evidence.said == "limit c1/store (0.2 CPUs, 200 MiB): in effect"
    assert evidence.seen == {"c1/store": "0.2 CPUs and 200 MiB; running"}
    healed = faults.heal(world, fault)
    assert healed.seen == {"c1/store": "no limit of CPU time and no limit of memory; running"}


def test_limits_overlap_and_the_lowest_counts(world: World) -> None:
    slow = inject(world, cpus=0.5)
    slower = inject(world, cpus=0.2, memory=64 * MIB)
    small = inject(world, memory=128 * MIB)
    assert world.limits(CONTAINER) == Limits(0.2, 64 * MIB)
    faults.heal(world, slower)
    assert world.limits(CONTAINER) == Limits(0.5, 128 * MIB)
    faults.heal(world, slow)
    assert world.limits(CONTAINER) == Limits(memory=128 * MIB)
    faults.heal(world, small)
    assert world.limits(CONTAINER) == Limits()


def test_what_the_catalogue_limits_stays_limited(world: World, tmp_path: Path) -> None:
    fault = faults.limited(world, world.lab, [STORE], memory=256 * MIB)
    own = {**fault.terms, "own": {CONTAINER: 128 * MIB}}
    limited = Fault.from_json({**fault.to_json(), "terms": own})
    faults.inject(world, limited, guard=lambda *_: None)
    assert world.limits(CONTAINER) == Limits(memory=128 * MIB)
    faults.heal(world, limited)
    assert world.limits(CONTAINER) == Limits(memory=128 * MIB)


def test_whom_the_kernel_ends_is_bitten_and_runs_again_when_healed(world: World) -> None:
    class Starved(World):
        def limit(self, name: str, wanted: Limits) -> None:
            super().limit(name, wanted)
            if wanted.memory:
                self.end(name, 137)

    world.__class__ = Starved
    before = world.state()
    fault = faults.limited(world, world.lab, [STORE], memory=9 * MIB)
    evidence = faults.inject(world, fault, guard=lambda *_: None)
    assert evidence.seen == {"c1/store": "no limit of CPU time and 9 MiB; exited"}
    faults.heal(world, fault)
    assert world.state() == before


def test_whom_another_fault_keeps_off_is_left_to_that(world: World) -> None:
    before = world.state()
    fault = inject(world, cpus=0.2)
    kill = faults.halt(world, world.lab, "kill", [STORE])
    faults.inject(world, kill, guard=lambda *_: None)
    faults.heal(world, fault)
    assert world.status(CONTAINER) == "exited"
    assert world.limits(CONTAINER) == Limits()
    faults.heal(world, kill)
    assert world.state() == before


def test_a_kernel_that_knows_of_no_limit_is_found_out(world: World) -> None:
    world.kernel[CONTAINER] = Limits()
    with pytest.raises(LabError) as caught:
        inject(world, cpus=0.2)
    assert str(caught.value) == (
        "limit c1/store (0.2 CPUs) had no effect, but c1/store has no limit of CPU time and no "
        "limit of memory, not 0.2 CPUs and no limit of memory"
    )
    assert faults.active(world.lab) == []


def test_a_limit_that_stays_is_found_out(world: World) -> None:
    fault = inject(world, memory=64 * MIB)
    world.broken = {"limit"}
    with pytest.raises(LabError) as caught:
        faults.heal(world, fault)
    assert str(caught.value) == (
        "limit c1/store (64 MiB) is healed, but c1/store has no limit of CPU time and 64 MiB, "
        "not no limit of CPU time and no limit of memory"
    )
    assert faults.active(world.lab)


def test_what_the_engine_refuses_is_undone(world: World) -> None:
    before = world.state()
    world.failures["limit", CONTAINER] = EngineError("its processes use more")
    with pytest.raises(EngineError, match="use more"):
        inject(world, memory=64 * MIB)
    del world.failures["limit", CONTAINER]
    faults.heal_all(world, world.lab)
    assert world.state() == before


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        ("20000 100000\n67108864\n", Limits(0.2, 64 * MIB)),
        ("max 100000\nmax\n", Limits()),
        ("-1\n100000\n9223372036854771712\n", Limits()),
        ("150000\n100000\n67108864\n", Limits(1.5, 64 * MIB)),
        ("", None),
    ],
)
def test_both_versions_of_control_groups(said: str, limits: Limits | None) -> None:
    engine = FakeEngine(program=lambda *_: ExecResult(0, said, ""))
    engine.add_image("i")
    from labctl.engine.port import ContainerSpec

    engine.create(ContainerSpec("a", "i", {}))
    engine.start("a")
    assert limit.in_force(engine, "a") == limits


@pytest.mark.parametrize(
    ("target", "limits", "message"),
    [
        (STORE, {}, "a limit is of CPU time, of memory or of both: name at least one"),
        (STORE, {"cpus": 0.001}, "a limit is between 0.01 and 64 CPUs, not 0.001"),
        (STORE, {"memory": 1 * MIB}, "a limit of memory is at least 8M, not 1048576 bytes"),
        (Target("c1"), {"cpus": 1}, "c1 is a node: name instances of it, as NODE/SERVICE"),
    ],
)
def test_limits_that_make_no_sense(
    world: World, lab: Lab, target: Target, limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        faults.limited(world, lab, [target], **limits)
    assert str(caught.value) == message
