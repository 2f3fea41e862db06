"""A scenario carried out against a lab: steady, begun, broken, healed, steady again, written down.

Whenever labctl is killed, the folder is readable, and the journal and the leases of the faults
heal the lab.
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
from labctl.chaos.run.clients import Hire
from labctl.chaos.run.injector import Action, Injector, require
from labctl.chaos.run.observer import Observer
from labctl.chaos.run.perform import Performance, Watcher
from labctl.engine.port import Engine
from labctl.errors import LabctlError
from labctl.faults import verbs
from labctl.faults.targets import Clusters
from labctl.running.lifecycle import Prepared
from labctl.running.probe import inspect
from labctl.running.status import Status, status

_LOOKS = 3
"""Looks at a lab that may be unsteady for a moment only, before it counts as not steady."""
_LOG_LINES = 5000
_AIM = "/run/labctl/aim.json"
"""The question who plays which part: its own file, for others ask meanwhile."""
_ANSWERS = 120.0
"""Seconds that the first answers may take: a stack is up after a minute on a busy machine."""
_TOLD = 2.0
"""Seconds between two words to the watcher on how it goes."""


@dataclass(frozen=True)
class Ground:
    """What a run stands on."""

    engine: Engine
    prepared: Prepared
    hire: Hire
    """Makes the scenario's workloads."""
    watcher: Watcher


@dataclass(frozen=True)
class Plan:
    """What a run is to do: the scenario, resolved. Times are seconds."""

    scenario: Any
    """The document; only ``name`` is read here, and the workloads by who makes them."""
    text: str
    """The document as it was given."""
    actions: Sequence[Action]
    seed: int
    services: Sequence[str]
    """Whose instances are watched, and whose logs are kept."""
    healthy: bool = True
    """Whether the lab must be healthy before and after."""
    within: float = 180.0
    """How long it may take to be healthy again."""
    tail: float = 10.0
    limit: float = 300.0
    replayed: str | None = None
    """The run whose timeline is repeated."""


@dataclass
class _Notes:
    """What the folder says beside histories: grows while the run goes on."""

    folder: Path
    about: dict[str, Any] = field(default_factory=dict)

    def say(self, **fields: Any) -> None:
        """Write it down at once."""
        self.about.update(fields)
        files.write_json(self.folder, files.RUN, self.about)


def run(ground: Ground, plan: Plan) -> Path:
    """Carry a plan out; the folder, for verdict and report. What was broken is healed.

    A lab that is not steady before is not touched. EngineError when the machine cannot do what a
    fault needs, before anything is touched; LabError when a workload cannot begin.
    """
    lab = ground.prepared.lab
    for left in verbs.expire(ground.engine, lab).left.values():
        ground.watcher.note(left)
    require(ground.engine, lab, [action.fault for action in plan.actions])
    folder, zero = files.make(lab.name), time.monotonic()
    notes = _Notes(folder)
    files.write(folder, files.SCENARIO, plan.text)
    for name in (files.HISTORY, files.OBSERVATIONS):
        files.write(folder, name, "")
    files.write_json(folder, files.TIMELINE, [])
    # Last: a folder that has it is a run's, and whole enough to be judged.
    notes.say(**_about(ground, plan, folder.name))
    with _noted(notes, ground.watcher):
        before = _steady(ground, plan, 0.0)
        notes.say(steady={"before": before, "after": {"held": None, "said": []}})
        if before["held"]:
            _Run(ground, plan, folder, notes, zero).go()
        else:
            notes.say(cut_short="the lab was not steady before: " + _first(before))
    return folder


@contextmanager
def _noted(notes: _Notes, watcher: Watcher) -> Iterator[None]:
    """Whatever ends a run, its folder says so, and a person learns where the folder is."""
    try:
        yield
    except BaseException as error:
        notes.say(cut_short=": ".join(filter(None, (type(error).__name__, str(error)))))
        watcher.note(f"cut short; what there is: labctl chaos check {notes.folder.name}")
        raise
    finally:
        notes.say(ended=_now())


