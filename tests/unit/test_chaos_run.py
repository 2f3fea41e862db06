"""A run against a lab in memory: faults at their times, healed, written down, whatever fails."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.chaos import report
from labctl.chaos.folder import layout as files
from labctl.chaos.judge import verdict
from labctl.chaos.run import runner, steady
from labctl.chaos.run.injector import Injector
from labctl.chaos.run.plan import Plan
from labctl.chaos.run.runner import Context
from labctl.chaos.run.schedule import Schedule
from labctl.chaos.run.timeline import Action, Pick
from labctl.chaos.run.workloads import Record
from labctl.errors import InputError, LabError
from labctl.faults import Evidence, Fault, partition, verbs
from labctl.running.lifecycle import Prepared
from labctl.running.probe import Inspection
from tests.library import toothless
from tests.unit.faults_world import World
from tests.unit.labs import desired


class Watcher:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def now(self, broken: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> None: ...


BEGINS, ENDS = {"t": 1.0, "type": "invoke"}, {"t": 2.0, "type": "ok"}


@dataclass
class Load:
    """A workload that adds one number; its events come in no order."""

    record: Record
    failure: BaseException | None = None
    lost: str = ""
    stopped: bool = False
    slow: int = 0
    """Calls of counts before anything is acknowledged."""
    lines: Sequence[dict[str, Any]] = (ENDS, BEGINS)

    def start(self) -> None:
        if self.failure:
            raise self.failure
        event = {"w": "load", "p": 0, "f": "add", "value": 1}
        for line in self.lines:
            self.record(line | event)

    @property
    def names(self) -> Mapping[str, str]:
        return {"load": "run_1_load"}

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        self.slow -= 1
        return {"load": {"ok": int(self.slow < 0)}}

    def stop(self) -> None:
        self.stopped = True
        if self.lost:
            raise LabError(self.lost)

    def finals(self) -> Mapping[str, Any]:
        return {"load": {"c1": [1]}}

    def clean(self) -> None: ...


@dataclass
class Stage:
    world: World
    context: Context
    loads: list[Load]
    watcher: Watcher

    def run(self, *actions: Action, **terms: Any) -> dict[str, Any]:
        """What the run's folder says."""
        return read(runner.run(self.context, plan(*actions, **terms)))


TEXT = """name: tried
description: One number is added
workloads: [{name: load, kind: redis, as: set}]
timeline: [{at: 1s, fault: kill, target: c1/store}]
"""


def plan(*actions: Action, **terms: Any) -> Plan:
    given: dict[str, Any] = {"tail": 0.0, "limit": 30.0, "within": 0.0, **terms}
    scenario = SimpleNamespace(name="tried")
    return Plan(scenario, TEXT, actions, seed=1, services=["store"], **given)


def read(folder: Path) -> dict[str, Any]:
    lines = (folder / files.HISTORY).read_text().splitlines()
    return {
        "run": files.read_json(folder, files.RUN),
        "timeline": files.read_json(folder, files.TIMELINE),
        "history": [json.loads(line) for line in lines],
        "finals": (folder / files.FINALS).exists() and files.read_json(folder, files.FINALS),
        "logs": sorted(path.name for path in (folder / files.LOGS).iterdir()),
        "modes": {oct(path.stat().st_mode & 0o777) for path in folder.iterdir() if path.is_file()},
    }


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    wanted = desired(tmp_path)
    world, watcher, loads = World(wanted), Watcher(), []
    seen = Inspection(clusters={"galera": {"writer": "c2"}})
    monkeypatch.setattr(runner, "inspect", lambda *_, **__: seen)
    monkeypatch.setattr("labctl.chaos.run.observer.inspect", lambda *_, **__: seen)
    well = {"state": "healthy", "faults": [], "vip": {"holders": ["c1"]}}
    monkeypatch.setattr(steady, "status", lambda *_: {**well, "nodes": [], "clusters": {}})
    real = verbs.inject
    monkeypatch.setattr(verbs, "inject", lambda e, f: real(e, f, guard=lambda *_: None))

    def load(scenario: Any, record: Record, zero: float, seed: int) -> Load:
        loads.append(Load(record))
        return loads[-1]

    prepared = Prepared(cast(Any, None), wanted, {})
    return Stage(world, Context(world, prepared, load, watcher), loads, watcher)


def act(index: int, fault: Any, *targets: Any, **more: Any) -> Action:
    given = {"at": 0.05, "heal_at": 0.3, "spec": {"fault": fault}, **more}
    return Action(index=index, fault=fault, targets=targets, **given)


def test_a_fault_is_made_on_who_plays_the_part_then_and_healed(stage: Stage) -> None:
    before = stage.world.state()
    said = stage.run(act(0, "kill", "galera-writer"))
    (row,) = said["timeline"]
    assert row["said"] == "kill c2/store"
    assert row["targets"] == ["c2/store"]
    assert row["asked"] <= row["began"] <= row["bites"] < row["healed"]
    assert row["evidence"]["c2/store"] == "exited"
    assert row["heal_evidence"]["c2/store"] == "running"
    assert stage.world.state() == before
    assert said["run"]["steady"]["before"]["held"]
    assert said["run"]["steady"]["after"]["held"]
    assert said["run"]["cut_short"] is None
    assert [event["type"] for event in said["history"]] == ["invoke", "ok"]
    assert said["finals"] == {"load": {"c1": [1]}}
    assert "c2-store.log" in said["logs"]
    assert said["modes"] == {"0o600"}


