"""Runs a plan: as wide as the machine allows, the critical path first, readiness by events."""

from __future__ import annotations

import heapq
import os
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
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
"""How often the engine is asked whether something has died; it takes a large lab 60 ms of a CPU."""
LOOK_SECONDS = 0.3
"""How often it is looked whether there is room for what is to be started."""
BUILDS = 2
"""Images built at a time."""
STARTING = 4
"""Instances for each CPU that may be on their way to readiness at a time. More would not be ready
sooner, but each would be slow: logins that give up after seconds fail then."""
UNASKED = 3.0
"""Seconds for each CPU-second that one counts whose readiness nobody can ask."""
HEAVY = 0.5
"""CPU-seconds to readiness from which on an instance counts as such."""
GRACE = 30.0
"""Seconds after which it does not count any more: it waits for something else than a CPU, perhaps
for one that is not started yet."""


class Report(Protocol):
    """Who is told what happens: the command line's display, or a test."""

    def planned(self, plan: Plan) -> None:
        """All that will be done."""

    def started(self, step: Step) -> None:
        """A step begins."""

    def done(self, step: Step, seconds: float) -> None:
        """A step ended well."""

    def note(self, text: str) -> None:
        """Something worth a line, such as an image build's progress."""

    def answer(self, name: str, answer: probe.Answer) -> None:
        """What a probe met."""


@dataclass(frozen=True)
class _Ended:
    """A worker's step ended, with its error if it failed."""

    step: Step
    error: BaseException | None


@dataclass(frozen=True)
class _Silence:
    """A prober has ended, which it does not do while labctl listens and its container lives."""

    stream: Stream


_Event = _Ended | _Silence | tuple[str, probe.Answer]


class _Place(Enum):
    """What a step takes while it runs; ``HEAVY`` is a worker and a place among those starting."""

    JOB, BUILD, HEAVY, WORKER = auto(), auto(), auto(), auto()


