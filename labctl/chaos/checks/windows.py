"""How a workload was served: errors, gaps, latency, and how much of that is the client's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labctl.chaos.checks.finding import ended, evidence, unknown
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("errors",)

Spell = tuple[float, float]
"""From, to; seconds since the run began."""

GRACE = 60.0
"""Seconds after the last fault is healed within which every workload must be served again."""
LASTS = 5.0
"""Seconds that a fault must last for clients that ask only now and then to notice it."""


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


def served(
    operations: Sequence[Operation], lags: Sequence[Spell], faults: Sequence[Spell]
) -> Finding:
    """Whether a workload was served before the faults, used during them, and served again.

    Errors during faults are no failure: budgets judge them. Time in which the client itself did not
    run is mentioned.
    """
    # What a consumer gets depends on the publishers.
    operations = [operation for operation in operations if operation.f != "dequeue"]
    seen = window(operations)
    counts = {
        "acknowledged": seen.acknowledged,
        "failed": seen.failed,
        "unknown": seen.unknown,
        "errors": round(seen.errors, 3),
        "gap": round(seen.gap[1] - seen.gap[0], 3),
        **{name: round(value, 4) for name, value in seen.latency.items()},
    }
    if not seen.acknowledged:
        return unknown("errors", "nothing was acknowledged, so nothing was tested", **counts)
    why = f"{seen.acknowledged} acknowledged, {seen.failed} failed, {seen.unknown} unknown; the"
    why += f" longest gap is {counts['gap']:.2f} s, from {seen.gap[0]:.1f} s on"
    asleep = overlap(seen.gap, lags)
    if asleep > (seen.gap[1] - seen.gap[0]) / 2:
        why += f", and the client itself did not run for {asleep:.2f} s of it"
    since = max((end for _, end in faults), default=0.0)
    late = [op for op in operations if op.began > since + GRACE]
    if late and not ended(late, "ok"):
        return Finding(
            "errors",
            broken=True,
            why=f"not served again: nothing was acknowledged later than {GRACE:.0f} s after the"
            f" last fault was healed, of {len(late)} attempts",
            aspect="always",
            counts=counts,
            evidence=evidence(late, "not served"),
        )
    if not faults and (last := _last_served(operations)) is not None:
        why = f"nothing was acknowledged from {last:.1f} s to the end, although nothing was broken"
        return Finding("errors", True, why, "always", counts)
    if untested := _untested(operations, faults):
        return unknown("errors", untested, **counts)
    said = [] if seen.first_error is None else [Evidence("the first error", seen.first_error)]
    return Finding("errors", False, why, "nothing", counts, said)


def _last_served(operations: Sequence[Operation]) -> float | None:
    """When the last acknowledgement came; None when one came in the last third."""
    begin, end = operations[0].began, max(op.ended or op.began for op in operations)
    last = [op for op in operations if op.began > end - (end - begin) / 3]
    if not last or ended(last, "ok"):
        return None
    return max(op.ended for op in operations if op.end == "ok" and op.ended is not None)


def _untested(operations: Sequence[Operation], faults: Sequence[Spell]) -> str:
    """Why the faults did not test a workload; empty if they did."""
    if not faults:
        return ""
    first, healed = min(begin for begin, _ in faults), max(end for _, end in faults)
    done = [op.ended for op in operations if op.end == "ok" and op.ended is not None]
    if min(done) > first:
        return (
            f"nothing was acknowledged before the first fault, at {first:.1f} s, so there was"
            " nothing to lose"
        )
    for begin, end in faults:
        # A client that waits for an answer for ever asks nothing else.
        asked = (op for op in operations if op.ended is not None and op.ended >= begin)
        if end - begin >= LASTS and not any(op.began <= end for op in asked):
            return f"nothing was requested from {begin:.1f} to {end:.1f} s, during a fault"
    if max(done) < healed:
        return (
            f"nothing was acknowledged after the last fault was healed, at {healed:.1f} s; give the"
            " scenario a longer tail"
        )
    return ""
