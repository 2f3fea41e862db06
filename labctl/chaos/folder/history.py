"""A run's history: events read line by line, and paired to operations. Pure but for one file."""

from __future__ import annotations

import json
import math
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
"""The workload's name in the client's notes about itself."""


@dataclass(frozen=True, slots=True)
class Event:
    """A line of ``history.jsonl``; ``t`` in seconds since the run began.

    Two are the client's word about itself: ``lag``, for ``value`` seconds until ``t`` it did not
    run, and ``full``, it wrote as much as it may and stopped.
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
    """What one process asked for, and how that ended.

    ``info`` is an end that nobody knows; ``ended`` is None when none was recorded, for the run
    was cut short.
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

    @property
    def value(self) -> Any:
        """What came back where something did, else what was asked."""
        return self.asked if self.answer is None else self.answer

    @property
    def seconds(self) -> float | None:
        """How long it took; None without an end."""
        return None if self.ended is None else self.ended - self.began


def read(path: Path) -> list[Event]:
    """The events of a file, in their order.

    A last line without its end is left out: whoever wrote it was killed. InputError names the file
    and the line of whatever else is no event.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            return parse(file, shown(path))
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror}") from None


def parse(lines: Iterable[str], name: str) -> list[Event]:
    """Events of JSON lines, each with its line end; ``name`` is the file's, for sentences."""
    events = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(_event(line))
        except (KeyError, TypeError, ValueError):
            if not line.endswith("\n"):
                break
            raise InputError(
                f"{name}:{number}: is no event of a history: {line.strip()[:120]}"
            ) from None
    return events


def pair(events: Iterable[Event]) -> list[Operation]:
    """Operations, in the order of their beginnings.

    Each process has one at a time. One that is followed by another without an end was cut short,
    and so was one that is the process's last. InputError for an end without a beginning.
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
                Operation(*who, event.f, event.value, event.t, error=event.error, at=event.at)
            )
            continue
        place = running.pop(who, None)
        if place is None:
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
    """The spells (from, to) in which the client itself did not run, in seconds."""
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
    if kind not in _TYPES:
        raise ValueError(kind)
    t = float(data["t"])
    if not math.isfinite(t):
        raise ValueError(t)
    if kind in _NOTES:
        return Event(t, CLIENT, 0, kind, "", float(data["seconds"]) if kind == "lag" else None)
    workload, f, at = data["w"], data["f"], data.get("at")
    if not isinstance(workload, str) or not isinstance(f, str):
        raise TypeError
    error = str(data.get("error") or "")
    return Event(t, workload, int(data["p"]), kind, f, data.get("value"), error, at)
