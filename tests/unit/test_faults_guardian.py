"""The guardian: heals when a lease ends, leaves when there is nothing to watch."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from labctl import faults
from labctl.engine import choose
from labctl.errors import EngineError
from labctl.faults import Target, guardian, journal, lease
from labctl.host import locks
from tests.unit.faults_world import World
from tests.unit.labs import desired


class Clock:
    """Time that passes only while somebody naps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def time(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock.time)
    monkeypatch.setattr(guardian, "Event", lambda: clock)
    return clock


@pytest.fixture
def world(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    world = World(desired(tmp_path))
    monkeypatch.setattr(choose, "connect", lambda _: world)
    return world


def inject(world: World, node: str, seconds: float) -> None:
    fault = faults.halt(world, world.lab, "kill", [Target(node, "api")], lease=seconds)
    faults.inject(world, fault, guard=lambda *_: None)


def test_it_heals_at_the_lease_and_leaves(world: World, clock: Clock) -> None:
    before = world.state()
    inject(world, "c1", 5)
    inject(world, "c2", 9)
    assert guardian.watch("small", "fake://") == 0
    assert world.state() == before
    assert clock.now == pytest.approx(1009, abs=0.3)
    assert max(clock.naps) <= guardian.NAP


def test_it_leaves_at_once_when_there_is_nothing(world: World, clock: Clock) -> None:
    assert guardian.watch("small", "fake://") == 0
    assert clock.naps == []


def test_there_is_only_one(world: World, clock: Clock) -> None:
    inject(world, "c1", 5)
    with locks.claim(journal.directory("small") / lease.LOCK, wait=False):
        assert guardian.watch("small", "fake://") == 0
    assert clock.naps == []


def test_it_tries_again_ever_more_slowly(
    world: World,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guardian, "PATIENCE", 600.0)
    inject(world, "c1", 5)
    world.failures["start", "small-c1-api"] = EngineError("cannot start it")
    assert guardian.watch("small", "fake://") == 1
    assert max(clock.naps) == guardian.SLOWEST
    assert clock.now == pytest.approx(1005 + guardian.PATIENCE, abs=2 * guardian.SLOWEST)
    assert "small: cannot start it" in capsys.readouterr().err
    assert [fault.title for fault in faults.active(world.lab)] == ["kill c1/api"]


def test_it_is_summoned_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: list[Any] = []
    monkeypatch.setattr(lease, "spawn_detached", lambda argv, log: spawned.append((argv, log)))
    lease.summon("small", "fake://")
    folder = journal.directory("small")
    argv = [sys.executable, "-m", "labctl.faults.guardian", "small", "fake://"]
    assert spawned == [(argv, folder / "guardian.log")]
    with locks.claim(folder / lease.LOCK, wait=False):
        lease.summon("small", "fake://")
    assert len(spawned) == 1