def test_nothing_is_broken_before_every_workload_was_served(stage: Stage) -> None:
    load = stage.context.workloads
    slow = replace(
        stage.context, workloads=lambda *given: replace(cast(Load, load(*given)), slow=6)
    )
    said = read(runner.run(slow, plan(act(0, "kill", "c1/store"))))
    began = said["run"]["workloads_began"]
    assert began > 1.0
    assert said["timeline"][0]["asked"] == pytest.approx(began + 0.05, abs=0.05)


def test_who_is_never_served_does_not_hold_a_run_up_past_its_limit(stage: Stage) -> None:
    load = stage.context.workloads
    never = replace(
        stage.context, workloads=lambda *given: replace(cast(Load, load(*given)), slow=999)
    )
    said = read(runner.run(never, plan(act(0, "kill", "c1/store"), limit=1.0)))
    assert said["timeline"][0]["healed"]
    assert "no answer yet for load" in stage.watcher.notes


def test_what_has_no_end_is_healed_at_the_end(stage: Stage) -> None:
    before = stage.world.state()
    said = stage.run(act(0, "pause", "c1/api", heal_at=None), act(1, "restart", "c3/store"))
    assert all(row["healed"] for row in said["timeline"])
    assert stage.world.state() == before


def test_cuts_with_choices(stage: Stage) -> None:
    pick = Pick(1, ("c2/store", "c3/store"), ("galera-writer",))
    said = stage.run(act(0, "cut", groups=((pick,),), terms={"only": "port 3306"}))
    assert said["timeline"][0]["said"] == "cut c3 | c1 c2 client (only port 3306)"
    assert said["timeline"][0]["error"] is None


def test_a_choice_of_nobody_is_the_reason_that_it_does_not_bite(stage: Stage) -> None:
    pick = Pick(1, ("c2/store",), ("galera-writer",))
    (row,) = stage.run(act(0, "kill", pick))["timeline"]
    assert row["error"] == "c2/store but not galera-writer is nobody now"
    assert row["bites"] is None


def test_a_fault_that_does_nothing_is_recorded_with_its_reason(stage: Stage) -> None:
    stage.world.broken = {"kill"}
    (row,) = stage.run(act(0, "kill", "c1/store"))["timeline"]
    assert row["error"] == "kill c1/store had no effect: c1/store is running"
    assert verbs.active(stage.world.lab) == []


def test_a_cut_whose_rules_are_not_put_in_does_not_bite(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter ones are over before anybody could look.
    cut = act(0, "cut", groups=(("c1",),), heal_at=1.2)
    assert stage.run(cut)["timeline"][0]["error"] is None
    monkeypatch.setattr(partition, "install", toothless.nothing)
    (row,) = stage.run(cut)["timeline"]
    assert row["bites"] is None
    assert "had no effect" in row["error"]


def test_a_lab_with_two_masters_is_not_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """All members answer; the one that came back has not been told yet."""
    one = {"size": 3, "expected": 3, "masters": ["c3"]}
    seen: dict[str, Any] = {"state": "healthy", "faults": [], "clusters": {"redis": one}}
    monkeypatch.setattr(steady, "status", lambda *_: seen)
    nobody = cast(Any, None)
    assert steady.unsteady(nobody, nobody) == []
    one["masters"] = ["c1", "c3"]
    assert steady.unsteady(nobody, nobody) == ["c1 and c3 are masters of redis"]


def test_a_lab_that_is_not_steady_is_not_touched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steady, "unsteady", lambda *_: ["c1/store: no answer"])
    monkeypatch.setattr(steady, "_LEAST_LOOKS", 1)
    stage.world.calls.clear()
    said = stage.run(act(0, "kill", "c1/store"))
    assert said["run"]["cut_short"] == "the lab was not steady before: c1/store: no answer"
    assert (said["timeline"], said["finals"], stage.loads) == ([], False, [])
    assert stage.world.calls == []


def test_workloads_that_cannot_begin_end_the_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(scenario: Any, record: Record, zero: float, seed: int) -> Load:
        return Load(record, LabError("no"))

    context = replace(stage.context, workloads=load)
    with pytest.raises(LabError, match="no"):
        runner.run(context, plan(act(0, "kill", "c1/store")))
    assert read(files.find(newest()))["run"]["cut_short"] == "LabError: no"


def newest() -> str:
    from labctl.state import paths

    return max(path.name for path in (paths.home() / "labs/small/runs").iterdir())


