"""``labctl verify``: ships the steps to the client node, follows them, and makes the report."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import secrets as randomness
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

from labctl.documents import shipped
from labctl.engine.port import Engine, FileEntry, Stream
from labctl.errors import EngineError, LabError
from labctl.model.lab import Node
from labctl.planning.desired import Desired
from labctl.running.probe import client_container
from labctl.state import paths, store
from labctl.verify.choice import HOME, Step, specification

ARCHIVE = f"{HOME}/program.pyz"
SPEC = f"{HOME}/spec.json"
_MODULES = ("__init__", "browser", "context", "program", "walk")
_MAIN = "import sys\nfrom labctl.verify.program import main\nsys.exit(main(sys.argv[1:]))\n"

Result = Literal["passed", "failed", "not run"]


class StepReport(TypedDict):
    """The result of a step. ``seconds`` is 0 if it was not run."""

    name: str
    service: str
    description: str
    proves: list[str]
    result: Result
    seconds: float
    said: list[str]
    error: str | None
    failed_service: str | None
    logs: list[str]
    """Commands that show the logs of the services concerned."""
    files: list[str]


class Report(TypedDict):
    """The result of a run."""

    lab: str
    passed: bool
    seconds: float
    steps: list[StepReport]
    untidy: list[str]
    """What could not be removed."""


class Watcher(Protocol):
    """Follows a verification while it goes on."""

    def begun(self, steps: Sequence[Step]) -> None:
        """These steps will run."""
        ...

    def started(self, step: str) -> None:
        """A step has begun."""
        ...

    def said(self, step: str, text: str) -> None:
        """A step reports evidence."""
        ...

    def ended(self, report: StepReport) -> None:
        """A step has ended, or will not be run."""
        ...

    def note(self, text: str) -> None:
        """Something about the run as a whole."""
        ...


def verify(
    engine: Engine, desired: Desired, chosen: Sequence[Step], watcher: Watcher, *, keep: bool
) -> Report:
    """Run the steps; returns the report, which is also written to the lab's reports.

    LabError when the program in the client node ends early.
    """
    run = _Run(engine, desired, chosen, watcher)
    report = run.follow(keep=keep)
    name = f"verify-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    _write(desired.lab.name, name, (json.dumps(report, indent=2) + "\n").encode())
    return report


class _Run:
    """One run, seen from labctl."""

    def __init__(
        self, engine: Engine, desired: Desired, chosen: Sequence[Step], watcher: Watcher
    ) -> None:
        self._engine, self._lab, self._watcher = engine, desired.lab, watcher
        self._container = client_container(desired.lab)
        self._uid = int(desired.instances[desired.lab.toolbox.name].spec.user.partition(":")[0])
        self._steps = {step.name: step for step in chosen}
        self._reports = {step.name: _blank(step) for step in chosen}
        self._beside: list[Stream] = []
        self._untidy: list[str] = []
        self._ended = False
        self._at = 0.0

    def follow(self, *, keep: bool) -> Report:
        """Ship the program, run it, and follow it to its end."""
        run = randomness.token_hex(2)
        spec = specification(self._lab, list(self._steps.values()), run, keep=keep)
        files = [*_shipped(list(self._steps.values())), (SPEC, json.dumps(spec).encode())]
        entries = [FileEntry(path, data, 0o400, self._uid, self._uid) for path, data in files]
        self._engine.put_files(self._container, entries)
        self._watcher.begun(list(self._steps.values()))
        with contextlib.closing(
            self._engine.exec_stream(self._container, ["python3", ARCHIVE, SPEC])
        ) as stream:
            try:
                for line in stream:
                    self._event(line)
                    if self._ended:
                        break
            finally:
                for other in self._beside:
                    other.close()
        if not self._ended:
            raise LabError(
                f"verify ended early; try 'labctl exec {self._lab.toolbox.name} -- "
                f"python3 {ARCHIVE} {SPEC}'"
            )
        if keep:
            self._watcher.note(f"what was created is kept; its names begin with verify-{run}-")
        reports = list(self._reports.values())
        return Report(
            lab=self._lab.name,
            passed=all(report["result"] == "passed" for report in reports),
            seconds=self._at,
            steps=reports,
            untidy=self._untidy,
        )

    def _event(self, line: str) -> None:
        try:
            event: dict[str, Any] = json.loads(line)
            kind = event["event"]
        except (ValueError, KeyError, TypeError):
            return  # not an event: a step printed something
        self._at = event["at"]
        if kind == "ended":
            self._ended = True
        elif kind == "cleaning":
            self._watcher.note("removing what was created")
        elif kind == "login failed":
            self._watcher.note(f"login is not possible: {event['error']}")
            for command in self._logs([event["service"]] if event["service"] else []):
                self._watcher.note(f"see {command}")
        else:
            self._about(kind, event["step"], event)

    def _about(self, kind: str, name: str, event: Mapping[str, Any]) -> None:
        """Handle an event of a step."""
        report = self._reports[name]
        if kind == "started":
            self._watcher.started(name)
        elif kind == "said":
            report["said"].append(event["text"])
            self._watcher.said(name, event["text"])
        elif kind == "file":
            data = base64.b64decode(event["data"])
            path = str(_write(self._lab.name, event["name"], data))
            report["files"].append(path)
            self._watcher.said(name, path)
        elif kind == "beside":
            self._start_beside(name, event)
        elif kind == "untidy":
            self._untidy.append(f"{name}: {event['error']}")
            self._watcher.note(f"{name}: not removed: {event['error']}")
        else:
            self._end(kind, report, event)

    def _end(self, kind: str, report: StepReport, event: Mapping[str, Any]) -> None:
        if kind == "passed":
            report["result"], report["seconds"] = "passed", event["seconds"]
        elif kind == "failed":
            report["result"], report["seconds"] = "failed", event["seconds"]
            report["error"] = event["error"]
            report["failed_service"] = event["service"] or report["service"]
            if "trace" in event:
                said = event["trace"].encode()
                path = _write(self._lab.name, f"verify-{report['name']}.trace", said)
                report["files"].append(str(path))
            # The port tells who answered; otherwise it may be any service that takes part.
            report["logs"] = self._logs(
                [event["service"]] if event["service"] else report["proves"]
            )
        elif kind == "skipped":
            report["error"] = event["because"]
        self._watcher.ended(report)

    def _start_beside(self, name: str, event: Mapping[str, Any]) -> None:
        """Start a command in another container for a step, which itself checks that it came up."""
        instance = self._lab.instance(self._lab.client.name, event["service"])
        if instance is None:
            self._watcher.note(f"{name}: the client node has no {event['service']}")
            return
        try:
            container = self._lab.container(instance)
            self._beside.append(self._engine.exec_stream(container, event["command"]))
        except EngineError as error:
            self._watcher.note(f"{name}: {error}")

    def _logs(self, services: Iterable[str]) -> list[str]:
        """The commands that show the services' logs."""
        there = self._lab.services
        return [_log(service, there[service].nodes) for service in services if service in there]


