"""From what was asked and what is there in the end to a verdict: pure functions.

A history holds, for every operation, that it was invoked and then how it ended: ``ok`` (the
store acknowledged it), ``fail`` (it surely did not happen) or ``info`` (nobody knows, such as
after a timeout). What was acknowledged must be there, as far as the store promises so.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from labctl.errors import LabError

Outcome = Literal["VALID", "INVALID", "UNKNOWN"]
_TYPES = ("invoke", "ok", "fail", "info")


@dataclass(frozen=True)
class Event:
    """A line of a history: seconds of the client's monotonic clock, type, value, reason."""

    time: float
    type: str
    value: int
    error: str = ""


@dataclass(frozen=True)
class Promise:
    """What a store's configuration promises for what it acknowledged."""

    says: str
    """The promise, one sentence."""
    durable: bool = True
    """Acknowledged values survive; else a loss is reported, and is no failure."""
    once: bool = True
    """No value is there twice; else (at least once) it may be."""


@dataclass(frozen=True)
class Verdict:
    """What came of a history. ``lost`` and the other tuples hold values, sorted."""

    outcome: Outcome
    why: str
    acknowledged: int
    lost: tuple[int, ...] = ()
    """Acknowledged, and not there."""
    unexpected: tuple[int, ...] = ()
    """There, though never asked for or surely failed."""
    duplicated: tuple[int, ...] = ()
    recovered: tuple[int, ...] = ()
    """There, of those whose end nobody knew."""
    unknown: int = 0
    """How many operations ended nobody knows how."""


@dataclass(frozen=True)
class Gap:
    """The longest time without an acknowledgement, and when it began (the client's clock)."""

    seconds: float
    since: float


def parse(lines: Iterable[str]) -> list[Event]:
    """A history from JSON lines; LabError when a line is no event."""
    events = []
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
            kind = data["type"]
            if kind not in _TYPES:
                raise ValueError(kind)
            event = Event(float(data["time"]), kind, int(data["value"]), data.get("error", ""))
        except (KeyError, TypeError, ValueError):
            raise LabError(f"line {number} of the history is no event: {line[:200]}") from None
        events.append(event)
    return events


def judge(history: Sequence[Event], final: Iterable[int], promise: Promise) -> Verdict:
    """Hold the values that are there in the end against the history of writing them."""
    ended = {kind: {e.value for e in history if e.type == kind} for kind in _TYPES}
    there = Counter(final)
    lost = ended["ok"] - there.keys()
    unexpected = (there.keys() - ended["invoke"]) | (there.keys() & ended["fail"])
    duplicated = {value for value, times in there.items() if times > 1}
    # An operation without an end was cut short with its client: nobody knows that one either.
    open_ended = ended["invoke"] - ended["ok"] - ended["fail"]
    faults = [
        _count(lost, "acknowledged and lost") if promise.durable else "",
        _count(unexpected, "there though they failed or were never asked for"),
        _count(duplicated, "there more than once") if promise.once else "",
    ]
    found = "; ".join(filter(None, faults))
    outcome: Outcome = "INVALID" if found else "VALID"
    if not ended["ok"] and not found:
        outcome, found = "UNKNOWN", "nothing was acknowledged, so nothing was tested"
    documented = _count(lost, "lost as documented") if lost and not promise.durable else ""
    return Verdict(
        outcome=outcome,
        why=found or documented or f"all {len(ended['ok'])} acknowledged values are there",
        acknowledged=len(ended["ok"]),
        lost=tuple(sorted(lost)),
        unexpected=tuple(sorted(unexpected)),
        duplicated=tuple(sorted(duplicated)),
        recovered=tuple(sorted(open_ended & there.keys())),
        unknown=len(open_ended),
    )


def longest_gap(history: Sequence[Event]) -> Gap:
    """The longest time in which nothing was acknowledged, to the last event of the history.

    An empty history has a gap of no length.
    """
    if not history:
        return Gap(0.0, 0.0)
    times = sorted(event.time for event in history if event.type == "ok")
    edges = [history[0].time, *times, max(event.time for event in history)]
    return max(
        (Gap(later - earlier, earlier) for earlier, later in itertools.pairwise(edges)),
        key=lambda gap: gap.seconds,
    )


def _count(values: set[int], what: str) -> str:
    if not values:
        return ""
    shown = ", ".join(map(str, sorted(values)[:10])) + (", ..." if len(values) > 10 else "")
    return f"{len(values)} {what}: {shown}"
