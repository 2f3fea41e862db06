"""Whether a register's history is linearizable: a search, bounded by steps. Pure.

Every operation takes effect at one moment between its beginning and its end. The search is Wing
and Gong's with Lowe's memory ("Testing for linearizability", 2017): depth first, and just in time.
It goes from end to end; where an operation ends that has not taken effect, it tries each open write
that could take effect now, and goes back when none leads on. A configuration (where it is, the
register's value, which open operations have taken effect) that led nowhere is remembered where
there was a choice.

What keeps the choices few, and changes no answer:

- a read takes effect as soon as the register has its value, which never does harm;
- a write that nobody reads any more, or only reads that are open, takes effect just before the
  next write, with these reads between;
- no write takes the place of a value that is still to be read and that nothing can write again;
- an ``info`` operation never ends: it may take effect at any time or never, and is dropped once
  nobody can read its value any more.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from labctl.chaos.checks.finding import key as as_key
from labctl.chaos.folder.history import Operation

Result = Literal["linearizable", "not linearizable", "gave up"]

MAX_STEPS = 1_000_000
"""The most configurations to visit, which takes some seconds."""

Config = tuple[int, Hashable, int]
"""Position among the moments, the register's value, the slots of what has taken effect as bits."""


@dataclass(frozen=True)
class Step:
    """What an operation does: the value it has ``seen`` (read, cas) and the one it has ``made``.

    ``reads`` and ``writes`` say which of the two count.
    """

    operation: Operation
    reads: bool
    seen: Hashable
    writes: bool
    made: Hashable


@dataclass(frozen=True)
class Searched:
    """The result of a search; ``at`` is the operation that no order explains."""

    result: Result
    steps: int
    at: Operation | None = None


def search(steps: Sequence[Step], initial: Hashable, limit: int = MAX_STEPS) -> Searched:
    """Search one register's operations (``ok`` and ``info``) for an order that explains them."""
    found = _Search(steps, initial, limit)
    result = found.run()
    if result != "not linearizable":
        return Searched(result, found.count)
    return _culprit(steps, initial, found, limit)


def step(operation: Operation, asked: Any, answer: Any) -> Step | None:
    """What an operation on a register does; None when it is irrelevant.

    One that failed did not happen, and what an unfinished read saw is unknown.
    """
    if operation.end == "fail" or (operation.f == "read" and operation.end != "ok"):
        return None
    if operation.f == "read":
        return Step(operation, reads=True, seen=as_key(answer), writes=False, made=None)
    if operation.f == "write":
        return Step(operation, reads=False, seen=None, writes=True, made=as_key(asked))
    old, new = asked
    return Step(operation, reads=True, seen=as_key(old), writes=True, made=as_key(new))


def _culprit(steps: Sequence[Step], initial: Hashable, found: _Search, limit: int) -> Searched:
    """The first end up to which no order explains what happened, by bisection.

    A history is linearizable only if each of its beginnings is; what had not ended by then may
    have taken effect or not.
    """
    ends = sorted(op.ended for each in steps if (op := each.operation).end == "ok" and op.ended)
    low, high, count = 0, len(ends) - 1, found.count
    while low < high:
        middle = (low + high) // 2
        part = _Search(_until(steps, ends[middle]), initial, limit)
        result = part.run()
        count += part.count
        if result == "linearizable":
            low = middle + 1
        elif result == "not linearizable":
            high = middle
        else:
            break
    at = [s.operation for s in steps if s.operation.end == "ok" and s.operation.ended == ends[high]]
    return Searched("not linearizable", count, at[-1])


def _until(steps: Sequence[Step], moment: float) -> list[Step]:
    """A history cut short just after a moment."""
    cut = []
    for each in steps:
        op = each.operation
        if op.began > moment:
            continue
        if op.end == "ok" and op.ended is not None and op.ended > moment:
            if not each.writes:
                continue
            op = replace(op, end="info", ended=None)
        cut.append(replace(each, operation=op))
    return cut


def _useful(steps: Sequence[Step]) -> list[Step]:
    """Leave out unfinished operations whose value nobody read later: they explain nothing."""
    while True:
        last: dict[Hashable, float] = {}
        for each in steps:
            if each.reads:
                sure = each.operation.end == "ok" and each.operation.ended is not None
                ended = each.operation.ended if sure else math.inf
                last[each.seen] = max(last.get(each.seen, 0.0), ended or 0.0)
        kept = [
            s
            for s in steps
            if s.operation.end == "ok" or last.get(s.made, -math.inf) >= s.operation.began
        ]
        if len(kept) == len(steps):
            return kept
        steps = kept


_CALL, _RETURN, _FORGET = range(3)
_NOBODY = object()
"""Stands for every value that nobody reads any more."""


