"""Runs a plan: as wide as the machine allows, the longest chain first, readiness by events."""

from __future__ import annotations

import heapq
import os
import queue
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from labctl import probe
from labctl.actions import Actions
from labctl.desired import Desired
from labctl.engine.port import Engine, Stream
from labctl.errors import LabctlError, LabError
from labctl.steps import AwaitReady, BuildImage, Plan, RunJob, StartInstance, Step

CHECK_SECONDS = 2.0
"""How often the engine is asked whether something that is awaited has died."""
BUILDS = 2
"""Images built at a time."""


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
    """The prober has ended, which it does not do while labctl listens."""


_Event = _Ended | _Silence | tuple[str, probe.Answer]


@dataclass
class _State:
    waiting: dict[str, Step]
    done: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    details: dict[str, str] = field(default_factory=dict)
    awaited: dict[str, tuple[AwaitReady, float]] = field(default_factory=dict)
    """Step id → step and the monotonic time since when it is awaited."""
    running: dict[str, tuple[Step, float]] = field(default_factory=dict)
    failure: BaseException | None = None


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
        workers: int | None = None,
    ) -> None:
        self._engine, self._desired, self._plan, self._report = engine, desired, plan, report
        self._actions = Actions(engine, desired, report.note)
        self._workers = workers or 2 * (os.cpu_count() or 2)
        self._state = _State(waiting=dict(plan.steps), ready=set(ready))
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._eligible: list[tuple[float, str]] = []
        self._asked: set[str] = set()
        self._stream: Stream | None = None

    def run(self) -> None:
        """Do everything; the first failure ends it, when what was begun has ended."""
        self._report.planned(self._plan)
        checked = time.monotonic()
        with ThreadPoolExecutor(max_workers=max(32, self._workers)) as pool:
            try:
                while self._advance(pool):
                    self._take(CHECK_SECONDS)
                    if time.monotonic() - checked > CHECK_SECONDS:
                        self._check()
                        checked = time.monotonic()
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
        return bool(state.waiting or state.running or state.awaited or self._eligible)

    def _release(self) -> None:
        """Move steps whose needs are met on: to the workers' heap, or to the awaited."""
        state = self._state
        if state.failure is not None:
            return
        progress = True
        while progress:
            progress = False
            for step in [s for s in state.waiting.values() if s.needs <= state.done]:
                del state.waiting[step.id]
                if isinstance(step, AwaitReady):
                    state.awaited[step.id] = (step, time.monotonic())
                    self._report.started(step)
                else:
                    heapq.heappush(self._eligible, (-self._plan.remaining[step.id], step.id))
            self._ask()
            for step, since in list(state.awaited.values()):
                if state.ready.issuperset(step.probes):
                    del state.awaited[step.id]
                    self._finish(step, since)
                    progress = True

    def _submit(self, pool: ThreadPoolExecutor) -> None:
        """Give the workers what they can take, what the longest chain hangs on first."""
        state = self._state
        if state.failure is not None:
            return
        put_back = []
        while self._eligible:
            rank, name = heapq.heappop(self._eligible)
            step = self._plan.steps[name]
            if not self._room(step):
                put_back.append((rank, name))
                continue
            state.running[name] = (step, time.monotonic())
            self._report.started(step)
            future = pool.submit(self._actions.do, step)
            future.add_done_callback(partial(self._ended, step))
        for item in put_back:
            heapq.heappush(self._eligible, item)

    def _ended(self, step: Step, future: Future[None]) -> None:
        self._events.put(_Ended(step, future.exception()))

    def _room(self, step: Step) -> bool:
        """Whether a worker is free: jobs only wait and need none, builds are few at a time."""
        running = [each for each, _ in self._state.running.values()]
        if isinstance(step, RunJob):
            return True
        if isinstance(step, BuildImage):
            return sum(isinstance(each, BuildImage) for each in running) < BUILDS
        busy = sum(not isinstance(each, RunJob | BuildImage) for each in running)
        return busy < self._workers

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
            elif state.failure is None:
                state.failure = event.error
            return
        if isinstance(event, _Silence):
            state.failure = state.failure or self._unheard()
            return
        name, answer = event
        state.details[name] = answer.detail
        (state.ready.add if answer.ready else state.ready.discard)(name)
        self._report.answer(name, answer)

    def _finish(self, step: Step, since: float) -> None:
        self._state.done.add(step.id)
        if isinstance(step, StartInstance):
            # It runs anew: what was known of it is not true any more.
            self._state.ready.discard(step.instance)
        self._report.done(step, time.monotonic() - since)

    # readiness

    def _ask(self) -> None:
        """Have the prober ask what is awaited now."""
        wanted = {
            name
            for step, _ in self._state.awaited.values()
            for name in step.probes
            if name not in self._state.ready
        }
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
        self._events.put(_Silence())

    # what goes wrong

    def _check(self) -> None:
        """Fail what has waited too long, or whose container has died."""
        state = self._state
        if state.failure is not None or not state.awaited:
            return
        status = {c.name: c for c in self._engine.containers(self._desired.lab.name)}
        for step, since in state.awaited.values():
            waited = time.monotonic() - since
            for name in step.probes:
                unit = self._desired.instances.get(name)
                if name in state.ready or unit is None:
                    continue
                there = status.get(unit.spec.name)
                if there is None or there.status in ("exited", "dead"):
                    code = there.exit_code if there else None
                    state.failure = self._not_ready(name, f"ended with exit code {code}")
                    return
            silent = [name for name in step.probes if name not in state.ready]
            if waited > step.timeout and silent:
                detail = state.details.get(silent[0], "no answer")
                state.failure = self._not_ready(
                    silent[0], f"is not ready {waited:.0f} s after it was started ({detail})"
                )
                return

    def _not_ready(self, name: str, what: str) -> LabError:
        unit = self._desired.instances.get(name)
        if unit is None:
            service = name.removeprefix("vip/")
            return LabError(f"{service} at the virtual IP {self._desired.lab.vip} {what}")
        return LabError(f"{name} {what}; its log ends:\n{self._actions.log(unit.spec.name)}")

    def _unheard(self) -> LabctlError:
        """Why the prober ended: asked once more, it says."""
        try:
            probe.inspect(self._engine, self._desired)
        except LabctlError as error:
            return error
        return LabError(f"the prober in {probe.client_container(self._desired.lab)} ended early")

    def _explained(self, failure: BaseException) -> BaseException:
        """The failure, with what could not be started because of it."""
        if not isinstance(failure, LabctlError):
            return failure
        left = [s.title for s in self._state.waiting.values() if not isinstance(s, AwaitReady)]
        if not left:
            return failure
        shown = ", ".join(left[:6]) + (f" and {len(left) - 6} more" if len(left) > 6 else "")
        return type(failure)(f"{failure}\nnot done because of it: {shown}")
