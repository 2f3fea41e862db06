"""Queues: what was confirmed is delivered, to consumers or when the queue is drained at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from math import inf

from labctl.chaos.checks.finding import Finals, Settings, ended, kept, key, places, quote, unknown
from labctl.chaos.checks.sets import accounted
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("lost", "duplicated", "unexpected", "order", "consumers")

PATIENCE = 30.0
"""Seconds without a message, while there were some, after which a consumer counts as dead: it
notices a dead broker after two heartbeats of 5 s, and tries each of the others for up to 5 s."""


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find messages lost, unexpected, duplicated or recovered, out of order, and dead consumers.

    ``enqueue`` has a value; ``dequeue`` answers one, or a list, and asks with whether it is
    delivered again. Finals: queue → values drained. Settings: how many ``consumers`` there are.
    """
    taken = [op for op in ended(operations, "ok") if op.f == "dequeue"]
    puts = [op for op in operations if op.f == "enqueue"]
    drained = places(finals)
    meanwhile = [*_early(puts, taken), *_order(puts, taken)]
    end = max((op.began if op.ended is None else op.ended for op in operations), default=0.0)
    if drained is None:
        missing = unknown("lost", "the queue was not drained at the end")
        return [missing, *meanwhile, *_consumers(puts, taken, {}, end, settings)]
    came: Counter[Hashable] = Counter(value for op in taken for value in _values(op))
    left = Counter(key(value) for values in drained.values() for value in values)
    found = accounted(puts, [came + left])
    strange = {finding.check for finding in meanwhile if finding.broken}
    found = [f for f in found if f.broken or f.check not in strange]
    return [*found, *meanwhile, *_consumers(puts, taken, left, end, settings)]


def _values(operation: Operation) -> list[Hashable]:
    value = operation.answer
    return [key(each) for each in (value if isinstance(value, list) else [value])]


def _early(puts: Sequence[Operation], taken: Sequence[Operation]) -> Iterator[Finding]:
    """Messages that were delivered before anybody published them."""
    began: dict[Hashable, float] = {}
    for op in puts:
        began[key(op.asked)] = min(op.began, began.get(key(op.asked), inf))
    early = [
        op for op in taken if any(began.get(v, -inf) > (op.ended or op.began) for v in _values(op))
    ]
    if early:
        said = [quote(op, "delivered before it was published") for op in early]
        why = f"{len(early)} messages were delivered before they were published"
        yield Finding("unexpected", True, why, "always", {"early": len(early)}, said)


def _order(puts: Sequence[Operation], taken: Sequence[Operation]) -> Iterator[Finding]:
    """What one publisher had confirmed before it published more comes to a consumer before that.

    That holds for what was not delivered again, which a consumer knows, and a history says by what
    the ``dequeue`` asked with; older ones do not say it.
    """
    known = [op for op in taken if op.asked is False]
    if not known:
        return
    sent = {key(op.asked): op for op in puts if op.end == "ok"}
    times = Counter(value for op in taken for value in _values(op))
    latest: dict[tuple[int, int], Operation] = {}
    """Consumer and publisher → of the messages that came, the one published last."""
    wrong = []
    for op in sorted(known, key=lambda op: op.ended or op.began):
        for value in _values(op):
            put = sent.get(value)
            if put is None or times[value] > 1:
                continue
            before = latest.setdefault((op.process, put.process), put)
            if put.ended is not None and put.ended < before.began:
                wrong.append(quote(op, f"published before {before.asked}, which came before it"))
            else:
                latest[op.process, put.process] = put
    counts = {"messages": len(known), "wrong": len(wrong)}
    if not wrong:
        why = f"{len(known)} messages came in the order in which each publisher sent them"
        yield kept("order", why, "ordered", **counts)
        return
    why = f"{len(wrong)} of {len(known)} messages came after what was published later"
    yield Finding("order", True, why, "ordered", counts, wrong)


def _consumers(
    puts: Sequence[Operation],
    taken: Sequence[Operation],
    left: Mapping[Hashable, int],
    end: float,
    settings: Settings,
) -> list[Finding]:
    """Consumers that got nothing for PATIENCE seconds to the end, or ever, while there was some."""
    last: dict[int, Operation] = {}
    for op in sorted(taken, key=lambda op: op.ended or op.began):
        last[op.process] = op
    expected = int(settings.get("consumers", len(last)))
    if not expected:
        return []
    unclaimed = [op.ended for op in puts if op.end == "ok" and op.ended and left.get(key(op.asked))]
    first = min((op.began for op in puts if op.end == "ok"), default=end)
    dead = []
    for process, op in last.items():
        since = op.ended or op.began
        others = [o.ended or o.began for o in taken if o.process != process]
        if why := _missed(since, [t for t in others if t > since], unclaimed, end):
            said = f"process {process} got no message after this, {why}"
            dead.append(Evidence(said, since, process, op.f, op.answer))
    if why := _missed(first, [op.ended or op.began for op in taken], unclaimed, end):
        silent = Evidence(f"a consumer never got a message, {why}")
        dead += [silent] * (expected - len(last))
    counts = {"consumers": expected, "dead": len(dead), "left": sum(left.values())}
    why = f"{max(0, expected - len(dead))} of {expected} consumers got messages until the end"
    return [Finding("consumers", bool(dead), why, "always", counts, dead)]


def _missed(since: float, others: Sequence[float], unclaimed: Sequence[float], end: float) -> str:
    """What a consumer without a message ``since`` then might have got; empty if too little.

    That is what went to others all the time, or was left over and had been there for long enough.
    """
    if others and max(others) - min(others) > PATIENCE:
        return f"although others got {len(others)} in {max(others) - min(others):.0f} s"
    waited = end - max(since, min(unclaimed, default=end))
    if waited > PATIENCE:
        return f"although {len(unclaimed)} were left over, one of them for {waited:.0f} s"
    return ""
