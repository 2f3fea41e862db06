"""Lists that are appended to: of two reads of a key, the shorter is a prefix of the longer.

After Elle (Kingsbury and Alvaro 2020): each append adds a unique number at a list's end, so the
lists show in which order the appends happened.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from labctl.chaos.checks.finding import Finals, Settings, counted, kept, key, quote, unknown
from labctl.chaos.checks.sets import agreement
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("lost", "lost update", "duplicated", "unexpected", "reordered", "members agree")

Element = tuple[Hashable, Hashable]


@dataclass
class _Seen:
    """What clients appended to a key, and what they read."""

    appends: dict[Hashable, Operation] = field(default_factory=dict)
    reads: list[tuple[Operation | None, list[Any]]] = field(default_factory=list)


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find elements lost, overwritten, duplicated, reordered or unexpected.

    ``txn``: [["append", key, n], ["r", key, list]]; ``append``: [key, n]; ``read``: [key, list].
    Finals: place → {key: list}.
    """
    keys: dict[Hashable, _Seen] = {}
    for operation in operations:
        for f, name, value in _parts(operation):
            mine = keys.setdefault(key(name), _Seen())
            if f == "append":
                mine.appends[key(value)] = operation
            elif operation.end == "ok" and isinstance(value, list):
                mine.reads.append((operation, value))
    ends = _ends(finals)
    for name, lists in ends.items():
        keys.setdefault(name, _Seen()).reads.extend((None, each) for each in lists)
    if not any(op.end == "ok" for mine in keys.values() for op in mine.appends.values()):
        return [unknown("lost", "nothing was acknowledged, so nothing was tested")]
    order = [_reordered(keys), _duplicated(keys), _unexpected(keys)]
    if not ends:
        return [unknown("lost", "the lists were not read at the end"), *order]
    return [*_lost(keys, ends), *order, *_agreement(finals)]


def _parts(operation: Operation) -> Iterable[tuple[str, Any, Any]]:
    """The parts of an operation: append or r, key, value."""
    if operation.f == "txn":
        done = operation.answer if operation.end == "ok" else operation.asked
        for f, name, value in done or ():
            yield f, name, value
    elif operation.f in ("append", "read"):
        value = operation.value if operation.f == "read" else operation.asked
        if isinstance(value, list) and len(value) == 2:
            yield ("append" if operation.f == "append" else "r"), value[0], value[1]


def _ends(finals: Finals) -> dict[Hashable, list[list[Any]]]:
    """Key → its final lists, one for each place. JSON's keys are text; ours may be numbers."""
    found: dict[Hashable, list[list[Any]]] = {}
    for books in dict(finals or {}).values():
        if isinstance(books, Mapping):
            for name, values in books.items():
                whole: Hashable = int(name) if str(name).lstrip("-").isdigit() else name
                if isinstance(values, list):
                    found.setdefault(whole, []).append(values)
    return found


def _agreement(finals: Finals) -> list[Finding]:
    """At the end every member has every list in full: a shorter one is only a prefix."""
    books = {name: book for name, book in dict(finals or {}).items() if isinstance(book, Mapping)}
    return agreement(
        {
            name: [[each, value] for each, values in book.items() for value in values]
            for name, book in books.items()
        }
    )


def _lost(
    keys: Mapping[Hashable, _Seen], ends: Mapping[Hashable, Sequence[Sequence[Any]]]
) -> list[Finding]:
    """Acknowledged elements that are missing: overwritten by a concurrent append, or just lost."""
    acknowledged = 0
    updates: dict[Element, Operation] = {}
    gone: dict[Element, Operation] = {}
    for name, mine in keys.items():
        there = {key(each) for values in ends.get(name, ()) for each in values}
        done = {value: op for value, op in mine.appends.items() if op.end == "ok"}
        acknowledged += len(done)
        stay = [op for value, op in mine.appends.items() if value in there]
        for value, op in done.items():
            if value not in there:
                beside = any(_overlap(op, other) for other in stay)
                (updates if beside else gone)[name, value] = op
    return [
        _finding("lost", gone, "acknowledged and lost", "durable", acknowledged),
        _finding(
            "lost update",
            updates,
            "acknowledged, and overwritten by a concurrent append",
            "isolated",
            acknowledged,
        ),
    ]


def _finding(
    check: str, broken: Mapping[Element, Operation], what: str, aspect: Any, acknowledged: int
) -> Finding:
    counts = {"acknowledged": acknowledged, check: len(broken)}
    if not broken:
        return kept(check, f"of {acknowledged} acknowledged, none {what}", aspect, **counts)
    return Finding(
        check,
        broken=True,
        why=counted([f"{name}:{value}" for name, value in broken], what),
        aspect=aspect,
        counts=counts,
        evidence=[quote(op, what) for op in broken.values()],
        times=[op.ended for op in broken.values() if op.ended is not None],
    )


def _overlap(one: Operation, other: Operation) -> bool:
    """Whether two operations are concurrent: neither ended before the other began."""
    first = one.ended is None or one.ended >= other.began
    return first and (other.ended is None or other.end != "ok" or other.ended >= one.began)


def _reordered(keys: Mapping[Hashable, _Seen]) -> Finding:
    """Of two reads of a key, the shorter must be a prefix of the longer."""
    wrong: list[Evidence] = []
    count = 0
    for name, mine in keys.items():
        reads = sorted(mine.reads, key=lambda read: len(read[1]))
        count += len(reads)
        for (op, shorter), (_, longer) in pairwise(reads):
            if longer[: len(shorter)] != shorter:
                said = f"key {name}: is not a prefix of {longer[:20]}"
                wrong.append(_evidence(op, said, shorter))
    if not wrong:
        return kept("reordered", f"{count} reads show the same order", "isolated", reads=count)
    why = f"{len(wrong)} of {count} reads show a different order: {wrong[0].said}"
    return Finding("reordered", True, why, "isolated", {"reads": count, "wrong": len(wrong)}, wrong)


def _duplicated(keys: Mapping[Hashable, _Seen]) -> Finding:
    wrong = [
        _evidence(op, f"key {name}: contains an element twice", values)
        for name, mine in keys.items()
        for op, values in mine.reads
        if len({key(value) for value in values}) < len(values)
    ]
    if not wrong:
        return kept("duplicated", "no read contains an element twice", "once")
    why = f"{len(wrong)} reads contain an element twice"
    return Finding("duplicated", True, why, "once", {"duplicated": len(wrong)}, wrong)


def _unexpected(keys: Mapping[Hashable, _Seen]) -> Finding:
    wrong = []
    for name, mine in keys.items():
        fine = {value for value, op in mine.appends.items() if op.end != "fail"}
        for op, values in mine.reads:
            if strange := [value for value in values if key(value) not in fine]:
                said = f"key {name}: {strange[:5]} failed or were never requested"
                wrong.append(_evidence(op, said, values))
    if not wrong:
        return kept("unexpected", "no read contains anything that was not appended")
    why = f"{len(wrong)} reads contain elements that failed or were never requested"
    return Finding("unexpected", True, why, "always", {"unexpected": len(wrong)}, wrong)


def _evidence(operation: Operation | None, said: str, values: Any) -> Evidence:
    if operation is None:
        return Evidence(said + " (at the end)", value=values)
    return quote(operation, said)
