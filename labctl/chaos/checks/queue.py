"""Queues: what was confirmed is delivered, to consumers or when the queue is drained at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from labctl.chaos.checks.finding import Finals, Settings, ended, key, places, unknown
from labctl.chaos.checks.sets import accounted
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("lost", "duplicated", "unexpected", "consumers")

_SHARE = 20
"""Messages to each of the others, after which a consumer without any counts as dead."""


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find messages lost, unexpected, duplicated or recovered, and dead consumers.

    ``enqueue`` has a value; ``dequeue`` answers one, or a list. Finals: queue → values drained.
    """
    taken = [op for op in ended(operations, "ok") if op.f == "dequeue"]
    drained = places(finals)
    if drained is None:
        return [unknown("lost", "the queue was not drained at the end"), *_consumers(taken, 0)]
    came: Counter[Hashable] = Counter(value for op in taken for value in _values(op))
    left = Counter(key(value) for values in drained.values() for value in values)
    puts = [op for op in operations if op.f == "enqueue"]
    return [*accounted(puts, [came + left]), *_consumers(taken, left.total())]


def _values(operation: Operation) -> list[Hashable]:
    value = operation.answer
    return [key(each) for each in (value if isinstance(value, list) else [value])]


def _consumers(taken: Sequence[Operation], left: int) -> list[Finding]:
    """Consumers that got no more messages although many went to others or were left over."""
    last: dict[int, Operation] = {}
    for op in sorted(taken, key=lambda op: op.ended or 0.0):
        last[op.process] = op
    if not last:
        return []
    dead = []
    for process, op in last.items():
        ended_at = op.ended or op.began
        after = sum((other.ended or 0.0) > ended_at for other in taken)
        if after + left > _SHARE * max(1, len(last) - 1):
            said = f"process {process} got no message after this, although others got {after}"
            said += f" and {left} were left over"
            dead.append(Evidence(said, ended_at, process, op.f, op.answer))
    counts = {"consumers": len(last), "dead": len(dead), "left": left}
    why = f"{len(last) - len(dead)} of {len(last)} consumers got messages until the end"
    return [Finding("consumers", bool(dead), why, "always", counts, dead)]
