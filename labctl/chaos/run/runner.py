"""Carries a plan out against a lab and records it in the run's folder.

The lab must be steady; then the workloads start, the faults are made and healed, and the lab must
become steady again. Should labctl be killed at any moment, the folder can be read, and the faults'
journal and leases heal the lab.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

from labctl import __version__
from labctl.chaos.folder import layout as files
from labctl.chaos.run import settings
from labctl.chaos.run.becoming import Step
from labctl.chaos.run.changer import Changer
from labctl.chaos.run.injector import Injector, require
from labctl.chaos.run.observer import Observer
from labctl.chaos.run.plan import Plan
from labctl.chaos.run.schedule import Schedule, Watcher
from labctl.chaos.run.steady import await_steady
from labctl.chaos.run.workloads import Prepare
from labctl.engine.port import Engine
from labctl.errors import LabctlError
from labctl.faults import verbs
from labctl.faults.targets import Clusters
from labctl.running.lifecycle import Prepared
from labctl.running.probe import inspect

_LOG_LINES = 5000
_PARTS_SPEC = "/run/labctl/aim.json"
"""The prober's specification when it is asked who plays which part: a file of its own, because the
observer asks at the same time."""
_FIRST_ANSWERS = 120.0
"""Seconds until each workload must have been served once: on a busy machine a Heat stack takes a
minute."""
_PROGRESS_INTERVAL = 2.0
"""Seconds between two reports of progress to the watcher."""


@dataclass(frozen=True)
class Context:
    """The lab that a run takes place in, its workloads, and who watches."""

    engine: Engine
    prepared: Prepared
    workloads: Prepare
    """Makes the scenario's workloads."""
    watcher: Watcher
    steps: Sequence[Step] = ()
    """What the lab becomes by the plan's changes."""


@dataclass
class _RunFile:
    """run.json, which grows while the run goes on."""

    folder: Path
    data: dict[str, Any] = field(default_factory=dict)

    def update(self, **fields: Any) -> None:
        """Set fields and write the file at once."""
        self.data.update(fields)
        files.write_json(self.folder, files.RUN, self.data)


def run(context: Context, plan: Plan) -> Path:
    """Carry a plan out and heal what it broke; returns the run's folder, for verdict and report.

    A lab that is not steady is left as it is. EngineError when the machine cannot do what a fault
    needs, before anything is touched; LabError when a workload cannot start.
    """
    lab = context.prepared.lab
    for left in verbs.expire(context.engine, lab).left.values():
        context.watcher.note(left)
    require(context.engine, lab, [action.fault for action in plan.actions])
    folder, zero = files.make(lab.name), time.monotonic()
    run_file = _RunFile(folder)
    files.write(folder, files.SCENARIO, plan.text)
    for name in (files.HISTORY, files.OBSERVATIONS):
        files.write(folder, name, "")
    files.write_json(folder, files.TIMELINE, [])
    # Written last: with this file a folder counts as a run's, and can be judged.
    run_file.update(**_about(context, plan, folder.name))
    with _end_recorded(run_file, context.watcher):
        before = _steady(context.engine, context.prepared, plan, 0.0)
        run_file.update(steady={"before": before, "after": {"held": None, "said": []}})
        if before["held"]:
            _Run(context, plan, run_file, zero).go()
        else:
            run_file.update(cut_short="the lab was not steady before: " + _first_reason(before))
    return folder


@contextmanager
def _end_recorded(run_file: _RunFile, watcher: Watcher) -> Iterator[None]:
    """Record when and why a run ended, whatever ended it, and tell the watcher where it is."""
    try:
        yield
    except BaseException as error:
        run_file.update(cut_short=": ".join(filter(None, (type(error).__name__, str(error)))))
        watcher.note(f"cut short; judge what there is: labctl chaos check {run_file.folder.name}")
        raise
    finally:
        run_file.update(ended=_now())


