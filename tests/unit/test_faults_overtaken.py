"""Faults whose target is no longer what it was: closed, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labctl import faults
from labctl.faults import Fault, Target, outage, verbs
from tests.unit.faults_world import World
from tests.unit.labs import desired

STORES = [Target("c1", "store"), Target("c2", "store")]
Build = Callable[[World], Fault]
Happens = Callable[[World], object]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(outage, "_NOTICE", 0.2)
    return World(desired(tmp_path))


def halt(kind: str, targets: list[Target] = STORES) -> Build:
    return lambda world: faults.halt(world, world.lab, kind, targets)  # type: ignore[arg-type]


def recreated(name: str) -> Happens:
    def happens(world: World) -> None:
        spec = world._boxes[name].spec
        world.remove(name)
        world.create(spec)
        world.start(name)

    return happens


def restarted(name: str) -> Happens:
    def happens(world: World) -> None:
        world.end(name)
        world.start(name)

    return happens


CASES: dict[str, tuple[Build, Happens, dict[str, str]]] = {
    "the node of an instance is off": (
        halt("kill"),
        lambda world: world.end("small-c1"),
        {"c1/store": "c1 is off"},
    ),
    "the node of a frozen instance is off": (
        halt("pause"),
        lambda world: world.end("small-c2"),
        {"c2/store": "c2 is off"},
    ),
    "the container is gone": (
        halt("kill"),
        lambda world: world.remove("small-c1-store"),
        {"c1/store": "its container is gone"},
    ),
    "the container was recreated": (
        halt("stop"),
        recreated("small-c1-store"),
        {"c1/store": "its container was recreated"},
    ),
    "the node was recreated": (
        halt("kill", STORES[:1]),
        recreated("small-c1"),
        {"c1/store": "c1 was recreated"},
    ),
    "it was started by hand": (
        halt("term"),
        lambda world: world.start("small-c2-store"),
        {"c2/store": "it runs again"},
    ),
    "it was thawed by hand": (
        halt("pause"),
        lambda world: world.unpause("small-c2-store"),
        {"c2/store": "it runs again"},
    ),
    "it ended while it was frozen": (
        halt("pause"),
        lambda world: world.end("small-c1-store", 137),
        {"c1/store": "it has ended"},
    ),
    "the node was switched on by hand": (
        halt("kill", [Target("c1")]),
        lambda world: world.start("small-c1"),
        {"c1": "it runs again"},
    ),
    "a node of a cut is off": (
        lambda world: faults.cut(world.lab, [["c1"], ["c2"]]),
        lambda world: world.end("small-c1"),
        {"c1": "c1 is off"},
    ),
    "a node of a cut was restarted": (
        lambda world: faults.cut(world.lab, [["c1"], ["c2"]]),
        restarted("small-c2"),
        {"c2": "its network namespace was recreated"},
    ),
    "a node that is slow was restarted": (
        lambda world: faults.delayed(world, world.lab, ["c1"], by=0.1, jitter=0.02),
        restarted("small-c1"),
        {"c1": "its network namespace was recreated"},
    ),
    "the node of what is limited is off": (
        lambda world: faults.limited(world, world.lab, STORES, cpus=0.2, memory=None),
        lambda world: (world.end("small-c1"), world.end("small-c1-store")),
        {"c1/store": "c1 is off"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_overtaken_is_closed_and_said(world: World, case: str) -> None:
    build, happens, why = CASES[case]
    fault = build(world)
    faults.inject(world, fault, guard=lambda *_: None)
    happens(world)
    (evidence,) = faults.heal_all(world, world.lab).done
    assert evidence.overtaken == why
    (target, reason), *_ = why.items()
    said = f"{fault.title}: healed, nothing is left (overtaken: {target}: {reason})"
    assert evidence.said == said
    assert faults.active(world.lab) == []


def test_what_another_fault_keeps_off_was_not_overtaken(world: World) -> None:
    before = world.state()
    first = faults.halt(world, world.lab, "kill", STORES[:1])
    cut = faults.cut(world.lab, [["c1"]])
    node = faults.halt(world, world.lab, "kill", [Target("c1")])
    for fault in (first, cut, node):
        faults.inject(world, fault, guard=lambda *_: None)
    for fault in (cut, first, node):
        assert faults.heal(world, fault).overtaken == {}
    assert world.state() == before


def test_a_part_that_was_started_by_command_is_said(world: World) -> None:
    fault = faults.halt(world, world.lab, "kill", STORES)
    faults.inject(world, fault, guard=lambda *_: None)
    verbs.start(world, world.lab, STORES[:1])
    evidence = faults.heal(world, fault)
    assert evidence.overtaken == {"c1/store": "another command started it"}
    assert evidence.healed_by == ""
