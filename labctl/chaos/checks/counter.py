"""Counters: every count is at least what was acknowledged and at most what was requested."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import Any

from labctl.chaos.checks.finding import Finals, Settings, ended, evidence, kept, quote, unknown
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("lost", "duplicated", "unexpected", "stale")


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find lost and unexpected counts. Finals: place → the counter (or a list with it).

    ``incr`` adds one, ``add`` its value; the answer to an ``incr`` is the counter afterwards, and
    that to a ``read`` the counter.
    """
    incs = [operation for operation in operations if operation.f in ("incr", "add")]
    acknowledged = sum(_amount(op) for op in ended(incs, "ok"))
    possible = acknowledged + sum(_amount(op) for op in ended(incs, "info"))
    there = {name: _number(value) for name, value in dict(finals or {}).items()}
    numbers = {name: value for name, value in there.items() if value is not None}
    if not numbers:
        return [unknown("lost", "the counter was not read at the end", acknowledged=acknowledged)]
    if not acknowledged:
        return [unknown("lost", "nothing was acknowledged, so nothing was tested")]
    told = _Told(operations)
    return [
        _lost(incs, numbers, acknowledged, told.lost),
        _more(numbers, possible, told.more),
        _answers(incs),
        *_stale(told),
    ]


class _Told:
    """What the answers say meanwhile: each against what had been added when it was given."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        incs = [op for op in operations if op.f in ("incr", "add") and op.end != "fail"]
        begins = sorted((op.began, _amount(op)) for op in incs)
        ends = sorted((op.ended, _amount(op)) for op in incs if op.end == "ok" and op.ended)
        self._begins, self._began = _sums(begins)
        self._ends, self._ended = _sums(ends)
        self.lost: list[Evidence] = []
        self.more: list[Evidence] = []
        self.stale: list[Evidence] = []
        self.reads = 0
        gone = 0
        told = [op for op in ended(operations, "ok") if isinstance(op.answer, int)]
        for op in sorted(told, key=lambda op: op.ended or 0.0):
            if op.f not in ("incr", "read"):
                continue
            least, most = self._range(op)
            if op.answer > most - gone:
                said = f"at most {most - gone} had been added"
                self.more.append(quote(op, said))
            elif op.answer < least - gone and op.f == "incr":
                self.lost.append(quote(op, f"at least {least - gone} had been added"))
                # What is gone stays gone; from here on it is missing from every count.
                gone = least - op.answer
            elif op.answer < least - gone:
                self.stale.append(quote(op, f"at least {least - gone} had been added"))
            self.reads += op.f == "read"

    def _range(self, op: Operation) -> tuple[int, int]:
        """The least and the most that the counter may have been, with the operation itself."""
        own = int(op.f == "incr")
        least = self._ended[bisect_left(self._ends, op.began)] + own
        most = self._began[bisect_right(self._begins, op.ended or inf)]
        return least, most


def _sums(amounts: Sequence[tuple[float, int]]) -> tuple[list[float], list[int]]:
    """Moments, and what all before each add up to."""
    return [t for t, _ in amounts], list(accumulate((n for _, n in amounts), initial=0))


def _stale(told: _Told) -> list[Finding]:
    """Reads of less than had been acknowledged, though no answer shows that it was lost."""
    if not told.reads:
        return []
    counts = {"reads": told.reads, "stale": len(told.stale)}
    if not told.stale:
        return [kept("stale", f"{told.reads} reads saw what had been added", "fresh", **counts)]
    why = f"{len(told.stale)} of {told.reads} reads miss what had been added before them"
    return [Finding("stale", True, why, "fresh", counts, told.stale)]


def _lost(
    incs: Sequence[Operation],
    numbers: Mapping[str, int],
    acknowledged: int,
    told: Sequence[Evidence],
) -> Finding:
    least = min(numbers.values())
    if least >= acknowledged and told:
        times = [op.ended for op in _undone(incs) if op.ended is not None]
        why = f"{len(told)} answers are below what had been acknowledged: {told[0].said}"
        return Finding("lost", True, why, "durable", {"answers": len(told)}, told, times)
    if least >= acknowledged:
        why = f"the counter is {least}, and {acknowledged} were acknowledged"
        return kept("lost", why, "durable", acknowledged=acknowledged, there=least)
    # The counter alone does not tell which were lost; one that was undone is answered again.
    gone = _undone(incs)
    times = [op.ended for op in gone if op.ended is not None]
    return Finding(
        "lost",
        broken=True,
        why=f"the counter is {least}, although {acknowledged} were acknowledged",
        aspect="durable",
        counts={"acknowledged": acknowledged, "there": least, "lost": acknowledged - least},
        evidence=evidence(gone, "acknowledged, and the counter fell below it afterwards"),
        times=times,
    )


def _more(numbers: Mapping[str, int], possible: int, told: Sequence[Evidence]) -> Finding:
    most = max(numbers.values())
    if most <= possible and told:
        why = f"{len(told)} answers are above what had been added: {told[0].said}"
        return Finding("unexpected", True, why, "always", {"answers": len(told)}, told)
    if most <= possible:
        return kept("unexpected", f"the counter is at most {possible}, which is what was requested")
    return Finding(
        "unexpected",
        broken=True,
        why=f"the counter is {most}, although at most {possible} were added",
        aspect="always",
        counts={"there": most, "asked": possible},
    )


def _answers(incs: Sequence[Operation]) -> Finding:
    """No two increments may get the same answer."""
    seen: dict[int, Operation] = {}
    twice = []
    for op in ended(incs, "ok"):
        if op.f != "incr" or not isinstance(op.answer, int):
            continue
        if op.answer in seen:
            twice.append(op)
        seen[op.answer] = op
    return Finding(
        "duplicated",
        bool(twice),
        f"{len(twice)} answers were given twice" if twice else "no answer was given twice",
        # An answer given twice shows that a write was undone.
        "durable",
        {"duplicated": len(twice)},
        evidence(twice, "this number was given before"),
        [op.ended for op in twice if op.ended is not None],
    )


def _undone(incs: Sequence[Operation]) -> list[Operation]:
    """Increments whose answer is not below that of one that started after they ended."""
    told = [op for op in ended(incs, "ok") if isinstance(op.answer, int) and op.f == "incr"]
    told.sort(key=lambda op: op.began)
    begins = [op.began for op in told]
    lowest = list(accumulate((op.answer for op in reversed(told)), min))[::-1]
    gone = []
    for op in told:
        after = bisect_left(begins, op.ended or op.began)
        if after < len(told) and lowest[after] <= op.answer:
            gone.append(op)
    return gone


def _amount(operation: Operation) -> int:
    return operation.asked if operation.f == "add" and isinstance(operation.asked, int) else 1


def _number(value: Any) -> int | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, int) else None