def _log(service: str, nodes: Sequence[Node]) -> str:
    first, *others = (node.name for node in nodes)
    also = f" (also on {', '.join(others)})" if others else ""
    return f"labctl logs {first}/{service}{also}"


def _blank(step: Step) -> StepReport:
    return StepReport(
        name=step.name,
        service=step.service,
        description=step.doc.description,
        proves=list(step.proves),
        result="not run",
        seconds=0.0,
        said=[],
        error=None,
        failed_service=None,
        logs=[],
        files=[],
    )


def _shipped(chosen: Sequence[Step]) -> Iterator[tuple[str, bytes]]:
    """(Path in the container, content) of the program and of every script needed."""
    yield ARCHIVE, archive()
    for file in sorted({step.file for step in chosen}):
        yield f"{HOME}/{file}", (shipped.data_dir("compose") / file).read_bytes()


def archive() -> bytes:
    """The program as one zip file that Python can run."""
    here = Path(__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("__main__.py", _MAIN)
        packed.writestr("labctl/__init__.py", "")
        for module in _MODULES:
            packed.write(here / f"{module}.py", f"labctl/verify/{module}.py")
    return buffer.getvalue()


def _write(lab: str, name: str, data: bytes) -> Path:
    """Write a file to the lab's reports, readable by its owner only; returns its path."""
    directory = paths.lab_dir(lab) / store.REPORTS
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / name
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return path
