"""Times in which nothing was acknowledged, and the operations that a check's evidence is about."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from labctl.chaos.folder.history import Operation


@dataclass(frozen=True)
class Gap:
    """A time without an acknowledgement, in seconds since the run began."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def gaps(found: Sequence[Operation]) -> list[Gap]:
    """The times in which operations were asked for and none acknowledged, longest first.

    Only those longer than a second and than ten times the median between two acknowledgements.
    The last one ends with the last event.
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
    """The operation that a piece of a check's evidence is about; None when it is about none.

    The piece's moment lies within the operation, or their values are equal; of several, the one
    nearest in time.
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
