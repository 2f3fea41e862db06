"""How a workload was served: errors, gaps, latency, and how much of that is the client's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labctl.chaos.checks.finding import ended
from labctl.chaos.folder.history import Operation

Spell = tuple[float, float]
"""From, to; seconds since the run began."""

GRACE = 60.0
"""Seconds after a fault is healed within which a member is back, and may be felt once more."""


@dataclass(frozen=True)
class Window:
    """How a workload was served; times in seconds since the run began, lengths in seconds."""

    acknowledged: int
    failed: int
    unknown: int
    first_error: float | None
    last_error: float | None
    gap: Spell
    """The longest time without an acknowledgement."""
    latency: Mapping[str, float]
    """p50, p95, p99 and max of acknowledged operations, in seconds."""

    @property
    def errors(self) -> float:
        """From the first error to the last."""
        if self.first_error is None or self.last_error is None:
            return 0.0
        return self.last_error - self.first_error


def window(operations: Sequence[Operation]) -> Window:
    """How one workload was served."""
    good = [op for op in operations if op.end == "ok" and op.ended is not None]
    bad = [op for op in operations if op.end != "ok"]
    times = sorted(op.seconds or 0.0 for op in good)
    return Window(
        acknowledged=len(good),
        failed=len(ended(operations, "fail")),
        unknown=len(ended(operations, "info")),
        first_error=min((op.began for op in bad), default=None),
        last_error=max((op.began if op.ended is None else op.ended for op in bad), default=None),
        gap=longest_gap(operations),
        latency={
            "p50": percentile(times, 50),
            "p95": percentile(times, 95),
            "p99": percentile(times, 99),
            "max": times[-1] if times else 0.0,
        },
    )


def longest_gap(operations: Sequence[Operation]) -> Spell:
    """The longest time without an acknowledgement, from the first operation to the last end."""
    if not operations:
        return (0.0, 0.0)
    times = sorted(op.ended for op in operations if op.end == "ok" and op.ended is not None)
    last = max(op.began if op.ended is None else op.ended for op in operations)
    edges = [min(op.began for op in operations), *times, last]
    return max(pairwise(edges), key=lambda spell: spell[1] - spell[0])


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The percentile of sorted values, by nearest rank; 0 if there are none."""
    if not ordered:
        return 0.0
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def overlap(spell: Spell, others: Iterable[Spell]) -> float:
    """Seconds of a spell that others cover; times covered twice count once."""
    covered, reached = 0.0, spell[0]
    for first, last in sorted(others):
        begin, end = max(first, reached), min(last, spell[1])
        if end > begin:
            covered += end - begin
            reached = end
    return covered
