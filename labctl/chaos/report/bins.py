"""Many operations reduced to a few figures, as many as a picture of a given width can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.chaos.folder.history import Operation

POINTS = 600
"""Up to so many operations are drawn one by one; more are drawn as a band."""


@dataclass(frozen=True)
class Bin:
    """The operations that ended in the slice of time from ``start``; latencies in seconds."""

    start: float
    ok: int
    fail: int
    info: int
    p50: float | None = None
    p95: float | None = None
    most: float | None = None


def bins(found: Sequence[Operation], length: float, many: int) -> list[Bin]:
    """Slices of equal length, without those in which nothing ended.

    Latency is that of acknowledged operations. One without an end counts where it began.
    """
    width = length / many
    slices: dict[int, list[Operation]] = {}
    for operation in found:
        t = operation.began if operation.ended is None else operation.ended
        slices.setdefault(min(max(int(t / width), 0), many - 1), []).append(operation)
    return [_bin(index * width, inside) for index, inside in sorted(slices.items())]


def quantile(values: Sequence[float], part: float) -> float:
    """The value that a share ``part`` of the sorted values does not exceed (nearest rank)."""
    return values[min(int(part * len(values)), len(values) - 1)]


def _bin(start: float, inside: Sequence[Operation]) -> Bin:
    took = sorted(o.seconds for o in inside if o.end == "ok" and o.seconds is not None)
    ends = [o.end for o in inside]
    return Bin(
        start=start,
        ok=ends.count("ok"),
        fail=ends.count("fail"),
        info=ends.count("info"),
        p50=quantile(took, 0.5) if took else None,
        p95=quantile(took, 0.95) if took else None,
        most=took[-1] if took else None,
    )
