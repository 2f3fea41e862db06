"""What clients asked and how it ended, and the times in which nothing was acknowledged."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

_ENDS = ("ok", "fail", "info")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``began`` and ``ended`` in seconds since the run began.

    ``end`` is ok, fail (surely not done) or info (nobody knows); ``ended`` is None when the run
    was cut short before it.
    """

    number: int
    """Its place in the history: what links to it is named so."""
    workload: str
    process: int
    f: str
    value: Any
    began: float
    ended: float | None
    end: str
    error: str
    at: str

    @property
    def took(self) -> float | None:
        """Seconds from the question to its end."""
        return None if self.ended is None else max(self.ended - self.began, 0.0)


@dataclass(frozen=True)
class Lag:
    """A time in which the client itself did not run, in seconds since the run began."""

    start: float
    end: float


@dataclass(frozen=True)
class Gap:
    """A time without an acknowledgement, in seconds since the run began."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


def operations(events: Iterable[Mapping[str, Any]]) -> list[Operation]:
    """Pair every invoke with the end of the same workload and process, by their order."""
    open_: dict[tuple[str, str], tuple[int, Mapping[str, Any]]] = {}
    found: list[Operation] = []
    for number, event in enumerate(events):
        key = (str(event.get("w", "")), str(event.get("p", "")))
        kind = event.get("type")
        if kind == "invoke":
            if key in open_:
                found.append(_operation(*open_.pop(key), None))
            open_[key] = number, event
        elif kind in _ENDS and key in open_:
            found.append(_operation(*open_.pop(key), event))
    found += [_operation(number, event, None) for number, event in open_.values()]
    return sorted(found, key=lambda operation: operation.number)


def lags(events: Iterable[Mapping[str, Any]]) -> list[Lag]:
    """The client's own word on when it did not run."""
    return [
        Lag(max(float(e["t"]) - float(e["seconds"]), 0.0), float(e["t"]))
        for e in events
        if e.get("type") == "lag" and isinstance(e.get("seconds"), int | float)
    ]


def by_workload(found: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The operations of each workload, in the order of the workloads' names."""
    groups: dict[str, list[Operation]] = {}
    for operation in found:
        groups.setdefault(operation.workload, []).append(operation)
    return dict(sorted(groups.items()))


def gaps(found: Sequence[Operation]) -> list[Gap]:
    """The times in which nothing was acknowledged although something was asked, longest first.

    Longer than a second and than ten times what lies between two acknowledgements otherwise.
    The time after the last one counts to the last event.
    """
    good = sorted(o.ended for o in found if o.end == "ok" and o.ended is not None)
    if not found:
        return []
    last = max(o.began if o.ended is None else o.ended for o in found)
    edges = [min(o.began for o in found), *good, last]
    steps = [b - a for a, b in itertools.pairwise(good)]
    least = max(1.0, 10 * median(steps) if steps else 1.0)
    long = [Gap(a, b) for a, b in itertools.pairwise(edges) if b - a >= least]
    return sorted(long, key=lambda gap: -gap.seconds)


def concerned(
    found: Sequence[Operation], check: Mapping[str, Any], piece: Mapping[str, Any]
) -> Operation | None:
    """The operation that a piece of a check's evidence speaks of; None when it is none.

    The piece's moment lies within the operation, or its value is what was asked: then the one
    that is nearest in time.
    """
    process, f, t = piece.get("p"), piece.get("f"), piece.get("t")
    at = float(t) if isinstance(t, int | float) else None
    fit = [
        o
        for o in found
        if o.workload == check.get("workload")
        and (process is None or o.process == process)
        and (not f or o.f == f)
        and (_within(o, at) or (o.value == piece.get("value") and o.value is not None))
    ]
    if not fit:
        return None
    same = [o for o in fit if o.value == piece.get("value")] or fit
    return min(same, key=lambda o: 0.0 if at is None or _within(o, at) else abs(o.began - at))


def _within(operation: Operation, at: float | None) -> bool:
    if at is None:
        return False
    end = operation.began if operation.ended is None else operation.ended
    return operation.began - 0.001 <= at <= end + 0.001


def _operation(number: int, asked: Mapping[str, Any], ended: Mapping[str, Any] | None) -> Operation:
    end = ended or {}
    process = asked.get("p")
    return Operation(
        number=number,
        workload=str(asked.get("w", "")),
        process=process if isinstance(process, int) else -1,
        f=str(asked.get("f", "")),
        value=end.get("value") if asked.get("value") is None else asked.get("value"),
        began=float(asked["t"]),
        ended=float(end["t"]) if ended else None,
        end=str(end.get("type", "info")),
        error=str(end.get("error") or ("" if ended else "the run was cut short before its end")),
        at=str(end.get("at") or asked.get("at") or ""),
    )
