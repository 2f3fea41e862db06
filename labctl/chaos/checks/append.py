"""Lists that are appended to: nothing is lost, and some order of the transactions explains all.

After Elle (Kingsbury and Alvaro 2020); :mod:`labctl.chaos.model.isolation` has the anomalies.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import Any

from labctl.chaos.checks.cycles import NAMES, SUFFIXES, Found, plain, search
from labctl.chaos.checks.finding import Finals, Settings, counted, kept, key, quote, unknown
from labctl.chaos.checks.sets import agreement
from labctl.chaos.checks.transactions import KINDS, RW, Book, Graph, Log, log, parts
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Aspect, Evidence, Finding, Link
from labctl.chaos.model.isolation import ANOMALIES

FINDS = (
    *("lost", "lost update", "duplicated", "unexpected", "reordered", "members agree", "stale"),
    *("serializable", "internal", "G1b", "dirty update"),
    *(f"{name}{suffix}" for name in NAMES for suffix in SUFFIXES),
)

Element = tuple[Hashable, Hashable]


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find elements lost, overwritten, duplicated or unexpected, and anomalies of isolation.

    ``txn``: [["append", key, n], ["r", key, list]]; ``append``: [key, n]; ``read``: [key, list].
    Finals: place → {key: list}.
    """
    ends = _ends(finals)
    found = log(operations, ends)
    failed = dict(_failed(operations))
    order = [_reordered(found), _duplicated(found), _unexpected(found, failed), _stale(found)]
    order += [*_cycles(found), *_within(found), *_dirty(found, failed)]
    appends = (n for book in found.books.values() for n in book.appends.values())
    if not any(found.operations[number].end == "ok" for number in appends):
        wrong = (finding for finding in order if finding.broken)
        return [unknown("lost", "nothing was acknowledged, so nothing was tested"), *wrong]
    if not ends:
        return [unknown("lost", "the lists were not read at the end"), *order]
    return [*_lost(found), *order, *_agreement(finals)]


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
            name: [f"{each}:{value}" for each, values in book.items() for value in values]
            for name, book in books.items()
        }
    )


def _failed(operations: Iterable[Operation]) -> Iterator[tuple[Element, Operation]]:
    """Key and element of the appends that failed, and so never happened."""
    for operation in operations:
        if operation.end == "fail":
            for f, name, value in parts(operation):
                if f == "append":
                    yield (key(name), key(value)), operation


def _lost(found: Log) -> list[Finding]:
    """Acknowledged elements that are missing: overwritten by a concurrent append, or just lost."""
    acknowledged = 0
    updates: dict[Element, Operation] = {}
    gone: dict[Element, Operation] = {}
    for name, book in found.books.items():
        there = {key(each) for values in book.finals for each in values}
        appends = {value: found.operations[number] for value, number in book.appends.items()}
        done = {value: op for value, op in appends.items() if op.end == "ok"}
        acknowledged += len(done)
        stay = [op for value, op in appends.items() if value in there]
        for value, op in done.items():
            if value not in there:
                beside = any(_overlap(op, other) for other in stay)
                (updates if beside else gone)[name, value] = op
    lost = _elements("lost", gone, "acknowledged and lost", "durable", acknowledged)
    what = "acknowledged, and overwritten by a concurrent append"
    if updates or not (several := _same_version(found)):
        return [lost, _elements("lost update", updates, what, "isolated", acknowledged)]
    return [lost, several]