class _Run:
    """A run in a steady lab, from the first operation to the last log."""

    def __init__(self, context: Context, plan: Plan, run_file: _RunFile, zero: float) -> None:
        self._context, self._plan, self._run_file = context, plan, run_file
        self._folder = folder = run_file.folder
        self._clock: Callable[[], float] = lambda: time.monotonic() - zero
        self._history = files.Lines(folder / files.HISTORY)
        self._workloads = context.workloads(plan.scenario, self._history.add, zero, plan.seed)
        self._observations = files.Lines(folder / files.OBSERVATIONS)
        self._prepared = context.prepared
        """The lab as the changes so far make it."""
        desired, lab = context.prepared.desired, context.prepared.lab
        self._observer = Observer(
            context.engine, desired, self._observations, self._clock, plan.services
        )
        self._injector = Injector(context.engine, lab, self._ask, plan.limit, self._workloads.names)
        self._faults = Schedule(
            context.engine,
            self._injector,
            plan.actions,
            folder=folder,
            clock=self._clock,
            watcher=context.watcher,
        )
        self._changes = Changer(
            context.engine,
            context.prepared,
            context.steps,
            keep=plan.keep,
            folder=folder,
            clock=self._clock,
            watcher=context.watcher,
            ask=self._ask,
            follow=self._follow,
        )
        self._over = Event()

    def _ask(self) -> Clusters:
        desired = self._prepared.desired
        return inspect(self._context.engine, desired, probes=(), path=_PARTS_SPEC).clusters

    def _follow(self, prepared: Prepared) -> None:
        """The lab is about to become another."""
        self._prepared = prepared
        self._observer.follow(prepared.desired)
        self._injector.follow(prepared.lab)

    def go(self) -> None:
        """Carry the plan out; an error is raised once faults are healed and all is recorded."""
        progress = Thread(target=self._report_progress, daemon=True)
        try:
            self._observer.start()
            progress.start()
            self._workloads.start()
            self._context.watcher.note(f"{len(self._workloads.counts())} workloads have started")
            self._await_first_answers()
            self._run_file.update(workloads_began=round(self._clock(), 3))
            latest = self._plan.limit - self._plan.tail
            self._changes.start(latest)
            self._faults.run(latest)
            self._changes.join(self._plan.limit)
            self._faults.end()
            self._settle()
        finally:
            self._changes.end()
            self._faults.end()
            with suppress(LabctlError):
                healing = verbs.heal_all(self._context.engine, self._context.prepared.lab)
                for left in healing.left.values():
                    self._context.watcher.note(left)
            self._finish()
            self._over.set()
            self._observer.stop()
            self._observations.close()
            self._record_counts()
        self._changes.change_back()
        if self._plan.changes:
            self._run_file.update(sealed=files.seal(self._folder))

    def _await_first_answers(self) -> None:
        """Wait until each workload was served once: what was never there cannot be lost.

        The run goes on without those that were not served in time; its verdict says that they
        tested nothing.
        """
        ends = [a.at if a.heal_at is None else a.heal_at for a in self._plan.actions]
        ends += [change.at for change in self._plan.changes]
        spare = self._plan.limit - self._plan.tail - max(ends, default=0.0) - self._clock()
        limit = self._clock() + min(_FIRST_ANSWERS, spare)
        while silent := [name for name, n in self._workloads.counts().items() if not n.get("ok")]:
            if self._clock() >= limit:
                self._context.watcher.note(f"no answer yet for {', '.join(silent)}")
                return
            Event().wait(0.2)

    def _settle(self) -> None:
        """Wait until the lab is steady again, then let the workloads go on for the tail."""
        after = _steady(self._context.engine, self._prepared, self._plan, self._plan.within)
        healed = [row["healed"] for row in self._faults.rows if row["healed"] is not None]
        healed += [row["ended"] for row in self._changes.rows if row["ended"] is not None]
        after["took"] = round(self._clock() - max(healed, default=self._clock()), 3)
        self._run_file.update(steady={**self._run_file.data["steady"], "after": after})
        self._context.watcher.note(
            "the lab is steady again" if after["held"] else f"not steady: {_first_reason(after)}"
        )
        left = self._plan.limit - self._clock()
        Event().wait(max(0.0, min(self._plan.tail, left)))
        if self._clock() > self._plan.limit + self._plan.within:
            reason = f"it took longer than its limit of {self._plan.limit:g} s"
            self._run_file.update(cut_short=reason)

    def _finish(self) -> None:
        """Stop the workloads and record what the stores hold, and the logs."""
        problems: list[str] = []
        try:
            self._workloads.stop()
        except LabctlError as error:
            # The history lacks the ends of operations, and with them what these would tell.
            self._run_file.update(cut_short=self._run_file.data["cut_short"] or str(error))
        with _collecting(problems):
            files.write_json(self._folder, files.FINALS, dict(self._workloads.finals()))
        with _collecting(problems):
            self._workloads.clean()
        self._history.close()
        files.sort_lines(self._folder / files.HISTORY)
        self._run_file.update(counts=dict(self._workloads.counts()), problems=problems)
        self._save_logs()

    def _record_counts(self) -> None:
        """Record how many lines each file has: a run with fewer must not be judged."""
        written = {files.HISTORY: self._history, files.OBSERVATIONS: self._observations}
        missed = [f"{lines.missed} of {name}" for name, lines in written.items() if lines.missed]
        if missed:
            reason = f"lines found no room or came too late: {', '.join(missed)}"
            self._run_file.update(cut_short=reason)
        counts = {name: lines.written for name, lines in written.items()}
        sealed = files.seal(self._folder)
        self._run_file.update(lines=counts, sealed=sealed, seconds=round(self._clock(), 3))

    def _save_logs(self) -> None:
        lab = self._prepared.lab
        hit = {name for row in self._faults.rows for name in row["targets"]}
        for instance in lab.instances:
            if instance.service.name in self._plan.services or instance.name in hit:
                with suppress(LabctlError):
                    text = self._context.engine.logs(lab.container(instance), _LOG_LINES)
                    name = f"{files.LOGS}/{instance.node.name}-{instance.service.name}.log"
                    files.write(self._folder, name, text)

    def _report_progress(self) -> None:
        while not self._over.wait(_PROGRESS_INTERVAL):
            now = [*self._faults.broken, *filter(None, [self._changes.going_on])]
            self._context.watcher.now(now, self._workloads.counts())


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Keep an expected error as a sentence instead of raising it."""
    try:
        yield
    except LabctlError as error:
        problems.append(str(error))


def _about(context: Context, plan: Plan, name: str) -> dict[str, Any]:
    lab, desired = context.prepared.lab, context.prepared.desired
    engine = context.engine.info()
    return {
        "format": files.FORMAT,
        "run": name,
        "scenario": plan.scenario.name,
        "lab": lab.name,
        "topology": lab.topology,
        "profile": lab.profile,
        "seed": plan.seed,
        "began": _now(),
        "labctl": __version__,
        "versions": {role: tag.partition(":")[2] for role, tag in desired.images.items()},
        "engine": f"{engine.kind} {engine.version}",
        "clock": "seconds since the run began, monotonic",
        "settings": settings.effective(desired),
        "services": settings.places(lab),
        "vip": lab.vip,
        "nodes": {node.name: node.address for node in lab.nodes},
        "replayed": plan.replayed,
        "cut_short": None,
    }


def _steady(engine: Engine, prepared: Prepared, plan: Plan, within: float) -> dict[str, Any]:
    """Whether the lab is steady within so many seconds, if the plan asks for that."""
    if not plan.healthy:
        return {"held": True, "said": ["not asked for"]}
    return await_steady(engine, prepared.desired, within)


def _first_reason(steady: dict[str, Any]) -> str:
    return next(iter(steady["said"]), "no reason is known")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
