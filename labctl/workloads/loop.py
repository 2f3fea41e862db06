"""The loop of every workload: operations at a bounded rate, each recorded with its end.

An event is a JSON line: ``w`` workload, ``p`` process (the worker), ``type``: ``invoke``, then
``ok``, ``fail`` (certainly not done) or ``info`` (unknown); ``f``, ``value``, ``error``, ``at``
(the member asked); ``t``: seconds of the client's monotonic clock, which ``load`` converts to
seconds of the run.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, TextIO

from labctl.workloads.model import Config, Operation, Record, RefusedError, Session, Workload, said

LATE = 0.05
"""Seconds: a thread that wakes up this late shows a slow client, not a slow lab."""
LINE = 16384
"""The most characters of a line; a value that makes it longer is left out."""
_SLACK = 0.25


class Recorder:
    """Writes events from several threads, one to a line, up to ``limit`` characters."""

    def __init__(self, out: TextIO, limit: float = float("inf")) -> None:
        self._out, self._left = out, limit
        self._lock = threading.Lock()

    def __call__(self, **event: Any) -> None:
        """Write an event with the current time."""
        with self._lock:
            line = _line({"t": round(time.monotonic(), 6), **event})
            self._left -= len(line)
            self._out.write(line)
            self._out.flush()

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self._left <= 0


def _line(event: Mapping[str, Any]) -> str:
    line = json.dumps(event, separators=(",", ":")) + "\n"
    if len(line) <= LINE:
        return line
    return _line({**event, "value": None, "error": f"a value of {len(line)} characters"})


class Pacer:
    """Decides when the next operation is due: ``rate`` a second for all workers together.

    Missed operations are not made up for: after an outage the rate is as before.
    """

    def __init__(self, rate: float, began: float) -> None:
        self._period = 1 / rate
        self._due = began - self._period
        self._number = -1
        self._lock = threading.Lock()

    def take(self) -> tuple[int, float]:
        """The next number, and when it is due (monotonic seconds)."""
        with self._lock:
            self._number += 1
            self._due = max(self._due + self._period, time.monotonic() - _SLACK)
            return self._number, self._due


def run(
    workloads: Mapping[str, tuple[Config, Workload]],
    record: Recorder,
    stop: Callable[[], bool],
    seconds: float,
) -> None:
    """Run prepared workloads, each in its own threads, until told to stop or the time is over."""
    halted = threading.Event()
    began = time.monotonic()
    threads = [
        thread
        for name, (config, workload) in workloads.items()
        for thread in _threads(name, config, workload, record, halted)
    ]
    for thread in threads:
        thread.start()
    pause = threading.Event()
    while not stop() and not record.full and time.monotonic() < began + seconds:
        if not any(thread.is_alive() for thread in threads):
            break
        pause.wait(0.05)
    halted.set()
    if record.full:
        record(w="client", type="full")
    for thread in threads:
        thread.join()


def _threads(
    name: str,
    config: Config,
    workload: Workload,
    record: Recorder,
    halted: threading.Event,
) -> list[threading.Thread]:
    pacer = Pacer(config["rate"], time.monotonic())
    own = partial(record, w=name)
    work: list[Callable[[], None]] = [
        partial(
            _work,
            workload.session(worker, Random(f"{config['seed']}/{name}/{worker}")),  # noqa: S311
            pacer,
            partial(own, p=worker),
            record,
            halted,
        )
        for worker in range(config["workers"])
    ]
    work += [partial(helper, own, halted.is_set) for helper in workload.helpers()]
    return [threading.Thread(target=each, daemon=True) for each in work]


def _work(
    session: Session, pacer: Pacer, own: Record, record: Record, halted: threading.Event
) -> None:
    while True:
        number, due = pacer.take()
        delay = due - time.monotonic()
        # The rate is bounded: no operation starts early.
        if delay > 0 and not halted.wait(delay):
            late = time.monotonic() - due
            if late > LATE:
                record(w="client", type="lag", seconds=round(late, 4))
        if halted.is_set():
            return
        for operation in session.steps(number):
            operate(session, operation, own)
            if halted.is_set():
                return


def operate(session: Session, operation: Operation, record: Record) -> None:
    """Carry out one operation and record it."""
    about = {"f": operation.f, "value": operation.value, "at": operation.at}
    record(type="invoke", **_short(about))
    try:
        done = session.apply(operation)
    except Exception as error:  # whatever a library raises, the end is unknown
        sure = operation.harmless or isinstance(error, RefusedError)
        record(type="fail" if sure else "info", error=said(error), **_short(about))
        session.close()
    else:
        about |= {"value": done.value, "at": done.at or operation.at}
        record(type="ok", **_short(about))


def _short(about: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in about.items() if key != "at" or value}
