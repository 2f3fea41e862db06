"""A run's history: events, one to a line, and the operations that they are the ends of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from labctl.documents.reader import shown
from labctl.errors import InputError

EventType = Literal["invoke", "ok", "fail", "info", "lag", "full"]
End = Literal["ok", "fail", "info"]

_TYPES = ("invoke", "ok", "fail", "info", "lag", "full")
_NOTES = ("lag", "full")
CLIENT = "client"
"""The workload's name in the events about the client itself."""
_LATEST = 1e9
"""Seconds: no run is that long."""


@dataclass(frozen=True, slots=True)
class Event:
    """A line of ``history.jsonl``; ``t`` in seconds since the run began.

    Two types are about the client itself: ``lag`` (it did not run for ``value`` seconds until
    ``t``) and ``full`` (it reached the limit of a history and stopped).
    """

    t: float
    workload: str
    process: int
    type: EventType
    f: str
    value: Any = None
    error: str = ""
    at: str | None = None
    """The member that was asked, if known."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What one process asked for, and how that ended; times in seconds since the run began.

    ``ok``: acknowledged, ``fail``: surely not done, ``info``: unknown. ``ended`` is None when no
    end was recorded, because the run was cut short.
    """

    workload: str
    process: int
    f: str
    asked: Any
    began: float
    ended: float | None = None
    end: End = "info"
    answer: Any = None
    error: str = ""
    at: str | None = None
    number: int = -1
    """Its place among the operations of the history, by which reports link to it."""

    @property
    def value(self) -> Any:
        """The answer if there is one, else what was asked."""
        return self.asked if self.answer is None else self.answer

    @property
    def seconds(self) -> float | None:
        """How long it took; None without an end."""
        return None if self.ended is None else self.ended - self.began


def read(path: Path) -> list[Event]:
    """The events of a file, in their order.

    A last line without a line end is left out: its writer was killed. InputError names the file
    and the line of anything else that is not an event.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            return parse(file, shown(path))
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror}") from None


def scan(path: Path) -> tuple[list[Event], list[str]]:
    """The events of a file by time, and what shows that it is not the whole record.

    Nothing is raised but for a file that cannot be read at all: what is damaged is a problem, and
    so is what no client writes (see :func:`audit`).
    """
    events: list[Event] = []
    problems: list[str] = []
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(file, 1):
                try:
                    if not line.endswith("\n"):
                        raise ValueError(line)
                    events.append(_event(line))
                except (KeyError, TypeError, ValueError, RecursionError):
                    problems.append(f"line {number} of {path.name} is no whole event")
    except FileNotFoundError:
        return [], [f"{path.name} is missing"]
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    problems += audit(events)
    return sorted(events, key=lambda event: event.t), problems


def audit(events: Sequence[Event]) -> list[str]:
    """What no client writes: time that goes back, ends without beginnings, two begun at once.

    A run sorts its history when it ends, so that lines out of order were moved afterwards.
    """
    said: dict[str, tuple[str, int]] = {}
    running: dict[tuple[str, int], Event] = {}
    latest = float("-inf")
    for event in events:
        who = (event.workload, event.process)
        if event.t < latest:
            _note(said, "goes back in time", f"from {latest:.3f} to {event.t:.3f} s")
        latest = max(latest, event.t)
        if event.type in _NOTES:
            continue
        name = f"process {event.process} of '{event.workload}' at {event.t:.3f} s"
        if event.type == "invoke":
            if who in running:
                _note(said, "has an operation that never ended", name)
            running[who] = event
        elif (began := running.pop(who, None)) is None:
            _note(said, "has an end without a beginning", name)
        elif began.f != event.f:
            _note(said, "has an end of another operation", name)
    return [
        f"the history {what}: {where}" + (f" (and {more} more)" if more else "")
        for what, (where, more) in said.items()
    ]


def _note(said: dict[str, tuple[str, int]], what: str, where: str) -> None:
    first, more = said.get(what, (where, -1))
    said[what] = (first, more + 1)


def parse(lines: Iterable[str], name: str) -> list[Event]:
    """The events of JSON lines, each with its line end; ``name`` is the file's, for errors."""
    events = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(_event(line))
        except (KeyError, TypeError, ValueError):
            if not line.endswith("\n"):
                break
            raise InputError(
                f"{name}:{number}: is not an event of a history: {line.strip()[:120]}"
            ) from None
    return events


def salvage(lines: Iterable[str]) -> tuple[list[Event], int]:
    """The events of JSON lines by time, and the number of other lines: to show a run, not judge."""
    events, damaged = [], 0
    for line in lines:
        try:
            events.append(_event(line))
        except (KeyError, TypeError, ValueError):
            damaged += bool(line.strip())
    return sorted(events, key=lambda event: event.t), damaged


def pair(events: Iterable[Event], *, strict: bool = True) -> list[Operation]:
    """Operations, in the order in which they began.

    Each process has one at a time. One without an end before the process's next, or at the end of
    the history, was cut short. An end without a beginning is an InputError, or ignored if not
    ``strict``.
    """
    operations: list[Operation] = []
    running: dict[tuple[str, int], int] = {}
    for event in events:
        who = (event.workload, event.process)
        if event.type in _NOTES:
            continue
        if event.type == "invoke":
            running[who] = len(operations)
            operations.append(
                Operation(
                    *who,
                    event.f,
                    event.value,
                    event.t,
                    error=event.error,
                    at=event.at,
                    number=len(operations),
                )
            )
            continue
        place = running.pop(who, None)
        if place is None:
            if not strict:
                continue
            raise InputError(
                f"the history has an end without a beginning: '{event.type}' of process"
                f" {event.process} of '{event.workload}' at {event.t:.3f} s"
            )
        began = operations[place]
        operations[place] = replace(
            began,
            ended=event.t,
            end=cast("End", event.type),
            answer=event.value,
            error=event.error,
            at=event.at or began.at,
        )
    return operations


def lags(events: Iterable[Event]) -> list[tuple[float, float]]:
    """The times (from, to) in which the client itself did not run, in seconds."""
    return [(event.t - event.value, event.t) for event in events if event.type == "lag"]


def by_workload(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    """The operations of each workload."""
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.workload, []).append(operation)
    return found


def _event(line: str) -> Event:
    data = json.loads(line)
    kind = data["type"]
    t = float(data["t"])
    if kind not in _TYPES or not abs(t) < _LATEST:
        raise ValueError(line)
    if kind in _NOTES:
        return Event(t, CLIENT, 0, kind, "", float(data["seconds"]) if kind == "lag" else None)
    workload, f, at = data["w"], data["f"], data.get("at")
    if not isinstance(workload, str) or not isinstance(f, str):
        raise TypeError
    error = str(data.get("error") or "")
    return Event(t, workload, int(data["p"]), kind, f, data.get("value"), error, at)
