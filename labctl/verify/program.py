"""The program that runs the steps in the client node: ``program.py SPEC.json``. Shipped.

It prints an event on each line as JSON: ``started``, ``said``, ``file``, ``beside``, ``passed``,
``failed``, ``skipped``, ``cleaning``, ``untidy``, ``ended``. When its input ends, because whoever
started it is gone, it starts no further step; what was created is removed all the same.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labctl.verify.context import Context, StepError, told
from labctl.verify.walk import walk

WIDTH = 6
"""Number of steps at a time: they wait more than they work."""
CLEANING = 120.0
"""Seconds that cleaning up after one step may take."""
LOGIN = 20.0
"""Seconds within which a login must succeed: the virtual IP may be moving."""


class Events:
    """Prints events from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def __call__(self, event: str, **fields: Any) -> None:
        """Print an event, with the seconds since the start."""
        at = round(time.monotonic() - self._began, 2)
        with self._lock:
            sys.stdout.write(json.dumps({"event": event, "at": at, **fields}) + "\n")
            sys.stdout.flush()


class Program:
    """One run: the steps in order, then the clean-up in reverse order."""

    def __init__(self, spec: Mapping[str, Any], emit: Callable[..., None]) -> None:
        self._spec, self._emit = spec, emit
        self._steps: dict[str, Mapping[str, Any]] = {step["name"]: step for step in spec["steps"]}
        self._results: dict[str, str] = {}
        self._contexts: dict[str, Context] = {}
        self._state: dict[str, Any] = {}
        self._stopped = threading.Event()
        self._config: Any = None
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Start nothing more, and wait for nothing more."""
        self._stopped.set()

    def run(self) -> None:
        """Run all steps and clean up."""
        before = {
            name: [each for each in (*step["needs"], *step["after"]) if each in self._steps]
            for name, step in self._steps.items()
        }
        if self._login():
            walk(before, self._step, width=WIDTH, limit=self._limit, late=self._late)
        if not self._spec["keep"] and any(context.undo for context in self._contexts.values()):
            self._emit("cleaning")
            # What was created last goes first; independent steps are cleaned up in parallel.
            after = {name: [n for n in before if name in before[n]] for name in before}
            walk(
                after,
                self._clean,
                width=WIDTH,
                limit=lambda _: CLEANING,
                late=lambda name: self._untidy(name, "cleaning up takes too long"),
            )
        self._emit("ended")

    def _login(self) -> bool:
        """Whether a login succeeds: without that, no step is worth trying."""
        import keystoneauth1.exceptions
        import openstack.config

        self._config = openstack.config.OpenStackConfig().get_one(cloud="openstack", api_timeout=60)
        began = time.monotonic()
        while True:
            try:
                self._config.get_session().get_token()
            except (keystoneauth1.exceptions.ClientException, OSError) as error:
                if time.monotonic() - began < LOGIN and not self._stopped.is_set():
                    time.sleep(0.5)
                    continue
                url = self._config.config["auth"]["auth_url"]
                self._emit("login failed", error=told(error), service=self._service_at(url))
                for name in self._steps:
                    self._skip(name, "login is not possible")
                return False
            else:
                return True

    def _connect(self) -> Any:
        """A connection of its own for each step; all share one session and its token."""
        import openstack.connection

        with self._lock:
            return openstack.connection.Connection(config=self._config)

    def _limit(self, name: str) -> float:
        return float(self._steps[name]["timeout"])

    def _step(self, name: str) -> None:
        step = self._steps[name]
        broken = [need for need in step["needs"] if self._results.get(need) != "passed"]
        if self._stopped.is_set() or broken:
            why = f"{broken[0]} did not pass" if broken else "verify was stopped"
            self._skip(name, why)
            return
        self._emit("started", step=name)
        began = time.monotonic()
        context = self._contexts[name] = Context(
            self._spec,
            step,
            connect=self._connect,
            state=self._state,
            emit=self._emit,
            stopped=self._stopped,
        )
        try:
            module = _load(step)
            if hasattr(module, "clean"):
                context.defer(module.clean, context)
            getattr(module, step["function"])(context)
        except Exception as error:
            self._failed(name, error, time.monotonic() - began)
        else:
            if self._results.setdefault(name, "passed") == "passed":
                seconds = round(time.monotonic() - began, 2)
                self._emit("passed", step=name, seconds=seconds)

    def _failed(self, name: str, error: Exception, seconds: float) -> None:
        if self._results.setdefault(name, "failed") != "failed":
            return  # it has been given up already
        fields: dict[str, Any] = {"error": told(error), "service": self._answered(error)}
        if not isinstance(error, StepError | AssertionError):
            fields["trace"] = "".join(traceback.format_exception(error))
        self._emit("failed", step=name, seconds=round(seconds, 2), **fields)

    def _late(self, name: str) -> None:
        limit = self._limit(name)
        self._results.setdefault(name, "late")
        error = f"it did not end within {limit:g} s"
        self._emit("failed", step=name, seconds=limit, error=error, service=None)

    def _skip(self, name: str, why: str) -> None:
        self._results[name] = "skipped"
        self._emit("skipped", step=name, because=why)

    def _clean(self, name: str) -> None:
        context = self._contexts.get(name)
        if context is None:
            return
        context.grant(CLEANING)
        for undo, arguments in reversed(context.undo):
            try:
                undo(*arguments)
            except Exception as error:
                self._untidy(name, told(error))

    def _untidy(self, name: str, why: str) -> None:
        self._emit("untidy", step=name, error=why)

    def _answered(self, error: BaseException) -> str | None:
        """The service that answered with an error, by the port in the URL."""
        inner: BaseException | None = error
        while inner is not None:
            request = getattr(inner, "request", None)
            url = getattr(inner, "url", None) or getattr(request, "url", None)
            if isinstance(url, str) and (service := self._service_at(url)):
                return service
            inner = inner.__cause__ or inner.__context__
        return None

    def _service_at(self, url: str) -> str | None:
        parts = urlsplit(url)
        if parts.hostname != self._spec["vip"]:
            return None
        service: str | None = self._spec["ports"].get(str(parts.port))
        return service


def _load(step: Mapping[str, Any]) -> Any:
    """A step's script as a module."""
    spec = importlib.util.spec_from_file_location(f"verify_{step['name']}", step["path"])
    if spec is None or spec.loader is None:
        raise StepError(f"{step['path']} is not a Python script")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _watch_input(stop: Callable[[], None]) -> None:
    while sys.stdin.buffer.read(1):
        pass
    stop()


def main(arguments: list[str]) -> int:
    """Run the steps of a specification."""
    sys.dont_write_bytecode = True
    program = Program(json.loads(Path(arguments[0]).read_text()), Events())
    threading.Thread(target=_watch_input, args=(program.stop,), daemon=True).start()
    program.run()
    return 0
