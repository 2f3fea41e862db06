"""Reads after writes: a read on any member sees every write acknowledged before it, or later."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Any

from labctl.chaos.checks.finding import Finals, Settings, evidence, kept, key, places, unknown
from labctl.chaos.checks.register import by_key, check_finals, nobody_wrote
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Finding

FINDS = ("stale", "unexpected")


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find stale reads, and keys that are missing or outdated at the end.

    Values are ``[key, number]``; a ``read`` answers ``[key, null]`` for nothing.

    A read is stale when a write had been acknowledged before it began, and it sees nothing, or a
    write that ended before another began that had also been acknowledged before the read began.
    """
    writes: dict[Hashable, list[Operation]] = {}
    reads: list[Operation] = []
    for operation in operations:
        if operation.f == "write" and operation.end != "fail":
            writes.setdefault(_key(operation.asked), []).append(operation)
        elif operation.f == "read" and operation.end == "ok":
            reads.append(operation)
    if not reads:
        return [unknown("stale", "nothing was read, so nothing was tested")]
    if not any(op.end == "ok" for mine in writes.values() for op in mine):
        return [unknown("stale", "no write was acknowledged, so nothing was tested")]
    known = {name: _Writes(mine) for name, mine in writes.items()}
    stale = [op for op in reads if (mine := known.get(_key(op.asked))) and mine.stale(op)]
    counts = {"reads": len(reads), "stale": len(stale)}
    keyed = by_key(operations)
    ends = [*nobody_wrote(keyed, None), *check_finals(keyed, places(finals))]
    if not stale:
        why = f"{len(reads)} reads saw what had been acknowledged before them"
        return [kept("stale", why, "fresh", **counts), *ends]
    return [
        *ends,
        Finding(
            "stale",
            broken=True,
            why=f"{len(stale)} of {len(reads)} reads did not see what was acknowledged before them",
            aspect="fresh",
            counts=counts,
            evidence=evidence(stale, "does not see a write that had been acknowledged before"),
        ),
    ]


class _Writes:
    """The writes of one key."""

    def __init__(self, writes: Sequence[Operation]) -> None:
        done = sorted((op.ended, op.began) for op in writes if op.end == "ok" and op.ended)
        self._ends = [ended for ended, _ in done]
        self._latest = list(accumulate((began for _, began in done), max))
        # A write of unknown end may have taken effect at any later time.
        self._ended = {key(_value(op.asked)): op.ended if op.end == "ok" else None for op in writes}

    def stale(self, read: Operation) -> bool:
        """Whether an acknowledged write lies entirely between the one seen and the read."""
        before = bisect_right(self._ends, read.began)
        if not before:
            return False
        seen = key(_value(read.answer))
        if seen not in self._ended:
            return True
        ended = self._ended[seen]
        return ended is not None and ended < self._latest[before - 1]


def _key(value: Any) -> Hashable:
    return key(value[0]) if isinstance(value, list) and len(value) == 2 else None


def _value(value: Any) -> Any:
    return value[1] if isinstance(value, list) and len(value) == 2 else value