def _elements(
    check: str,
    broken: Mapping[Element, Operation],
    what: str,
    aspect: Aspect,
    acknowledged: int,
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


def _same_version(found: Log) -> Finding | None:
    """Transactions that read the same list and then appended to it: only one can have seen it."""
    wrong = {
        name: [found.operations[number] for number in numbers]
        for (name, _), numbers in found.updates.items()
        if len(numbers) > 1
    }
    if not wrong:
        return None
    level, what = ANOMALIES["lost update"]
    name, several = next(iter(wrong.items()))
    why = f"{what}: {len(several)} of key {name}"
    said = [quote(op, f"key {name}: changed the version that others changed") for op in several]
    return Finding("lost update", True, why, level, {"versions": len(wrong)}, said)


def _cycles(found: Log) -> list[Finding]:
    """The anomalies that are cycles; one finding that there are none."""
    graph = Graph(found)
    searched = search(graph)
    counts = {"transactions": graph.size, "dependencies": len(graph.edges)}
    if searched.unsure:
        why = f"the search for anomalies gave up in {searched.unsure} groups of transactions"
        return [unknown("serializable", why, **counts), *_named(graph, searched)]
    if not searched.examples:
        why = f"some order explains all {graph.size} transactions"
        return [kept("serializable", why, "serializable", **counts)]
    return _named(graph, searched)


def _named(graph: Graph, searched: Found) -> list[Finding]:
    """A finding for each anomaly, with its cycle."""
    findings = []
    operations = graph.log.operations
    for name, cycle in searched.examples.items():
        level, what = ANOMALIES[plain(name)]
        aspect: Aspect = level
        if name not in ANOMALIES:
            # Without reads that miss something only the order of writes is against time.
            missed = any(kind == RW for _, _, kind in cycle)
            aspect = "strict serializable" if missed else "ordered"
        links = [
            Link(quote(operations[one], graph.why(one, other, kind)), KINDS[kind])
            for one, other, kind in cycle
        ]
        groups = searched.groups[name]
        why = f"{what}; {groups} such, the first among {len(cycle)} transactions"
        counts = {"groups": groups, "transactions": len(cycle)}
        said = [link.piece for link in links]
        findings.append(Finding(name, True, why, aspect, counts, said, cycle=links))
    return findings


def _within(found: Log) -> Iterator[Finding]:
    """What a single transaction or read shows: it contradicts itself, or saw an unfinished one."""
    if found.internal:
        level, what = ANOMALIES["internal"]
        said = [quote(found.operations[number], why) for number, why, _ in found.internal]
        # No level lets a transaction miss what it wrote itself.
        own = sum(missing for _, _, missing in found.internal)
        why = f"{what}: {len(found.internal)} transactions, of which {own} miss their own write"
        counts = {"internal": len(said), "own": own}
        yield Finding("internal", True, why, "always" if own else level, counts, said)
    if found.intermediate:
        level, what = ANOMALIES["G1b"]
        said = [quote(found.operations[number], why) for number, why in found.intermediate]
        yield Finding("G1b", True, f"{what}: {len(said)}", level, {"reads": len(said)}, said)


def _dirty(found: Log, failed: Mapping[Element, Operation]) -> Iterator[Finding]:
    """Elements of failed appends that acknowledged ones follow."""
    said = []
    for name, book in found.books.items() if failed else ():
        for element, following in pairwise(book.order):
            number = book.appends.get(following, -1)
            if (name, element) in failed and number >= 0:
                after = f"key {name}: {element}, which was undone, is followed by {following}"
                said.append(quote(found.operations[number], after))
    if said:
        level, what = ANOMALIES["dirty update"]
        yield Finding("dirty update", True, f"{what}: {len(said)}", level, {}, said)


def _reordered(found: Log) -> Finding:
    """Of two reads of a key, the shorter must be a prefix of the longer."""
    wrong: list[Evidence] = []
    count = 0
    for name, book in found.books.items():
        reads = sorted(_all(book), key=lambda read: len(read[1]))
        count += len(reads)
        for (number, shorter), (_, longer) in pairwise(reads):
            if longer[: len(shorter)] != shorter:
                said = f"key {name}: is not a prefix of {longer[:20]}"
                wrong.append(_evidence(found, number, said, shorter))
    if not wrong:
        return kept("reordered", f"{count} reads show the same order", "isolated", reads=count)
    why = f"{len(wrong)} of {count} reads show a different order: {wrong[0].said}"
    return Finding("reordered", True, why, "isolated", {"reads": count, "wrong": len(wrong)}, wrong)


def _all(book: Book) -> list[tuple[int, list[Any]]]:
    """All reads of a key; those at the end are of transaction -1."""
    return [*book.seen, *((-1, values) for values in book.finals)]


def _duplicated(found: Log) -> Finding:
    wrong = [
        _evidence(found, number, f"key {name}: contains an element twice", values)
        for name, book in found.books.items()
        for number, values in _all(book)
        if not book.begins_with(values) and len(set(map(key, values))) < len(values)
    ]
    if not wrong:
        return kept("duplicated", "no read contains an element twice", "once")
    why = f"{len(wrong)} reads contain an element twice"
    return Finding("duplicated", True, why, "once", {"duplicated": len(wrong)}, wrong)


def _unexpected(found: Log, failed: Mapping[Element, Operation]) -> Finding:
    """Elements that nobody appended, or only later, or that failed (Adya's G1a)."""
    wrong = []
    for name, book in found.books.items():
        began = {value: found.operations[n].began for value, n in book.appends.items()}
        latest = list(accumulate((began.get(value, inf) for value in book.order), max))
        for number, values in _all(book):
            ended = found.operations[number].ended if number >= 0 else None
            moment = inf if ended is None else ended
            if not values or (
                book.begins_with(values) and inf != latest[len(values) - 1] <= moment
            ):
                continue
            strange = [value for value in values if key(value) not in began]
            early = [value for value in values if moment < began.get(key(value), -inf)]
            if strange:
                undone = any((name, key(value)) in failed for value in strange)
                what = "failed or were never requested" + (" (G1a)" if undone else "")
                wrong.append(_evidence(found, number, f"key {name}: {strange[:5]} {what}", values))
            elif early:
                said = f"key {name}: {early[:5]} had not been requested yet"
                wrong.append(_evidence(found, number, said, values))
    if not wrong:
        return kept("unexpected", "no read contains anything that was not appended")
    why = f"{len(wrong)} reads contain elements that failed or were never requested"
    return Finding("unexpected", True, why, "always", {"unexpected": len(wrong)}, wrong)


def _stale(found: Log) -> Finding:
    """Reads that miss what had been acknowledged, or read by somebody, before they began."""
    wrong = []
    count = 0
    for name, book in found.books.items():
        length = {element: at + 1 for at, element in enumerate(book.order)}
        seen = [
            (op.ended, length[element])
            for element, number in book.appends.items()
            if element in length and (op := found.operations[number]).end == "ok"
        ]
        seen += [
            (found.operations[number].ended, length.get(key(values[-1]), 0))
            for number, values in book.reads
            if values
        ]
        known = sorted((ended, at) for ended, at in seen if ended is not None)
        times = [ended for ended, _ in known]
        least = list(accumulate((at for _, at in known), max))
        count += len(book.reads)
        for number, values in book.reads:
            before = bisect_left(times, found.operations[number].began)
            if before and least[before - 1] > len(values):
                said = f"key {name}: has {len(values)} of the {least[before - 1]} elements there"
                wrong.append(_evidence(found, number, said, values))
    counts = {"reads": count, "stale": len(wrong)}
    if not wrong:
        why = f"{count} reads saw what had been acknowledged or read before them"
        return kept("stale", why, "fresh", **counts)
    why = f"{len(wrong)} of {count} reads miss what had been acknowledged or read before them"
    return Finding("stale", True, why, "fresh", counts, wrong)


def _evidence(found: Log, number: int, said: str, values: Any) -> Evidence:
    if number < 0:
        return Evidence(said + " (at the end)", value=values)
    return quote(found.operations[number], said)
