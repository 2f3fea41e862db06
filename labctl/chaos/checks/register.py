"""Registers: linearizable, each key by itself (linearizability is local: Herlihy and Wing 1990)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

from labctl.chaos.checks.finding import (
    Finals,
    Settings,
    evidence,
    kept,
    key,
    places,
    quote,
    unknown,
)
from labctl.chaos.checks.linear import MAX_STEPS, Searched, Step, search, step
from labctl.chaos.checks.sets import agreement
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("linearizable", "unexpected", "lost", "members agree")

Keyed = dict[Hashable, list[Step]]

_BLIND = 10
"""Reads that see nothing, and no read that does, from which on that is no delay."""
_AROUND = 8
"""Operations of the key that are quoted with the one that no order explains."""


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Whether some order of the operations explains what the clients of each key saw.

    Values are ``[key, value]``, a ``cas`` has ``[key, [old, new]]``. Settings: ``initial`` (of
    every key) and ``max_steps`` of the whole search.
    """
    keyed = by_key(operations)
    initial = key(settings.get("initial"))
    strange = list(nobody_wrote(keyed, initial))
    return [_order(keyed, settings), *strange, *check_finals(keyed, places(finals))]


def nobody_wrote(keyed: Keyed, initial: Hashable) -> Iterator[Finding]:
    """Reads of what failed, was never requested or only later, and reads that never see anything.

    No store may do that, whatever it promises of what reads see: an old value was once written.
    """
    wrong: list[Evidence] = []
    blind: list[Operation] = []
    sighted = False
    for name, steps in keyed.items():
        began: dict[Hashable, float] = {initial: -inf}
        for each in (s for s in steps if s.writes):
            began[each.made] = min(began.get(each.made, inf), each.operation.began)
        done = (s.operation.ended or inf for s in steps if s.writes and s.operation.end == "ok")
        first = min(done, default=inf)
        for each in (s for s in steps if s.reads and s.operation.end == "ok"):
            op = each.operation
            if began.get(each.seen, inf) > (op.ended or inf):
                said = f"key {name}: {each.seen} failed, or had not been requested by then"
                wrong.append(quote(op, said))
            if each.writes:
                continue  # a compare-and-set goes to the writer, and sees what it locks
            sighted = sighted or each.seen != initial
            if each.seen == initial and op.began > first:
                blind.append(op)
    if wrong:
        why = f"{len(wrong)} reads are of what nobody had written: {wrong[0].said}"
        yield Finding("unexpected", True, why, "always", {"reads": len(wrong)}, wrong)
    elif len(blind) >= _BLIND and not sighted:
        why = f"none of {len(blind)} reads sees any write, although writes had been acknowledged"
        pieces = evidence(blind, "sees nothing")
        yield Finding("unexpected", True, why, "always", {"reads": len(blind)}, pieces)


def _order(keyed: Keyed, settings: Settings) -> Finding:
    if not any(step.reads for steps in keyed.values() for step in steps):
        return unknown("linearizable", "nothing was read, so nothing was tested")
    initial = key(settings.get("initial"))
    left = int(settings.get("max_steps", MAX_STEPS))
    spent, unsure = 0, []
    for name, steps in keyed.items():
        searched = search(steps, initial, left - spent)
        spent += searched.steps
        if searched.result == "not linearizable":
            return _broken(name, steps, searched, spent)
        if searched.result == "gave up":
            unsure.append(name)
            break
    total = sum(map(len, keyed.values()))
    if not any(step.writes and step.operation.end == "ok" for s in keyed.values() for step in s):
        return unknown("linearizable", "no write was acknowledged, so nothing was tested")
    if unsure:
        why = f"the search gave up at key {unsure[0]} after {spent} steps; use more keys"
        return unknown("linearizable", why, operations=total, steps=spent)
    why = f"an order explains all {total} operations on {len(keyed)} keys"
    counts = {"operations": total, "keys": len(keyed), "steps": spent}
    return kept("linearizable", why, "linearizable", **counts)


def check_finals(keyed: Keyed, ends: Mapping[str, Sequence[Any]] | None) -> list[Finding]:
    """Find keys that at the end are missing or older than an acknowledged write, or differ.

    Finals: place → [[key, value], ...]; None when they were not read.
    """
    if ends is None:
        return [unknown("lost", "the keys were not read at the end")]
    rows = [{key(name): key(value) for name, value in map(_split, rows)} for rows in ends.values()]
    found: dict[int, Operation] = {}
    for name, steps in keyed.items():
        writes = [step for step in steps if step.writes]
        for row in rows:
            found |= {id(op): op for op in _newer(writes, row.get(name))[-1:]}
    wrong = list(found.values())
    counts = {"keys": len(keyed), "lost": len(wrong)}
    if not wrong:
        why = f"{len(keyed)} keys have their last value at the end"
        return [kept("lost", why, "durable", **counts), *agreement(ends)]
    why = f"{len(wrong)} keys are missing or older at the end than an acknowledged write"
    said = evidence(wrong, "acknowledged, and there is an older value or none at the end")
    times = [op.ended for op in wrong if op.ended is not None]
    return [Finding("lost", True, why, "durable", counts, said, times), *agreement(ends)]


def _newer(writes: Sequence[Step], value: Hashable) -> list[Operation]:
    """Acknowledged writes of a key that began after the write of its final value."""
    made = [step.operation for step in writes if step.made == value]
    if any(op.end != "ok" for op in made):
        # A write of unknown end may have taken effect after all others.
        return []
    latest = max((op.ended or op.began for op in made), default=-1.0)
    done = [step.operation for step in writes if step.operation.end == "ok"]
    return [op for op in done if op.began > latest]


def by_key(operations: Sequence[Operation]) -> Keyed:
    """The relevant steps of each key."""
    found: Keyed = {}
    for operation in operations:
        if operation.f not in ("read", "write", "cas"):
            continue
        name, asked = _split(operation.asked)
        _, answer = _split(operation.answer)
        made = step(operation, asked, answer)
        if made is not None:
            found.setdefault(key(name), []).append(made)
    return found


def _split(value: Any) -> tuple[Any, Any]:
    """Key and value; without a key there is only one register."""
    if isinstance(value, list) and len(value) == 2:
        return value[0], value[1]
    return None, value


def _broken(name: Hashable, steps: Sequence[Step], searched: Searched, spent: int) -> Finding:
    """The operation that no order explains, and those before it."""
    culprit = searched.at
    assert culprit is not None  # noqa: S101 - of every search that ends so
    until = culprit.ended or culprit.began
    before = [
        s.operation for s in steps if s.operation is not culprit and s.operation.began < until
    ]
    said: list[Evidence] = [quote(culprit, "no order of the operations explains this")]
    said += [quote(op, "before or concurrent with it") for op in before[-_AROUND:]]
    return Finding(
        "linearizable",
        broken=True,
        why=f"key {name}: no order of the operations explains the {culprit.f} of process"
        f" {culprit.process} that ended at {until:.3f} s",
        aspect="linearizable",
        counts={"operations": len(steps), "steps": spent},
        evidence=said,
    )
