"""Changes in the course of a run: made in turn, written down, undone at its end or left to `up`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.chaos.document.changes import ChangeKeys
from labctl.chaos.folder import layout as files
from labctl.chaos.run import changer as making
from labctl.chaos.run.becoming import Step
from labctl.chaos.run.changer import Changer
from labctl.chaos.run.changes import Change
from labctl.errors import LabError
from labctl.planning.steps import Plan, Remove, StartInstance
from labctl.running import lifecycle, nodes
from labctl.running.lifecycle import Prepared
from tests.unit.faults_world import World
from tests.unit.labs import desired

STEPS = {
    "remove": Remove("remove", container="small-c1-store"),
    "start": StartInstance("start", instance="c1/store"),
}


@dataclass
class Stage:
    """Carries out what it is told in memory; ``does`` decides what becomes of it."""

    folder: Path
    first: Prepared
    other: Prepared
    done: list[tuple[Prepared, lifecycle.Change, bool]] = field(default_factory=list)
    followed: list[Prepared] = field(default_factory=list)
    dropped: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    does: Callable[[Any, Callable[[], bool]], None] = lambda _report, _stopped: None
    left: list[str] = field(default_factory=list)

    def changer(self, *steps: Step, keep: bool = False) -> Changer:
        began = time.monotonic()
        watcher = SimpleNamespace(note=self.notes.append, now=None)
        return Changer(
            World(self.first.desired),
            self.first,
            steps,
            keep=keep,
            folder=self.folder,
            clock=lambda: time.monotonic() - began,
            watcher=cast(Any, watcher),
            ask=lambda: {"galera": {"writer": "c2"}},
            follow=self.followed.append,
        )

    def run(self, *steps: Step, keep: bool = False) -> list[dict[str, Any]]:
        changer = self.changer(*steps, keep=keep)
        changer.start(60.0)
        changer.join(60.0)
        changer.end()
        changer.change_back()
        rows: list[dict[str, Any]] = files.read_json(self.folder, files.CHANGES)
        return rows

    def carry_out(
        self,
        _engine: object,
        prepared: Prepared,
        change: lifecycle.Change,
        report: Any,
        *,
        recorded: bool,
        stopped: Callable[[], bool],
    ) -> Plan:
        self.done.append((prepared, change, recorded))
        plan = Plan(STEPS)
        report.planned(plan)
        for step in STEPS.values():
            report.started(step)
            self.does(report, stopped)
            report.done(step, 0.1)
        return plan


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    wanted = desired(tmp_path)

    def prepared(*more: str) -> Prepared:
        known = dict.fromkeys([*(node.name for node in wanted.lab.nodes), *more])
        record = SimpleNamespace(topology=SimpleNamespace(nodes=known))
        return Prepared(cast(Any, record), wanted, {})

    made = Stage(tmp_path, prepared(), prepared("c4"))
    monkeypatch.setattr(lifecycle, "carry_out", made.carry_out)

    def plan(*_: object) -> Plan:
        return Plan(cast(Any, {name: SimpleNamespace(title=name) for name in made.left}))

    monkeypatch.setattr(lifecycle, "plan", plan)
    monkeypatch.setattr(
        nodes, "drop_volumes", lambda _e, _d, names: made.dropped.append(tuple(names))
    )
    monkeypatch.setattr(making, "_PAUSE", 0.0)
    yield made


def step(prepared: Prepared, index: int = 0, at: float = 0.0, **keys: Any) -> Step:
    leaving = tuple(keys.get("remove", ()))
    return Step(Change(index, at, ChangeKeys.model_validate(keys)), prepared, leaving)


SETTING = {"change": {"services": {"store": {"size": 4}}}}


def test_changes_are_made_in_turn_and_the_lab_is_changed_back(stage: Stage) -> None:
    rows = stage.run(
        step(stage.other, 0, add=("c4",), like="c1"),
        step(stage.other, 1, 0.01, replace=("galera-writer", "c2")),
        step(stage.other, 2, 0.02, rebuild=("database",)),
    )
    assert [row["said"] for row in rows] == [
        "add c4 like c1",
        "replace galera-writer, c2",
        "rebuild image database",
        "change back",
    ]
    assert [row["back"] for row in rows] == [False, False, False, True]
    assert [row["index"] for row in rows] == [0, 1, 2, 3]
    assert rows[1]["nodes"] == ["c2"]
    assert [change.renew for _, change, _ in stage.done] == [{}, {"c2": True}, {}, {}]
    assert [set(change.rebuilt) for _, change, _ in stage.done] == [
        set(),
        set(),
        {"database"},
        set(),
    ]
    assert [prepared for prepared, *_ in stage.done] == [stage.other] * 3 + [stage.first]
    assert stage.followed == [stage.other] * 3 + [stage.first]
    assert stage.dropped == [(), (), (), ("c4",)]
    assert not any(recorded for *_, recorded in stage.done)
    assert all(row["began"] <= row["ended"] and row["left"] == [] for row in rows)
    (window,) = rows[0]["windows"]
    assert (window["name"], window["what"]) == ("c1/store", "replaced")
    assert all(one["ended"] <= other["began"] for one, other in pairwise(rows))


def test_what_is_to_be_kept_is_recorded_and_not_undone(stage: Stage) -> None:
    rows = stage.run(step(stage.other, **SETTING), keep=True)
    assert [row["said"] for row in rows] == ["change store size to 4"]
    assert [recorded for *_, recorded in stage.done] == [True]


def test_a_reboot_leaves_a_lab_that_needs_no_undoing(stage: Stage) -> None:
    rows = stage.run(step(stage.first, reboot=("c1",)))
    assert [change.renew for _, change, _ in stage.done] == [{"c1": False}]
    assert len(rows) == 1


def test_after_a_failure_nothing_more_is_changed(stage: Stage) -> None:
    def fail(report: Any, stopped: object) -> None:
        report.note("small-c1-store could not be drained: it is busy")
        raise LabError("c1/store ended with exit code 1")

    stage.does = fail
    rows = stage.run(step(stage.other, **SETTING), step(stage.other, 1, replace=("c2",)))
    assert [row["error"] for row in rows] == [
        "c1/store ended with exit code 1",
        "a change before it did not come to its end",
    ]
    assert rows[0]["notes"] == ["small-c1-store could not be drained: it is busy"]
    assert (rows[0]["left"], rows[1]["began"]) == (None, None)
    assert rows[0]["ended"] is not None
    assert not rows[0]["stopped"]
    assert stage.notes[-1] == "the lab is left half changed: `labctl up --name small` mends it"


def test_a_change_that_goes_on_when_the_run_is_over_is_stopped(stage: Stage) -> None:
    begun = threading.Event()

    def wait(_report: object, stopped: Callable[[], bool]) -> None:
        begun.set()
        while not stopped():
            time.sleep(0.005)
        raise LabError("it was stopped before its end")

    stage.does = wait
    changer = stage.changer(step(stage.other, **SETTING), step(stage.other, 1, replace=("c2",)))
    changer.start(60.0)
    assert begun.wait(10)
    assert changer.going_on == "change store size to 4"
    changer.join(0.0)
    first, second = files.read_json(stage.folder, files.CHANGES)
    assert (first["stopped"], first["error"]) == (True, "it was stopped before its end")
    assert second["error"] == "the run ended before it was due"


def test_what_up_would_still_do_is_written_down(stage: Stage) -> None:
    stage.left = ["create c1/store"]
    (row, *_) = stage.run(step(stage.first, reboot=("c1",)))
    assert row["left"] == ["create c1/store"]


def test_a_part_that_nobody_plays_is_the_reason(stage: Stage) -> None:
    (row,) = stage.run(step(stage.first, replace=("redis-master",)))
    assert row["began"] is None
    assert row["error"]
    assert stage.done == []


def test_a_defect_ends_the_run(stage: Stage) -> None:
    def break_down(_report: object, _stopped: object) -> None:
        raise ZeroDivisionError

    stage.does = break_down
    changer = stage.changer(step(stage.other, **SETTING))
    changer.start(60.0)
    with pytest.raises(ZeroDivisionError):
        changer.join(60.0)


def test_a_run_without_changes_has_no_such_file(stage: Stage) -> None:
    changer = stage.changer()
    changer.start(60.0)
    changer.join(60.0)
    changer.change_back()
    assert not (stage.folder / files.CHANGES).exists()