@pytest.mark.parametrize(
    ("meddle", "healed_by", "overtaken"),
    [
        (lambda world: verbs.heal_all(world, world.lab), "another command", {}),
        (
            lambda world: world.start("small-c1-store"),
            "",
            {"c1/store": "it runs again"},
        ),
    ],
)
def test_a_fault_that_somebody_else_ended_is_written_down(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    meddle: Callable[[World], object],
    healed_by: str,
    overtaken: dict[str, str],
) -> None:
    real = verbs.heal

    def heal(engine: World, fault: Fault) -> Evidence:
        meddle(engine)
        return real(engine, fault)

    monkeypatch.setattr(verbs, "heal", heal)
    (row,) = stage.run(act(0, "kill", "c1/store"))["timeline"]
    assert (row["healed_by"], row["overtaken"]) == (healed_by, overtaken)
    assert row["healed"]


def test_an_interrupted_run_is_healed_and_readable(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stage.world.state()

    def interrupt(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner._Run, "_settle", interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.run(stage.context, plan(act(0, "kill", "c1/store", heal_at=None)))
    said = read(files.find(newest()))
    assert said["run"]["cut_short"] == "KeyboardInterrupt"
    assert (
        stage.watcher.notes[-1] == f"cut short; judge what there is: labctl chaos check {newest()}"
    )
    assert stage.loads[0].stopped
    assert stage.world.state() == before


def test_there_is_no_such_run(stage: Stage) -> None:
    with pytest.raises(InputError) as caught:
        files.find("nothing")
    assert str(caught.value) == "there is no run 'nothing': start one with `labctl chaos run`"


def test_what_looks_for_its_target_when_the_run_is_interrupted_is_not_made_after_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, ended = threading.Event(), threading.Event()
    real, join = Injector.fault, Schedule.end

    def slow(self: Injector, action: Action) -> Fault:
        looking.set()
        assert ended.wait(20)
        return real(self, action)

    def interrupted(self: Any, limit: float) -> None:
        threading.Thread(target=carry_out, args=(self, limit), daemon=True).start()
        assert looking.wait(20)
        raise KeyboardInterrupt

    def end(self: Any) -> None:
        threading.Timer(0.1, ended.set).start()
        join(self)

    carry_out = Schedule.run
    monkeypatch.setattr(Injector, "fault", slow)
    monkeypatch.setattr(Schedule, "run", interrupted)
    monkeypatch.setattr(Schedule, "end", end)
    before = stage.world.state()
    with pytest.raises(KeyboardInterrupt):
        runner.run(stage.context, plan(act(0, "kill", "c1/store", at=0.0)))
    assert stage.world.state() == before
    assert verbs.active(stage.world.lab) == []
    (row,) = read(files.find(newest()))["timeline"]
    assert (row["bites"], row["error"]) == (None, "the run ended before it was due")


def test_an_unexpected_error_of_an_action_is_raised_by_the_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: Any) -> Fault:
        raise ZeroDivisionError("of labctl")

    monkeypatch.setattr(Injector, "fault", defect)
    with pytest.raises(ZeroDivisionError):
        runner.run(stage.context, plan(act(0, "kill", "c1/store")))
    assert read(files.find(newest()))["run"]["cut_short"] == "ZeroDivisionError: of labctl"


def test_what_has_no_end_is_leased_for_no_longer_than_the_run(stage: Stage) -> None:
    (row,) = stage.run(act(0, "pause", "c1/api", heal_at=None), limit=20.0)["timeline"]
    assert row["resolved"]["lease"] == 50


def test_clients_that_were_lost_make_the_run_no_proof(stage: Stage) -> None:
    def load(scenario: Any, record: Record, zero: float, seed: int) -> Load:
        return Load(record, lost="the workloads ended before the run did: it was killed")

    folder = runner.run(replace(stage.context, workloads=load), plan(act(0, "kill", "c1/store")))
    found = verdict.judge(folder)
    assert found.outcome == "UNKNOWN"
    assert found.why.startswith("the run was cut short: the workloads ended before the run did")


def test_lines_that_found_no_room_are_missed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.Lines.__init__, "__defaults__", (100,))
    said = stage.run()["run"]
    assert said["lines"][files.HISTORY] == 1
    assert said["cut_short"].startswith("lines found no room or came too late: 1 of history.jsonl")


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.1, 0.2, 0.35, 0.5])
def test_a_run_that_is_killed_is_readable_and_its_faults_have_an_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, moment: float
) -> None:
    # A client tells of a beginning first: a kill may come between the two.
    monkeypatch.setattr(Load.__init__, "__defaults__", (None, "", False, (BEGINS, ENDS)))
    begun = threading.Event()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            runner.run(stage.context, plan(act(0, "kill", "c1/store", heal_at=0.3), tail=5.0))
        os._exit(0)
    home = Path(os.environ["LABCTL_HOME"])
    while not list(home.glob("labs/*/runs/*/run.json")):
        begun.wait(0.005)
    begun.wait(moment)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    folder = files.find(newest())
    found = verdict.judge(folder)
    assert found.outcome == "UNKNOWN"
    assert "cut short" in found.why or "had no effect" in found.why or "nobody" in found.why
    assert report.made(folder)[report.HTML]
    assert all(fault.lease <= 31 for fault in verbs.active(stage.world.lab))
