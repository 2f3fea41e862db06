"""Run a program of Cotyledon's in one process: ``one_process.py PROGRAM [ARGUMENTS]``.

Cotyledon forks a process for each of a program's services and keeps a master, with all that was
imported, only to watch over them. In a container there is one of each, so the same services run
here in threads of one process. What the master did stays: a service that fails is started anew
(by beginning again), and SIGTERM lets all of them end in order.
"""

import logging
import os
import runpy
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import cotyledon
from cotyledon import _utils

LOG = logging.getLogger("one_process")
PAUSE = 2.0
"""Seconds before a program whose service failed begins again."""


class OneProcess(_utils.SignalManager):
    """What a program knows as Cotyledon's ServiceManager."""

    def __init__(self, graceful_shutdown_timeout: int = 60) -> None:
        super().__init__()
        self.graceful_shutdown_timeout = graceful_shutdown_timeout
        self._wanted: list[tuple[uuid.UUID, Callable[[], Any]]] = []
        self._running: list[Any] = []
        self._on_new: list[Callable[..., None]] = []

    def register_hooks(self, on_new_worker: Callable[..., None] | None = None, **_: Any) -> None:
        """Remember what is to be called with each service; no master, so no further hooks."""
        if on_new_worker is not None:
            self._on_new.append(on_new_worker)

    def add(
        self,
        service: Callable[..., Any],
        workers: int = 1,  # noqa: ARG002 - as Cotyledon's
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> uuid.UUID:
        """Remember a service; how many workers it may have does not matter here."""
        number = uuid.uuid4()
        self._wanted.append((number, lambda: service(0, *(args or ()), **(kwargs or {}))))
        return number

    def run(self) -> None:
        """Start all services, and wait for signals."""
        for number, make in self._wanted:
            with Again():
                service = make()
                service._initialize(0)
                for hook in self._on_new:
                    hook(number, 0, service)
            self._running.append(service)
            threading.Thread(target=self._guard, args=(service,), daemon=True).start()
        self._wait_forever()

    def _guard(self, service: Any) -> None:
        with Again():
            service.run()

    def _on_signal_received(self, sig: int) -> None:
        if sig == signal.SIGALRM:
            os._exit(1)
        if sig == signal.SIGTERM:
            signal.alarm(self.graceful_shutdown_timeout)
            threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        try:
            for service in self._running:
                service.terminate()
        except Exception:
            LOG.exception("not ended in order")
            os._exit(1)
        os._exit(0)


class Again:
    """Begins the program again, in this process's place, when what is inside fails."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        """As a master would: say why, wait a little, start it again."""
        if kind is None:
            return
        LOG.critical("failed, begins again", exc_info=error)
        time.sleep(PAUSE)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


if __name__ == "__main__":
    cotyledon.ServiceManager = OneProcess
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
