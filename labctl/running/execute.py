"""Run a plan: as parallel as the machine allows, critical path first, readiness by events."""

from __future__ import annotations

import heapq
import os
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from graphlib import TopologicalSorter
from typing import Protocol

from labctl.engine.port import Engine, Stream
from labctl.errors import LabctlError, LabError
from labctl.host.parallel import threads
from labctl.planning.desired import Desired
from labctl.planning.steps import (
    AwaitReady,
    BuildImage,
    Plan,
    Remove,
    RunJob,
    StartInstance,
    Step,
    Stop,
)
from labctl.running import probe
from labctl.running.actions import Actions

CHECK_SECONDS = 4.0
"""How often to check that nothing has died; this takes 60 ms of CPU time in a large lab."""
SLOT_SECONDS = 0.3
"""How often to check for a free slot while steps wait for one."""
BUILDS = 2
"""How many images are built at a time."""
STARTING = 4
"""How many heavy instances per CPU may be starting at a time. With more, none would be ready
sooner, and each would be so slow that logins with a timeout of seconds fail."""
UNASKED = 3.0
"""An instance without a probe counts as starting for this many seconds per CPU-second of cost."""
HEAVY = 0.5
"""CPU-seconds to readiness that make an instance heavy: it counts against the limit STARTING."""
GRACE = 30.0
"""Seconds after which an instance stops counting as starting: it is not waiting for a CPU then."""


class Report(Protocol):
    """Receives progress: the command line's display, or a test."""

    def planned(self, plan: Plan) -> None:
        """The plan, before its first step."""

    def started(self, step: Step) -> None:
        """A step begins."""

    def done(self, step: Step, seconds: float) -> None:
        """A step succeeded."""

    def note(self, text: str) -> None:
        """A line of progress, such as an image build's."""

    def answer(self, name: str, answer: probe.Answer) -> None:
        """A probe's new result."""


@dataclass(frozen=True)
class _StepEnded:
    """A worker's step ended, with its error if it failed."""

    step: Step
    error: BaseException | None


@dataclass(frozen=True)
class _ProberEnded:
    """A prober has ended, which it does not do while labctl listens and its container lives."""

    stream: Stream


_Event = _StepEnded | _ProberEnded | tuple[str, probe.Answer]


class _Slot(Enum):
    """What a step occupies while it runs; ``HEAVY``: a worker, and a share of STARTING."""

    JOB, BUILD, HEAVY, WORKER = auto(), auto(), auto(), auto()


@dataclass
class _State:
    done: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    details: dict[str, str] = field(default_factory=dict)
    awaited: dict[str, tuple[AwaitReady, float]] = field(default_factory=dict)
    """Step id → step, and the monotonic time at which waiting began."""
    running: dict[str, tuple[Step, float]] = field(default_factory=dict)
    failure: BaseException | None = None
    failed: frozenset[str] = frozenset()
    """Ids of the steps that failed."""


