"""Counters: the final count is at least what was acknowledged and at most what was requested."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from labctl.chaos.checks.finding import Finals, Settings, ended, evidence, kept, unknown
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Finding

FINDS = ("lost", "duplicated", "unexpected")


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find lost and unexpected counts. Finals: place → the counter (or a list with it).

    ``incr`` adds one, ``add`` its value; the answer to an ``incr`` is the counter afterwards.
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
    return [_lost(incs, numbers, acknowledged), _more(numbers, possible), _answers(incs)]


def _lost(incs: Sequence[Operation], numbers: Mapping[str, int], acknowledged: int) -> Finding:
    least = min(numbers.values())
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


def _more(numbers: Mapping[str, int], possible: int) -> Finding:
    most = max(numbers.values())
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