@dataclass
class _State:
    done: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    details: dict[str, str] = field(default_factory=dict)
    awaited: dict[str, tuple[AwaitReady, float]] = field(default_factory=dict)
    """Step id → step and the monotonic time since when it is awaited."""
    running: dict[str, tuple[Step, float]] = field(default_factory=dict)
    failure: BaseException | None = None
    failed: frozenset[str] = frozenset()
    """The steps that the failure is about."""


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
    ) -> None:
        """``only``: the instances that must live; all of the lab when left out."""
        self._engine, self._desired, self._plan, self._report = engine, desired, plan, report
        self._actions = Actions(engine, desired, report.note)
        starting = {s.instance for s in plan.steps.values() if isinstance(s, StartInstance)}
        self._live = set(desired.instances if only is None else only) - starting
        """Instances that have to be running now."""
        self._names = {unit.spec.name: name for name, unit in desired.instances.items()}
        cpus = os.cpu_count() or 2
        self._workers, self._most_starting = workers or 2 * cpus, STARTING * cpus
        self._starting: dict[str, float] = {}
        """Heavy instance → the monotonic time until which it counts, unless it answers before."""
        self._state = _State(ready=set(ready))
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._order = TopologicalSorter({step.id: step.needs for step in plan.steps.values()})
        self._order.prepare()
        self._eligible: dict[_Place, list[tuple[float, str]]] = {place: [] for place in _Place}
        """Steps whose needs are met, by what they wait for: heaps, critical path first."""
        self._awaiting: defaultdict[str, list[str]] = defaultdict(list)
        """Probe → the steps that await it."""
        for step in plan.steps.values():
            for name in step.probes if isinstance(step, AwaitReady) else ():
                self._awaiting[name].append(step.id)
        self._changed: set[str] = set()
        """Awaited steps to look at: new ones, and those with an answer that is new."""
        self._asked: set[str] = set()
        self._stream: Stream | None = None

    def run(self) -> None:
        """Do everything; the first failure ends it, when what was begun has ended.

        An interrupt ends it at once: what goes on in threads ends with the process.

        In the end everything must still run: some things cannot be asked.
        """
        self._report.planned(self._plan)
        checked = time.monotonic()
        with threads(max(32, self._workers)) as pool:
            try:
                while self._advance(pool):
                    # What waits for its place gets one when time has passed, too.
                    self._take(LOOK_SECONDS if any(self._eligible.values()) else CHECK_SECONDS)
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
        """Begin all that can begin now; False when nothing is left to wait for."""
        self._release()
        self._submit(pool)
        state = self._state
        if state.failure is not None:
            return bool(state.running)
        return self._order.is_active()

    def _release(self) -> None:
        """Move steps whose needs are met on: to the workers' heap, or to the awaited."""
        state = self._state
        if state.failure is not None:
            return
        self._look()
        # What is found ready lets further steps begin, and those may be ready as well.
        while released := self._order.get_ready():
            for name in released:
                step = self._plan.steps[name]
                if isinstance(step, AwaitReady):
                    state.awaited[name] = (step, time.monotonic())
                    self._changed.add(name)
                    self._report.started(step)
                else:
                    item = (-self._plan.remaining[name], name)
                    heapq.heappush(self._eligible[self._place(step)], item)
            self._look()

    def _look(self) -> None:
        """Finish what is awaited no longer, and have what is still silent asked."""
        state, silent = self._state, set[str]()
        for name in sorted(self._changed & state.awaited.keys()):
            step, since = state.awaited[name]
            left = [probe for probe in step.probes if probe not in state.ready]
            silent.update(left)
            if not left:
                del state.awaited[name]
                self._finish(step, since)
        self._changed.clear()
        self._ask(silent)

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        """Give the workers what they can take, the critical path first."""
        state = self._state
        if state.failure is not None:
            return
        while heaps := [h for place, h in self._eligible.items() if h and self._room(place)]:
            _, name = heapq.heappop(min(heaps, key=lambda heap: heap[0]))
            step = self._plan.steps[name]
            state.running[name] = (step, time.monotonic())
            if isinstance(step, StartInstance) and self._cost(step) >= HEAVY:
                asked = step.instance in self._desired.probes
                counts = GRACE if asked else min(GRACE, UNASKED * self._cost(step))
                self._starting[step.instance] = time.monotonic() + counts
            self._report.started(step)
            if isinstance(step, Remove | Stop):
                self._take_down(step.container)
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
        self._events.put(_Ended(step, future.exception()))

    def _place(self, step: Step) -> _Place:
        """What a step needs a place among: jobs only wait and need none, builds are few."""
        if isinstance(step, RunJob):
            return _Place.JOB
        if isinstance(step, BuildImage):
            return _Place.BUILD
        heavy = isinstance(step, StartInstance) and self._cost(step) >= HEAVY
        return _Place.HEAVY if heavy else _Place.WORKER

    def _room(self, place: _Place) -> bool:
        """Whether there is one."""
        if place is _Place.JOB:
            return True
        running = [self._place(each) for each, _ in self._state.running.values()]
        if place is _Place.BUILD:
            return running.count(_Place.BUILD) < BUILDS
        if place is _Place.HEAVY:
            now, ready = time.monotonic(), self._state.ready
            self._starting = {name: t for name, t in self._starting.items() if now < t}
            if sum(name not in ready for name in self._starting) >= self._most_starting:
                return False
        return running.count(_Place.WORKER) + running.count(_Place.HEAVY) < self._workers

    def _cost(self, step: StartInstance) -> float:
        """CPU-seconds until the instance answers."""
        return self._desired.lab.services[step.instance.partition("/")[2]].doc.cost

    def _take(self, timeout: float) -> None:
        """Wait for an event and take in all that have come."""
        try:
            event = self._events.get(timeout=timeout)
            while True:
                self._handle(event)
                event = self._events.get_nowait()
        except queue.Empty:
            return

    def _handle(self, event: _Event) -> None:
        state = self._state
        if isinstance(event, _Ended):
            step, since = state.running.pop(event.step.id)
            if event.error is None:
                self._finish(step, since)
            else:
                self._fail(event.error, {step.id})
            return
        if isinstance(event, _Silence):
            if state.failure is None and event.stream is self._stream:
                self._fail(self._unheard(), state.awaited)
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
            # It runs anew: what was known of it is not true any more.
            self._live.add(step.instance)
            self._state.ready.discard(step.instance)
            self._changed.update(self._awaiting[step.instance])
        self._report.done(step, time.monotonic() - since)

    # readiness

    def _ask(self, wanted: set[str]) -> None:
        """Have the prober ask what is awaited now."""
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
        self._events.put(_Silence(stream))

    # what goes wrong

    def _check(self) -> None:
        """Fail what has died, or waited too long."""
        state = self._state
        if state.failure is None:
            self._check_alive()
        if state.failure is None:
            self._check_patience()

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

    def _check_patience(self) -> None:
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

    def _unheard(self) -> LabctlError:
        """Why the prober ended: asked once more, it says."""
        try:
            probe.inspect(self._engine, self._desired)
        except LabctlError as error:
            return error
        return LabError(f"the prober in {probe.client_container(self._desired.lab)} ended early")

    def _explained(self, failure: BaseException) -> BaseException:
        """The failure, with what was not started: what waits for it, then the rest."""
        if not isinstance(failure, LabctlError):
            return failure
        waiting = self._plan.users(self._state.failed)
        gone = self._state.done | self._state.failed
        left = [s for s in self._plan.steps.values() if s.id not in gone]
        because = self._shown(step for step in left if step.id in waiting)
        besides = self._shown(step for step in left if step.id not in waiting)
        lines = [
            str(failure),
            f"not started, because it waits for this: {because}" if because else "",
            f"not started either: {besides}" if besides else "",
        ]
        return type(failure)("\n".join(filter(None, lines)))

    def _shown(self, steps: Iterable[Step]) -> str:
        """Instances and jobs of steps: a service's name when it is all of its instances."""
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