class _Run:
    """One run, from the first operation to the last log."""

    def __init__(
        self, ground: Ground, plan: Plan, folder: Path, notes: _Notes, zero: float
    ) -> None:
        self._ground, self._plan, self._folder, self._notes = ground, plan, folder, notes
        self._clock: Callable[[], float] = lambda: time.monotonic() - zero
        self._history = files.Lines(folder / files.HISTORY)
        self._crew = ground.hire(plan.scenario, self._history.add, zero, plan.seed)
        rows = files.Lines(folder / files.OBSERVATIONS)
        desired = ground.prepared.desired
        self._rows = rows
        self._observer = Observer(ground.engine, desired, rows, self._clock, plan.services)

        def ask() -> Clusters:
            return inspect(ground.engine, desired, probes=(), path=_AIM).clusters

        lab = ground.prepared.lab
        injector = Injector(ground.engine, lab, ask, plan.limit, self._crew.names)
        self._faults = Performance(
            ground.engine,
            injector,
            plan.actions,
            folder=folder,
            clock=self._clock,
            watcher=ground.watcher,
        )
        self._over = Event()

    def go(self) -> None:
        """Carry it out; what fails is raised when all is put in order."""
        telling = Thread(target=self._tell, daemon=True)
        try:
            self._observer.start()
            telling.start()
            self._crew.start()
            self._ground.watcher.note(f"{len(self._crew.counts())} workloads have begun")
            self._await_answers()
            self._notes.say(workloads_began=round(self._clock(), 3))
            self._faults.run(self._plan.limit - self._plan.tail)
            self._faults.end()
            self._settle()
        finally:
            self._faults.end()
            with suppress(LabctlError):
                healing = verbs.heal_all(self._ground.engine, self._ground.prepared.lab)
                for left in healing.left.values():
                    self._ground.watcher.note(left)
            self._finish()
            self._over.set()
            self._observer.stop()
            self._rows.close()
            self._count()

    def _await_answers(self) -> None:
        """Wait until each workload was served once: what was never there cannot be lost.

        Who waits in vain goes on, and the verdict says that nothing was tested.
        """
        ends = (a.at if a.heal_at is None else a.heal_at for a in self._plan.actions)
        spare = self._plan.limit - self._plan.tail - max(ends, default=0.0) - self._clock()
        limit = self._clock() + min(_ANSWERS, spare)
        while silent := [name for name, n in self._crew.counts().items() if not n.get("ok")]:
            if self._clock() >= limit:
                self._ground.watcher.note(f"no answer yet for {', '.join(silent)}")
                return
            Event().wait(0.2)

    def _settle(self) -> None:
        """Wait until the lab is steady again, then let the workloads go on for the tail."""
        after = _steady(self._ground, self._plan, self._plan.within)
        after["took"] = round(self._clock() - max(self._healed(), default=self._clock()), 3)
        self._notes.say(steady={**self._notes.about["steady"], "after": after})
        self._ground.watcher.note(
            "the lab is steady again" if after["held"] else f"not steady: {_first(after)}"
        )
        left = self._plan.limit - self._clock()
        Event().wait(max(0.0, min(self._plan.tail, left)))
        if self._clock() > self._plan.limit + self._plan.within:
            self._notes.say(cut_short=f"it took longer than its limit of {self._plan.limit:g} s")

    def _healed(self) -> list[float]:
        return [row["healed"] for row in self._faults.rows if row["healed"] is not None]

    def _finish(self) -> None:
        problems: list[str] = []
        try:
            self._crew.stop()
        except LabctlError as error:
            # The history lacks ends, and what they would tell.
            self._notes.say(cut_short=self._notes.about["cut_short"] or str(error))
        with _collecting(problems):
            files.write_json(self._folder, files.FINALS, dict(self._crew.finals()))
        with _collecting(problems):
            self._crew.clean()
        self._history.close()
        files.sort_lines(self._folder / files.HISTORY)
        self._notes.say(counts=dict(self._crew.counts()), problems=problems)
        self._logs()

    def _count(self) -> None:
        """How many lines there must be: with fewer of them nobody may judge."""
        kept = {files.HISTORY: self._history, files.OBSERVATIONS: self._rows}
        missed = [f"{lines.missed} of {name}" for name, lines in kept.items() if lines.missed]
        if missed:
            self._notes.say(cut_short=f"lines found no room or came too late: {', '.join(missed)}")
        counted = {name: lines.written for name, lines in kept.items()}
        self._notes.say(lines=counted, seconds=round(self._clock(), 3))

    def _logs(self) -> None:
        lab = self._ground.prepared.lab
        hit = {name for row in self._faults.rows for name in row["targets"]}
        for instance in lab.instances:
            concerned = instance.service.name in self._plan.services
            if concerned or instance.name in hit:
                with suppress(LabctlError):
                    text = self._ground.engine.logs(lab.container(instance), _LOG_LINES)
                    name = f"{files.LOGS}/{instance.node.name}-{instance.service.name}.log"
                    files.write(self._folder, name, text)

    def _tell(self) -> None:
        while not self._over.wait(_TOLD):
            self._ground.watcher.now(self._faults.broken, self._crew.counts())


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Keep an expected error as a sentence instead of raising it."""
    try:
        yield
    except LabctlError as error:
        problems.append(str(error))


def _about(ground: Ground, plan: Plan, name: str) -> dict[str, Any]:
    lab, desired = ground.prepared.lab, ground.prepared.desired
    about = ground.engine.info()
    return {
        "format": 1,
        "run": name,
        "scenario": plan.scenario.name,
        "lab": lab.name,
        "topology": lab.topology,
        "profile": lab.profile,
        "seed": plan.seed,
        "began": _now(),
        "labctl": __version__,
        "versions": {role: tag.partition(":")[2] for role, tag in desired.images.items()},
        "engine": f"{about.kind} {about.version}",
        "clock": "seconds since the run began, monotonic",
        "settings": settings.effective(desired),
        "vip": lab.vip,
        "nodes": {node.name: node.address for node in lab.nodes},
        "replayed": plan.replayed,
        "cut_short": None,
    }


def _steady(ground: Ground, plan: Plan, seconds: float) -> dict[str, Any]:
    """Whether the lab is healthy, or is within so many seconds; and what is not."""
    if not plan.healthy:
        return {"held": True, "said": ["not asked for"]}
    limit, looks = time.monotonic() + seconds, 0
    while True:
        looks += 1
        said = _unwell(ground)
        if not said:
            return {"held": True, "said": []}
        if looks >= _LOOKS and time.monotonic() > limit:
            return {"held": False, "said": said}
        Event().wait(1.0)


def _unwell(ground: Ground) -> list[str]:
    """Why the lab is not healthy; empty when it is."""
    try:
        seen: Status = status(ground.engine, ground.prepared.desired)
    except LabctlError as error:
        return [str(error)]
    said = _rivals(seen)
    if seen["state"] == "healthy" and not seen["faults"]:
        return said
    said += [f"{fault['fault']} is in force" for fault in seen["faults"]]
    if len(seen["vip"]["holders"]) > 1:
        said.append(f"{' and '.join(seen['vip']['holders'])} hold the virtual IP")
    said += [
        f"{node['name']}/{instance['service']}: {instance['detail']}"
        for node in seen["nodes"]
        for instance in node["instances"]
        if not instance["ready"]
    ]
    said += [
        f"{kind} has {cluster.get('size')} of {cluster.get('expected')} members"
        for kind, cluster in seen["clusters"].items()
        if cluster.get("size") != cluster.get("expected")
    ]
    return said[:20] or [f"labctl status says {seen['state']}"]


def _rivals(seen: Status) -> list[str]:
    """Members that all lead one cluster: it answers, and somebody has not been told yet.

    Sentinels make a replica of a master that comes back after 8 s and at their next question, which
    they ask each 10 s.
    """
    return [
        f"{' and '.join(names)} are {part} of {kind}"
        for kind, cluster in seen["clusters"].items()
        for part in ("masters", "primaries")
        if len(names := cluster.get(part) or ()) > 1
    ]


def _first(steady: dict[str, Any]) -> str:
    return next(iter(steady["said"]), "nobody knows why")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
