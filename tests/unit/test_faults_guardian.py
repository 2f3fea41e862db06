"""The guardian: heals when a lease ends, leaves when there is nothing to watch."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tenacity

from labctl import faults
from labctl.engine import choose
from labctl.errors import EngineError
from labctl.faults import Target, guardian, journal, lease, partition, verbs
from labctl.host import locks, process
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
    assert clock.now == pytest.approx(1005 + guardian.PATIENCE, abs=2 * guardian.SLOWEST)
    said = capsys.readouterr().err
    assert "small: kill c1/api is not undone: cannot start it" in said
    assert 600 / guardian.SLOWEST < len(said.splitlines()) < 600 / guardian.SLOWEST + 10
    assert [fault.title for fault in faults.active(world.lab)] == ["kill c1/api"]


def test_what_it_cannot_undo_delays_no_other_fault(world: World, clock: Clock) -> None:
    inject(world, "c1", 5)
    inject(world, "c2", 300)
    world.failures["start", "small-c1-api"] = EngineError("cannot start it")
    healed = []
    wait = clock.wait

    def nap(seconds: float) -> None:
        wait(seconds)
        if not healed and world.status("small-c2-api") == "running":
            healed.append(clock.now)
            del world.failures["start", "small-c1-api"]

    clock.wait = nap  # type: ignore[method-assign]
    assert guardian.watch("small", "fake://") == 0
    assert healed == [pytest.approx(1300, abs=2 * guardian.NAP)]


def test_a_defect_of_one_kind_delays_no_other_fault(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.state()
    inject(world, "c1", 5)
    faults.inject(world, faults.cut(world.lab, [["c2"]], lease=5), guard=lambda *_: None)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a slip")

    real = partition.uninstall
    monkeypatch.setattr(partition, "uninstall", broken)
    clock.now += 6
    healing = verbs.expire_lab(world, "small")
    assert [*healing.left.values()] == [
        "cut c2 | c1 c3 client is not undone: a defect in labctl (ZeroDivisionError: a slip)"
    ]
    assert [evidence.said for evidence in healing.done] == ["kill c1/api: healed, nothing is left"]
    monkeypatch.setattr(partition, "uninstall", real)
    assert verbs.heal_all(world, world.lab).left == {}
    assert world.state() == before


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"version": 1}', "\0" * 64])
def test_a_damaged_file_ends_it_not(
    world: World, clock: Clock, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = world.state()
    inject(world, "c1", 5)
    damaged = journal.directory("small") / "x.json"
    damaged.write_text(content)
    assert guardian.watch("small", "fake://") == 0
    assert world.state() == before
    said = capsys.readouterr().err
    assert said.count(f"{damaged} was damaged and is kept as x.json.damaged: ") == 1
    assert damaged.with_name("x.json.damaged").read_text() == content


def test_it_is_started_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: list[Any] = []

    def spawn(argv: list[str], log: Path, *, only: dict[str, str]) -> None:
        spawned.append((argv, log))

    monkeypatch.setattr(lease, "spawn_detached", spawn)
    lease.ensure_guardian("small", "fake://")
    folder = journal.directory("small")
    argv = [sys.executable, "-P", "-m", "labctl.faults.guardian", "small", "fake://"]
    assert spawned == [(argv, folder / "guardian.log")]
    with locks.claim(folder / lease.LOCK, wait=False):
        lease.ensure_guardian("small", "fake://")
    assert len(spawned) == 1


@pytest.fixture
def alive(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A real guardian, started from a directory with a ``labctl`` of its own in a CI job."""
    monkeypatch.undo()
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    for name in ("RUNNER_TRACKING_ID", "BUILD_ID", "JENKINS_NODE_COOKIE", "CI_JOB_TOKEN"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere" / "labctl").mkdir(parents=True)
    (tmp_path / "elsewhere" / "labctl" / "__init__.py").write_text("raise SystemExit('foreign')")
    monkeypatch.chdir(tmp_path / "elsewhere")
    inject(world, "c1", 3600)
    real, pids = process.spawn_detached, []
    monkeypatch.setattr(
        lease, "spawn_detached", lambda *given, **more: pids.append(real(*given, **more))
    )
    lease.ensure_guardian("small", "fake://")
    (pid,) = pids
    yield pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@tenacity.retry(wait=tenacity.wait_fixed(0.02), stop=tenacity.stop_after_delay(30))
def await_guardian() -> None:
    """Wait until a guardian has taken its lock: then it has imported all that it needs."""
    with locks.claim(journal.directory("small") / lease.LOCK, wait=False) as free:
        assert not free


def test_it_runs_apart_from_where_it_was_started(alive: int, tmp_path: Path) -> None:
    await_guardian()
    given = Path(f"/proc/{alive}/environ").read_text().split("\0")
    names = {line.partition("=")[0] for line in given if line}
    assert names <= {"LABCTL_HOME", "PYTHONPATH", *lease._KEPT, *lease._PATHS}
    assert f"LABCTL_HOME={tmp_path / 'home'}" in given
    assert Path(f"/proc/{alive}/cwd").resolve() == Path("/")
    assert os.getsid(alive) == alive
    descriptors = {Path(f"/proc/{alive}/fd/{n}").resolve() for n in (0, 1, 2)}
    assert descriptors == {Path("/dev/null"), journal.directory("small") / "guardian.log"}
    assert (journal.directory("small") / "guardian.log").read_text() == ""


def test_what_it_was_killed_over_is_said_to_be_overdue(
    alive: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await_guardian()
    os.kill(alive, signal.SIGKILL)
    os.waitid(os.P_PID, alive, os.WEXITED | os.WNOWAIT)
    (fault,) = faults.active(world.lab)
    assert verbs.overdue(world.lab) == []
    monkeypatch.setattr(time, "time", lambda: fault.due + 1)
    assert verbs.overdue(world.lab) == [fault]