class Executor:
    """Runs one plan once."""

    def __init__(
        self,
        engine: Engine,
        desired: Desired,
        plan: Plan,
        ready: Iterable[str],
        report: Report,
        *,
        only: Collection[str] | None = None,
        workers: int | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """``only``: instances that must keep running (default all); ``workers``: most at a time.

        Once ``stopped`` says so, the run fails: no more steps are started, running ones finish.
        """
        self._stopped = stopped
        self._engine, self._desired, self._plan, self._report = engine, desired, plan, report
        self._actions = Actions(engine, desired, report.note)
        starting = {s.instance for s in plan.steps.values() if isinstance(s, StartInstance)}
        self._live = set(desired.instances if only is None else only) - starting
        """Instances that have to be running now."""
        self._names = {unit.spec.name: name for name, unit in desired.instances.items()}
        cpus = os.cpu_count() or 2
        self._workers, self._most_starting = workers or 2 * cpus, STARTING * cpus
        self._starting: dict[str, float] = {}
        """Heavy instance → monotonic time until which it counts as starting, unless it is ready."""
        self._state = _State(ready=set(ready))
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._order = TopologicalSorter({step.id: step.needs for step in plan.steps.values()})
        self._order.prepare()
        self._eligible: dict[_Slot, list[tuple[float, str]]] = {slot: [] for slot in _Slot}
        """Steps whose needs are met, by the slot that they wait for: heaps, critical path first."""
        self._awaiting: defaultdict[str, list[str]] = defaultdict(list)
        """Probe → steps that wait for it."""
        for step in plan.steps.values():
            for name in step.probes if isinstance(step, AwaitReady) else ():
                self._awaiting[name].append(step.id)
        self._changed: set[str] = set()
        """Awaited steps to check: new ones, and those with a new answer."""
        self._asked: set[str] = set()
        self._stream: Stream | None = None

    def run(self) -> None:
        """Run the whole plan; raises the first failure, and says what was not started.

        After a failure no more steps are started, but running ones finish. An interrupt ends it at
        once: threads end with the process. At the end all instances are checked once more, because
        some have no probe that would notice that they have died.
        """
        self._report.planned(self._plan)
        checked = time.monotonic()
        with threads(max(32, self._workers)) as pool:
            try:
                while self._advance(pool):
                    # A slot can also become free without an event, by the passing of time.
                    waiting = any(self._eligible.values())
                    self._process_events(SLOT_SECONDS if waiting else CHECK_SECONDS)
                    if time.monotonic() - checked > CHECK_SECONDS:
                        self._check()
                        checked = time.monotonic()
                self._check()
            finally:
                if self._stream is not None:
                    self._stream.close()
        if self._state.failure is not None:
            raise self._explained(self._state.failure)

    def _advance(self, pool: ThreadPoolExecutor) -> bool:
        """Start all steps that can start now; False when there is nothing left to wait for."""
        self._release()
        self._submit(pool)
        state = self._state
        if state.failure is not None:
            return bool(state.running)
        return self._order.is_active()

    def _release(self) -> None:
        """Queue steps whose needs are met: for a slot, or to wait for their probes."""
        state = self._state
        if state.failure is not None:
            return
        self._finish_ready()
        # Finished steps release further ones, which may be ready as well.
        while released := self._order.get_ready():
            for name in released:
                step = self._plan.steps[name]
                if isinstance(step, AwaitReady):
                    state.awaited[name] = (step, time.monotonic())
                    self._changed.add(name)
                    self._report.started(step)
                else:
                    item = (-self._plan.remaining[name], name)
                    heapq.heappush(self._eligible[self._slot(step)], item)
            self._finish_ready()

    def _finish_ready(self) -> None:
        """Finish awaited steps whose probes have all answered; have the other probes asked."""
        state, silent = self._state, set[str]()
        for name in sorted(self._changed & state.awaited.keys()):
            step, since = state.awaited[name]
            unanswered = [probe for probe in step.probes if probe not in state.ready]
            silent.update(unanswered)
            if not unanswered:
                del state.awaited[name]
                self._finish(step, since)
        self._changed.clear()
        self._ask(silent)

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        """Submit steps to the workers while slots are free, critical path first."""
        state = self._state
        if state.failure is not None:
            return
        while heaps := [h for slot, h in self._eligible.items() if h and self._is_free(slot)]:
            _, name = heapq.heappop(min(heaps, key=lambda heap: heap[0]))
            step = self._plan.steps[name]
            state.running[name] = (step, time.monotonic())
            if isinstance(step, StartInstance) and self._cost(step) >= HEAVY:
                has_probe = step.instance in self._desired.probes
                counts = GRACE if has_probe else min(GRACE, UNASKED * self._cost(step))
                self._starting[step.instance] = time.monotonic() + counts
            self._report.started(step)
            if isinstance(step, Remove | Stop):
                self._take_down(step.container)
            if isinstance(step, StartInstance):
                # Earlier answers are out of date. Not when it has started: the prober may have
                # met it by then, and says only what changes.
                state.ready.discard(step.instance)
            future = pool.submit(self._actions.do, step)
            future.add_done_callback(partial(self._ended, step))

    def _take_down(self, container: str) -> None:
        """What is known of an instance is not true any more; nor does a prober in it go on."""
        name = self._names.get(container, "")
        self._live.discard(name)
        self._state.ready.discard(name)
        if name == self._desired.lab.toolbox.name and self._stream is not None:
            self._stream.close()
            self._stream = None
            self._asked.clear()

    def _ended(self, step: Step, future: Future[None]) -> None:
        if not future.cancelled():  # as those are that had not begun at an interrupt
            self._events.put(_StepEnded(step, future.exception()))

    def _slot(self, step: Step) -> _Slot:
        """The kind of slot that a step needs."""
        if isinstance(step, RunJob):
            return _Slot.JOB
        if isinstance(step, BuildImage):
            return _Slot.BUILD
        heavy = isinstance(step, StartInstance) and self._cost(step) >= HEAVY
        return _Slot.HEAVY if heavy else _Slot.WORKER

    def _is_free(self, slot: _Slot) -> bool:
        """Whether a slot of this kind is free. Jobs are unlimited: they only wait."""
        if slot is _Slot.JOB:
            return True
        running = [self._slot(each) for each, _ in self._state.running.values()]
        if slot is _Slot.BUILD:
            return running.count(_Slot.BUILD) < BUILDS
        if slot is _Slot.HEAVY:
            now, ready = time.monotonic(), self._state.ready
            self._starting = {name: t for name, t in self._starting.items() if now < t}
            if sum(name not in ready for name in self._starting) >= self._most_starting:
                return False
        return running.count(_Slot.WORKER) + running.count(_Slot.HEAVY) < self._workers

    def _cost(self, step: StartInstance) -> float:
        """CPU-seconds until the instance is ready."""
        return self._desired.lab.services[step.instance.partition("/")[2]].doc.cost

    def _process_events(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds for an event, then handle all that have arrived."""
        with suppress(queue.Empty):
            self._handle(self._events.get(timeout=timeout))
            while True:
                self._handle(self._events.get_nowait())

    def _handle(self, event: _Event) -> None:
        state = self._state
        if isinstance(event, _StepEnded):
            step, since = state.running.pop(event.step.id)
            if event.error is None:
                self._finish(step, since)
            else:
                self._fail(event.error, {step.id})
            return
        if isinstance(event, _ProberEnded):
            if state.failure is None and event.stream is self._stream:
                self._fail(self._prober_failure(), state.awaited)
            return
        name, answer = event
        state.details[name] = answer.detail
        (state.ready.add if answer.ready else state.ready.discard)(name)
        self._changed.update(self._awaiting[name])
        self._report.answer(name, answer)

    def _finish(self, step: Step, since: float) -> None:
        self._state.done.add(step.id)
        self._order.done(step.id)
        if isinstance(step, StartInstance):
            self._live.add(step.instance)
            self._changed.update(self._awaiting[step.instance])
        self._report.done(step, time.monotonic() - since)

    # readiness

    def _ask(self, wanted: set[str]) -> None:
        """Have the prober ask these probes as well, if it does not yet."""
        if wanted <= self._asked:
            return
        self._asked |= wanted
        probe.put_spec(self._engine, self._desired, self._asked, final=False)
        if self._stream is None:
            self._stream = probe.watch(self._engine, self._desired)
            threading.Thread(target=self._listen, args=(self._stream,), daemon=True).start()

    def _listen(self, stream: Stream) -> None:
        for line in stream:
            answer = probe.parse(line)
            if answer is not None:
                self._events.put(answer)
        self._events.put(_ProberEnded(stream))

    # failures

    def _check(self) -> None:
        """Fail if an instance has died or a step has waited too long."""
        state = self._state
        if state.failure is None and self._stopped():
            self._fail(LabError("it was stopped before its end"), ())
        if state.failure is None:
            self._check_alive()
        if state.failure is None:
            self._check_timeouts()

    def _check_alive(self) -> None:
        """What has been started, or ran before, must run."""
        if not self._live:
            return
        there = {c.name: c for c in self._engine.containers(self._desired.lab.name)}
        for name in sorted(self._live):
            container = there.get(self._desired.instances[name].spec.name)
            if container is None or container.status in ("exited", "dead"):
                code = container.exit_code if container else None
                self._fail_instance(name, f"ended with exit code {code}")
                return

    def _check_timeouts(self) -> None:
        for step, since in self._state.awaited.values():
            waited = time.monotonic() - since
            silent = [name for name in step.probes if name not in self._state.ready]
            if waited > step.timeout and silent:
                detail = self._state.details.get(silent[0], "no answer")
                what = f"is not ready {waited:.0f} s after it was started ({detail})"
                self._fail_instance(silent[0], what)
                return

    def _fail_instance(self, name: str, what: str) -> None:
        """Fail because of an instance, or of a service at the virtual IP (``vip/service``)."""
        unit = self._desired.instances.get(name)
        service = name.partition("/")[2]
        if unit is None:
            failure = LabError(f"{service} at the virtual IP {self._desired.lab.vip} {what}")
        else:
            log = self._actions.log(unit.spec.name)
            failure = LabError(f"{name} {what}; its log ends:\n{log}")
        self._fail(failure, self._steps_of({f"start:{name}", f"ready:{name}", f"ready:{service}"}))

    def _steps_of(self, names: Collection[str]) -> set[str]:
        """The steps of these names, in whatever stage."""
        return {step for step in self._plan.steps if step.partition("#")[0] in names}

    def _fail(self, failure: BaseException, steps: Iterable[str]) -> None:
        """End the run, because of these steps."""
        if self._state.failure is None:
            self._state.failure, self._state.failed = failure, frozenset(steps)

    def _prober_failure(self) -> LabctlError:
        """Why the prober ended, found out by running it once more."""
        try:
            probe.inspect(self._engine, self._desired)
        except LabctlError as error:
            return error
        return LabError(f"the prober in {probe.client_container(self._desired.lab)} ended early")

    def _explained(self, failure: BaseException) -> BaseException:
        """The failure, with what was not started: what waits for the failed steps, then others."""
        if not isinstance(failure, LabctlError):
            return failure
        waiting = self._plan.users(self._state.failed)
        ended = self._state.done | self._state.failed
        unstarted = [s for s in self._plan.steps.values() if s.id not in ended]
        dependent = self._shown(step for step in unstarted if step.id in waiting)
        others = self._shown(step for step in unstarted if step.id not in waiting)
        lines = [
            str(failure),
            f"not started, because it waits for this: {dependent}" if dependent else "",
            f"also not started: {others}" if others else "",
        ]
        return type(failure)("\n".join(filter(None, lines)))

    def _shown(self, steps: Iterable[Step]) -> str:
        """The instances and jobs of steps; for all instances of a service, its name."""
        missing: dict[str, list[str]] = {}
        jobs = []
        for step in steps:
            if isinstance(step, StartInstance):
                node, _, service = step.instance.partition("/")
                missing.setdefault(service, []).append(node)
            elif isinstance(step, RunJob):
                jobs.append(f"{step.service}/{step.job}")
        services = self._desired.lab.services
        return ", ".join(
            [
                service
                if len(nodes) == len(services[service].nodes)
                else ", ".join(f"{node}/{service}" for node in nodes)
                for service, nodes in missing.items()
            ]
            + [f"job {job}" for job in jobs]
        )
