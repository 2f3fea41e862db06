"""Transactions on lists, and which of them must come before which. Pure.

After Elle (Kingsbury and Alvaro 2020): each append adds a unique element at a list's end, so what
was read shows in which order they happened. ``ww``: one appended right after the other; ``wr``: one
read what the other appended last; ``rw``: one read the list as it was before the other's append.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from labctl.chaos.checks.finding import key
from labctl.chaos.folder.history import Operation

WW, WR, RW, PROCESS, REALTIME = range(5)
KINDS = ("ww", "wr", "rw", "process", "realtime")

Part = tuple[str, Any, Any]
"""``append`` or ``r``, key, value."""


@dataclass(slots=True)
class Book:
    """What clients appended to a key, and what they read of it."""

    appends: dict[Hashable, int] = field(default_factory=dict)
    """Element → the transaction that appended it."""
    seen: list[tuple[int, list[Any]]] = field(default_factory=list)
    """Transaction and list, for all reads."""
    reads: list[tuple[int, list[Any]]] = field(default_factory=list)
    """The same for those of others' appends: the list as it was before the transaction's own."""
    finals: list[list[Any]] = field(default_factory=list)
    order: list[Hashable] = field(default_factory=list)
    """The elements in the order of the longest list that was read, each once."""

    def begins_with(self, values: list[Any]) -> bool:
        """Whether a list is what the order begins with, as nearly all are."""
        return self.order[: len(values)] == values

    def close(self) -> None:
        """Find the order, once everything is known."""
        longest: list[Any] = []
        for _, values in self.seen:
            if len(values) > len(longest):
                longest = values
        longest = max((longest, *self.finals), key=len)
        self.order = list(dict.fromkeys(map(key, longest)))


@dataclass
class Log:
    """The transactions of a history that took effect or may have, by their order in it."""

    operations: list[Operation] = field(default_factory=list)
    books: dict[Hashable, Book] = field(default_factory=dict)
    internal: list[tuple[int, str, bool]] = field(default_factory=list)
    """A transaction that contradicts itself: how, and whether its own append is missing."""
    intermediate: list[tuple[int, str]] = field(default_factory=list)
    updates: dict[tuple[Hashable, int], list[int]] = field(default_factory=dict)
    """Key and length of the list that was read → the transactions that then appended to it."""

    def book(self, name: Any) -> Book:
        """The book of a key."""
        return self.books.setdefault(key(name), Book())


def parts(operation: Operation) -> Iterator[Part]:
    """The parts of an operation; what an unfinished one read is unknown."""
    if operation.f == "txn":
        done = operation.answer if operation.end == "ok" else operation.asked
        for f, name, value in done or ():
            yield f, name, value
    elif operation.f in ("append", "read"):
        value = operation.value if operation.f == "read" else operation.asked
        if isinstance(value, list) and len(value) == 2:
            yield ("append" if operation.f == "append" else "r"), value[0], value[1]


def log(operations: Iterable[Operation], finals: Mapping[Hashable, list[list[Any]]]) -> Log:
    """The log of a history; those that failed are left out."""
    found = Log()
    for operation in operations:
        if operation.end == "fail":
            continue
        number = len(found.operations)
        found.operations.append(operation)
        _take(found, number, operation)
    for name, lists in finals.items():
        found.book(name).finals.extend(lists)
    for book in found.books.values():
        book.close()
    _find_intermediate(found)
    return found


def _take(found: Log, number: int, operation: Operation) -> None:
    """Note what one transaction appended and read, and whether it agrees with itself."""
    known: dict[Hashable, list[Any]] = {}
    own: dict[Hashable, list[Any]] = {}
    for f, name, value in parts(operation):
        at = key(name)
        if f == "append":
            found.book(name).appends[key(value)] = number
            own.setdefault(at, []).append(value)
            if at in known:
                if len(own[at]) == 1 and operation.end == "ok":
                    found.updates.setdefault((at, len(known[at])), []).append(number)
                known[at] = [*known[at], value]
        elif operation.end == "ok" and isinstance(value, list):
            mine = own.get(at, [])
            book, read = found.book(name), (number, value)
            book.seen.append(read)
            if at in known or (mine and value[-len(mine) :] != mine):
                expected = known.get(at, mine)
                if value != expected:
                    missing = any(each not in value for each in mine)
                    said = f"key {name}: reads {value[-8:]}, where it knew of {expected[-8:]}"
                    found.internal.append((number, said, missing))
            else:
                before = (number, value[: -len(mine)]) if mine else read
                book.reads.append(before)
            known[at] = value


def _find_intermediate(found: Log) -> None:
    """Find reads that end with an element to which its own transaction appended another."""
    for name, book in found.books.items():
        last = {number: element for element, number in book.appends.items()}
        for reader, values in book.reads:
            if not values:
                continue
            element = key(values[-1])
            writer = book.appends.get(element)
            if writer not in (None, reader) and last[writer] != element:
                said = f"key {name}: reads up to {values[-1]}, and not {last[writer]}, of the same"
                found.intermediate.append((reader, said))


class Graph:
    """Which transaction must come before which; an edge is ``other * 8 + kind``.

    Real time would be an edge for each pair: instead each end is a node of its own, numbered after
    the transactions, that leads to the next end and to what begins before that.
    """

    def __init__(self, found: Log) -> None:
        self.log = found
        self.size = len(found.operations)
        """How many transactions there are: the nodes from here on are ends."""
        self._from, self._to = array("l"), array("q")
        for book in found.books.values():
            for one, other, kind, _ in _dependencies(book):
                self._add(one, other, kind)
        self._in_process()
        self.nodes = self.size + self._in_time()
        self.first, self.edges = self._sorted()
        """Node → the place of its first edge among the edges, which are in the order of nodes."""

    def following(self, node: int, kinds: int = 31) -> Iterator[tuple[int, int]]:
        """(Node, kind) of the edges from a node; ``kinds`` are those wanted, as bits."""
        for place in range(self.first[node], self.first[node + 1]):
            edge = self.edges[place]
            if kinds >> (edge & 7) & 1:
                yield edge >> 3, edge & 7

    def why(self, one: int, other: int, kind: int) -> str:
        """An edge in words: what one transaction did that comes before the other."""
        if kind == PROCESS:
            return "came before the next in the same process"
        if kind == REALTIME:
            return "ended before the next began"
        for name, book in self.log.books.items():
            for before, after, found, element in _dependencies(book):
                if (before, after, found) == (one, other, kind):
                    return _WORDS[kind].format(element=element, key=name)
        return KINDS[kind]

    def _add(self, one: int, other: int, kind: int) -> None:
        self._from.append(one)
        self._to.append(other * 8 + kind)

    def _in_process(self) -> None:
        last: dict[int, int] = {}
        for number, op in enumerate(self.log.operations):
            if op.process in last:
                self._add(last[op.process], number, PROCESS)
            if op.end == "ok":
                last[op.process] = number
            else:
                # It may still take effect, after what the process does next.
                last.pop(op.process, None)

    def _in_time(self) -> int:
        """Add the ends; returns how many there are."""
        operations = self.log.operations
        done = [(op.ended, n) for n, op in enumerate(operations) if op.end == "ok" and op.ended]
        done.sort()
        for place, (_, number) in enumerate(done):
            self._add(number, self.size + place, REALTIME)
            if place:
                self._add(self.size + place - 1, self.size + place, REALTIME)
        times = [ended for ended, _ in done]
        for number, op in enumerate(operations):
            before = bisect_left(times, op.began) - 1
            if before >= 0:
                self._add(self.size + before, number, REALTIME)
        return len(done)

    def _sorted(self) -> tuple[array[int], array[int]]:
        first = array("l", [0]) * (self.nodes + 1)
        for node in self._from:
            first[node + 1] += 1
        for node in range(self.nodes):
            first[node + 1] += first[node]
        place, edges = first[:], array("q", [0]) * len(self._to)
        for node, edge in zip(self._from, self._to, strict=True):
            edges[place[node]] = edge
            place[node] += 1
        return first, edges


_WORDS = {
    WW: "key {key}: what it appended is followed by the next one's {element}",
    WR: "key {key}: it appended the {element} that the next one read last",
    RW: "key {key}: it did not see the {element} that the next one appended",
}


def _dependencies(book: Book) -> Iterator[tuple[int, int, int, Hashable]]:
    """(Transaction, transaction, kind, element) of a key."""
    order = book.order
    place = {element: at for at, element in enumerate(order)}
    for one, other in pairwise(order):
        before, after = book.appends.get(one), book.appends.get(other)
        if before is not None and after is not None and before != after:
            yield before, after, WW, other
    for reader, values in book.reads:
        at = -1
        if values:
            last = key(values[-1])
            writer = book.appends.get(last)
            if writer is not None and writer != reader:
                yield writer, reader, WR, last
            if last not in place:
                continue
            at = place[last]
        following = order[at + 1] if at + 1 < len(order) else None
        writer = book.appends.get(following) if following is not None else None
        if writer is not None and writer != reader:
            yield reader, writer, RW, following
