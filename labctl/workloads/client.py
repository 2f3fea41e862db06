"""The loop of every workload: numbers written at a bounded rate, each operation's end recorded.

``client.py CONFIG.json write`` prints the history as JSON lines: ``ready`` when the store is
prepared, then ``invoke``, ``ok``, ``fail`` (surely not done) and ``info`` (nobody knows) with the
seconds of the monotonic clock. It ends after its time, or when there is a file beside the
configuration whose name ends in ``.stop``. ``client.py CONFIG.json read`` prints what is there,
as one JSON mapping of places (members, or a queue) to values.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

Config = Mapping[str, Any]


class RefusedError(Exception):
    """The operation surely did not happen."""


class Store(Protocol):
    """A connection to a store, used by one thread."""

    def prepare(self) -> Mapping[str, Any]:
        """Make the place to write to; what is worth telling about it."""
        ...

    def write(self, value: int) -> None:
        """Write a number and return when it is acknowledged.

        RefusedError when it surely was not written; any other exception when nobody knows.
        """
        ...

    def read(self) -> Mapping[str, list[int]]:
        """What is there: place → values, with repetitions."""
        ...

    def close(self) -> None:
        """Drop the connection; the next use makes another."""
        ...


class Recorder:
    """Prints events, one line each, from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, kind: str, **fields: Any) -> None:
        """Print an event with the time of now."""
        with self._lock:
            sys.stdout.write(json.dumps({"type": kind, "time": time.monotonic(), **fields}) + "\n")
            sys.stdout.flush()


def write_all(
    make: Callable[[], Store], config: Config, record: Recorder, stop: Callable[[], bool]
) -> None:
    """Write numbers for ``seconds`` at ``rate`` a second in all, with so many ``workers``."""
    store = make()
    record("ready", **store.prepare())
    store.close()
    numbers, lock = itertools.count(), threading.Lock()
    began = time.monotonic()
    end = began + config["seconds"]

    def work() -> None:
        mine, pause = make(), threading.Event()
        while True:
            with lock:
                value = next(numbers)
            due = began + value / config["rate"]
            # The rate is bounded: a number is not written before its time.
            pause.wait(max(0.0, min(due, end) - time.monotonic()))
            if time.monotonic() >= end or stop():
                return
            _operate(mine, value, record)

    workers = [threading.Thread(target=work) for _ in range(config["workers"])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _operate(store: Store, value: int, record: Recorder) -> None:
    record("invoke", value=value)
    try:
        store.write(value)
    except RefusedError as error:
        record("fail", value=value, error=_said(error))
        store.close()
    except Exception as error:  # whatever a library raises: nobody knows the end
        record("info", value=value, error=_said(error))
        store.close()
    else:
        record("ok", value=value)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def main(arguments: list[str]) -> int:
    """Run a workload; the exit code."""
    path = Path(arguments[0])
    config: Config = json.loads(path.read_text())
    module = import_module(f"labctl.workloads.{config['kind']}")

    def make() -> Store:
        store: Store = module.connect(config)
        return store

    if arguments[1] == "write":
        write_all(make, config, Recorder(), path.with_suffix(".stop").exists)
    else:
        sys.stdout.write(json.dumps(dict(make().read())) + "\n")
    return 0
