"""Nodes are switched off and on: what stays off, what is waited for, and what is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.faults import journal, verbs
from labctl.faults.kinds.halts import halt
from labctl.faults.targets import Target
from labctl.planning.desired import Desired
from labctl.running import nodes, power
from labctl.running.probe import Answer, Inspection
from tests.unit.faults_world import World
from tests.unit.labs import desired


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desired:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    return desired(tmp_path)


@pytest.fixture
def world(wanted: Desired) -> World:
    return World(wanted)


def on_node(world: World, node: str) -> set[str]:
    return {c.status for c in world.containers("small") if c.name.startswith(f"small-{node}")}


def answers(monkeypatch: pytest.MonkeyPatch, ready: bool = True, size: int = 3) -> None:
    def inspect(
        _engine: Engine, wanted: Desired, _running: object, *, probes: list[str], path: str
    ) -> Inspection:
        found = {name: Answer(ready, "it answers" if ready else "refused") for name in probes}
        clusters: Mapping[str, Any] = {"galera": {"service": "store", "size": size, "expected": 3}}
        return Inspection(found, clusters)

    monkeypatch.setattr(power, "inspect", inspect)


def test_a_node_that_is_off_stays_off_whatever_is_healed(world: World) -> None:
    assert power.off(world, world.lab, ["c2", "c2"]) == ["c2"]
    assert on_node(world, "c2") == {"exited"}
    assert on_node(world, "c1") == {"running"}
    assert verbs.active(world.lab) == []
    verbs.heal_all(world, world.lab, sweep=True)
    assert on_node(world, "c2") == {"exited"}
    assert power.off(world, world.lab, ["c2"]) == []


def test_a_fault_on_it_no_longer_starts_it_when_its_lease_ends(world: World) -> None:
    for kind, target in (("kill", Target("c2")), ("pause", Target("c1", "api"))):
        fault = halt(world, world.lab, kind, [target])
        verbs.inject(world, fault, guard=lambda *_: None)
    assert power.off(world, world.lab, ["c1", "c2"]) == ["c1"]
    assert journal.entries("small") == []
    verbs.heal_all(world, world.lab)
    assert on_node(world, "c1") == on_node(world, "c2") == {"exited"}


def test_on_starts_it_and_nothing_else(
    world: World, wanted: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch)
    power.off(world, world.lab, ["c2", "c3"])
    notes: list[str] = []
    assert power.on(world, wanted, ["c2", "c1"], notes.append) == ["c2"]
    assert on_node(world, "c2") == {"running"}
    assert on_node(world, "c3") == {"exited"}
    assert notes == ["c2 started; waiting until all is ready, and counted"]
    assert power.on(world, wanted, ["c1"], notes.append) == []


@pytest.mark.parametrize(
    ("ready", "size", "said"),
    [
        (False, 3, "c2/store is not ready (refused)"),
        (True, 2, "store counts 2 of 3 members"),
    ],
)
def test_on_says_what_it_waited_for_in_vain(
    world: World,
    wanted: Desired,
    monkeypatch: pytest.MonkeyPatch,
    ready: bool,
    size: int,
    said: str,
) -> None:
    answers(monkeypatch, ready, size)
    once = power.tenacity.stop_after_attempt(1)
    monkeypatch.setattr(power.tenacity, "stop_after_delay", lambda _: once)
    power.off(world, world.lab, ["c2"])
    with pytest.raises(LabError) as caught:
        power.on(world, wanted, ["c2"], lambda _: None)
    longest = max(world.lab.services[name].doc.ready.timeout for name in ("store", "api"))
    assert str(caught.value) == (
        f"{said}, {longest:.0f} s after c2 started: `labctl up` repairs what a start does not"
    )


def test_what_is_not_there_cannot_be_started(world: World, wanted: Desired) -> None:
    power.off(world, world.lab, ["c2"])
    world.remove("small-c2-api")
    with pytest.raises(LabError) as caught:
        power.on(world, wanted, ["c2"], lambda _: None)
    assert str(caught.value) == ("c2/api is not there to be started: `labctl up` makes it again")
    assert on_node(world, "c2") == {"exited"}


def test_a_removal_that_leaves_no_majority_is_refused(world: World) -> None:
    nodes.check_majorities(world.lab, ["c3"])
    nodes.check_majorities(world.lab, ["client"])
    with pytest.raises(InputError) as caught:
        nodes.check_majorities(world.lab, ["c2", "c3"])
    assert str(caught.value) == (
        "without c2 and c3 store keeps 1 of its 3 members, which is no majority: "
        "remove fewer nodes at a time"
    )
