"""Whether a register's history is linearizable: a search, bounded by steps. Pure.

Every operation takes effect at one moment between its beginning and its end. The search visits
the ends in order (Lowe, "Testing for linearizability", 2017: just in time) and keeps every
configuration (the register's value, and which unended operations have taken effect) that explains
what was read so far, each once. An operation must have taken effect when it ends; until then its
effect is assumed only when that explains another. An ``info`` operation never ends: it may take
effect at any time or never, and is dropped once no later operation can read its value.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from labctl.chaos.checks.finding import key as as_key
from labctl.chaos.folder.history import Operation

Result = Literal["linearizable", "not linearizable", "gave up"]

MAX_STEPS = 2_000_000
"""The most configurations to visit, which takes some seconds."""

_NOTHING = frozenset[int]()


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


Config = tuple[Hashable, frozenset[int]]


def search(steps: Sequence[Step], initial: Hashable, limit: int = MAX_STEPS) -> Searched:
    """Search one register's operations (``ok`` and ``info``) for an order that explains them."""
    return _Search(_useful(steps), initial, limit).run()


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


def _useful(steps: Sequence[Step]) -> list[Step]:
    """Leave out unfinished operations whose value was never read: they explain nothing."""
    while True:
        seen = {step.seen for step in steps if step.reads}
        kept = [s for s in steps if s.operation.end == "ok" or s.made in seen]
        if len(kept) == len(steps):
            return kept
        steps = kept


class _Search:
    """One search; numbers stand for steps."""

    def __init__(self, steps: Sequence[Step], initial: Hashable, limit: int) -> None:
        self._steps = steps
        self._initial = initial
        self._limit = limit
        self._count = 0
        self._open: dict[int, Step] = {}
        """Operations that have begun and not ended."""

    def run(self) -> Searched:
        forgotten = self._forgotten()
        configs: set[Config] = {(self._initial, _NOTHING)}
        past: frozenset[int] = _NOTHING
        for _, begins, number in self._moments():
            step = self._steps[number]
            if begins:
                if number not in past:
                    self._open[number] = step
                configs = {self._seen(config) for config in configs}
                continue
            configs = self._ended(number, configs)
            if self._count > self._limit:
                return Searched("gave up", self._count)
            if not configs:
                return Searched("not linearizable", self._count, step.operation)
            del self._open[number]
            gone = frozenset(forgotten.get(number, ()))
            past |= gone
            for old in gone:
                self._open.pop(old, None)
            drop = gone | {number}
            configs = {(value, done - drop) for value, done in configs}
        return Searched("linearizable", self._count)

    def _moments(self) -> list[tuple[float, bool, int]]:
        """Beginnings and ends by time; of equal ones beginnings first, as they may overlap."""
        moments = []
        for number, step in enumerate(self._steps):
            operation = step.operation
            moments.append((operation.began, 0, number))
            if operation.end == "ok" and operation.ended is not None:
                moments.append((operation.ended, 1, number))
        return [(t, order == 0, number) for t, order, number in sorted(moments)]

    def _forgotten(self) -> dict[int, list[int]]:
        """Step → the unfinished steps whose value is not read after its end."""
        last: dict[Hashable, tuple[float, int]] = {}
        forever = set()
        for number, step in enumerate(self._steps):
            if not step.reads:
                continue
            if step.operation.end != "ok" or step.operation.ended is None:
                forever.add(step.seen)
            else:
                last[step.seen] = max(
                    last.get(step.seen, (0.0, number)), (step.operation.ended, number)
                )
        found: dict[int, list[int]] = {}
        for number, step in enumerate(self._steps):
            if step.operation.end == "info" and step.made not in forever and step.made in last:
                found.setdefault(last[step.made][1], []).append(number)
        return found

    def _seen(self, config: Config) -> Config:
        """Let every open read of the current value take effect, which never does harm."""
        value, done = config
        now = [
            number
            for number, step in self._open.items()
            if not step.writes and step.seen == value and number not in done
        ]
        return (value, done.union(now)) if now else config

    def _ended(self, number: int, configs: Iterable[Config]) -> set[Config]:
        """The configurations reachable before a step's end in which it has taken effect."""
        found: set[Config] = set()
        seen = set(configs)
        todo = list(seen)
        while todo:
            config = todo.pop()
            self._count += 1
            if self._count > self._limit:
                break
            if number in config[1]:
                found.add(config)
                continue
            for following in self._following(config):
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return found

    def _following(self, config: Config) -> Iterable[Config]:
        value, done = config
        for number, step in self._open.items():
            if step.writes and number not in done and (not step.reads or step.seen == value):
                yield self._seen((step.made, done | {number}))