class _Search:
    """One search; numbers stand for steps, positions for moments in their order."""

    def __init__(self, steps: Sequence[Step], initial: Hashable, limit: int) -> None:
        self._steps = _useful(steps)
        self._initial = initial
        self._limit = limit
        self.count = 0
        self._moments = self._in_order()
        self._to_see: dict[Hashable, int] = {}
        """Value → the position at which the last operation begins that may read it."""
        self._to_read: dict[Hashable, int] = {}
        """Value → the same for what surely reads it."""
        self._to_write: dict[Hashable, int] = {}
        """Value → the position at which the last operation begins that may write it."""
        self._look_ahead()
        self._slot: list[int] = [0] * len(self._steps)
        """Step → its bit; a bit is used again when its step is over."""
        self._open: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        """Position of an end → the writes and the reads that are open there."""
        self._line_up()

    def run(self) -> Result:
        if not self._possible():
            return "not linearizable"
        start = self._advance((0, self._initial, 0))
        if start is None:
            return "linearizable"
        visited: set[Config] = set()
        stack = [iter(self._choices(start))]
        while stack:
            config = next(stack[-1], None)
            if config is None:
                stack.pop()
                continue
            self.count += 1
            if self.count > self._limit:
                return "gave up"
            blocked = self._advance(config)
            if blocked is None:
                return "linearizable"
            if blocked in visited:
                continue
            visited.add(blocked)
            stack.append(iter(self._choices(blocked)))
        return "not linearizable"

    def _in_order(self) -> list[tuple[int, int]]:
        """(What, step) by time; of equal times beginnings first, as they may overlap."""
        moments = []
        for number, each in enumerate(self._steps):
            op = each.operation
            moments.append((op.began, _CALL, number))
            if op.end == "ok" and op.ended is not None:
                moments.append((op.ended, _RETURN, number))
        ordered = [(what, number) for _, what, number in sorted(moments)]
        forgotten = self._forgotten(ordered)
        return [
            each
            for position, moment in enumerate(ordered)
            for each in (moment, *((_FORGET, old) for old in forgotten.get(position, ())))
        ]

    def _forgotten(self, ordered: Sequence[tuple[int, int]]) -> Mapping[int, Sequence[int]]:
        """Position of the last end of what reads a value → its unfinished writes."""
        last: dict[Hashable, int] = {}
        for position, (what, number) in enumerate(ordered):
            if what == _RETURN and self._steps[number].reads:
                last[self._steps[number].seen] = position
        forever = {s.seen for s in self._steps if s.reads and s.operation.end != "ok"}
        found: dict[int, list[int]] = {}
        for number, each in enumerate(self._steps):
            if each.operation.end != "ok" and each.made not in forever:
                found.setdefault(last[each.made], []).append(number)
        return found

    def _look_ahead(self) -> None:
        for position, (what, number) in enumerate(self._moments):
            each = self._steps[number]
            if what != _CALL:
                continue
            if each.reads:
                self._to_see[each.seen] = position
                if each.operation.end == "ok":
                    self._to_read[each.seen] = position
            if each.writes:
                self._to_write[each.made] = position

    def _line_up(self) -> None:
        free: list[int] = []
        used = 0
        now: dict[int, None] = {}
        for position, (what, number) in enumerate(self._moments):
            if what == _CALL:
                if not free:
                    free.append(1 << used)
                    used += 1
                self._slot[number] = free.pop()
                now[number] = None
                continue
            if what == _RETURN:
                writes = tuple(n for n in now if self._steps[n].writes)
                reads = tuple(n for n in now if not self._steps[n].writes)
                self._open[position] = (writes, reads)
            now.pop(number, None)
            free.append(self._slot[number])

    def _possible(self) -> bool:
        """Whether everything that was read had been asked to be written before."""
        there = {self._initial}
        for what, number in self._moments:
            each = self._steps[number]
            if what == _CALL and each.writes:
                there.add(each.made)
            elif what == _RETURN and each.reads and each.seen not in there:
                return False
        return True

    def _advance(self, config: Config) -> Config | None:
        """Go on to the next end of what has not taken effect; None at the end of the history."""
        position, value, done = config
        moments, steps, slots = self._moments, self._steps, self._slot
        while position < len(moments):
            what, number = moments[position]
            slot = slots[number]
            if what == _CALL:
                each = steps[number]
                if not each.writes and each.seen == value:
                    done |= slot
            elif what == _RETURN and not done & slot:
                return position, value, done
            else:
                done &= ~slot
            position += 1
        return None

    def _choices(self, config: Config) -> Iterator[Config]:
        """The configurations after one more write, what is due first."""
        position, value, done = config
        due = self._moments[position][1]
        wanted = self._steps[due].seen if self._steps[due].reads else _NOBODY
        writes, reads = self._open[position]
        left = [n for n in writes if not done & self._slot[n]]
        swapped = {self._steps[n].seen for n in left if self._steps[n].reads}
        passing = [n for n in left if self._passing(n, position, swapped)]
        left.sort(key=lambda n: (n != due, self._steps[n].made != wanted))
        for number in left:
            each = self._steps[number]
            if each.reads and each.seen != value:
                continue
            if number in passing and number != due and each.made != wanted:
                continue
            if self._needed(value, number, left, position):
                continue
            hidden = passing if not each.reads else ()
            after = done | self._slot[number]
            shown = {each.made, *(self._steps[n].made for n in hidden)}
            for other in hidden:
                after |= self._slot[other]
            for other in reads:
                if self._steps[other].seen in shown:
                    after |= self._slot[other]
            yield position, self._kept(each.made, position, left, number), after

    def _passing(self, number: int, position: int, swapped: Collection[Hashable]) -> bool:
        """Whether this is a plain write of what only reads that are open now may still read."""
        each = self._steps[number]
        return (
            not each.reads
            and self._to_see.get(each.made, -1) < position
            and each.made not in swapped
        )

    def _kept(self, value: Hashable, position: int, left: Sequence[int], by: int) -> Hashable:
        """A value, or ``_NOBODY`` if nobody reads it from here on: one such is like another."""
        if self._to_see.get(value, -1) > position:
            return value
        steps = self._steps
        if any(steps[n].reads and steps[n].seen == value for n in left if n != by):
            return value
        return _NOBODY

    def _needed(self, value: Hashable, by: int, left: Sequence[int], position: int) -> bool:
        """Whether a value must still be read, and nothing but what is there now can have it."""
        if self._steps[by].made == value or self._to_write.get(value, -1) > position:
            return False
        others = [self._steps[n] for n in left if n != by]
        if any(each.made == value for each in others):
            return False
        if self._to_read.get(value, -1) > position:
            return True
        sure = (each for each in others if each.operation.end == "ok")
        return any(each.reads and each.seen == value for each in sure)
