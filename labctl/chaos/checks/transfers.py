"""What the accounts of a bank may have at a moment, by the transfers before and beside it. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from labctl.chaos.folder.history import Operation

FEW = 10
"""Transfers of unknown effect of which every choice is tried; of more, only the ranges count."""
BACK = 300
"""Acknowledged transfers that a snapshot may be behind, at most, to be known as stale."""
_STEP = 64

Sums = defaultdict[str, float]


class Ledger:
    """The transfers of a history, for questions about the balances at a moment."""

    def __init__(self, operations: Sequence[Operation], start: float) -> None:
        self._start = start
        transfers = [op for op in operations if op.f == "transfer" and op.end != "fail"]
        self._open = sorted((op for op in transfers if op.end != "ok"), key=lambda op: op.began)
        self._open_began = [op.began for op in self._open]
        done = [(op.ended, op) for op in transfers if op.end == "ok" and op.ended is not None]
        done.sort(key=lambda each: each[0])
        self._done = [op for _, op in done]
        self._ends = [ended for ended, _ in done]
        begins = [op.began for op in reversed(self._done)]
        self._first_begin = list(accumulate(begins, min))[::-1]
        """Place by end → the first beginning from there on."""
        self._sums: list[dict[str, float]] = []
        """What the first 0, STEP, 2 STEP, ... by their end add up to."""
        sums = Sums(float)
        for place in range(len(self._done) + 1):
            if place % _STEP == 0:
                self._sums.append(dict(sums))
            _add(sums, self._done[place : place + 1])

    def explains(self, book: Mapping[str, Any], began: float, ended: float) -> bool:
        """Whether a book that was read between two moments may be right."""
        return self._fits(book, bisect_left(self._ends, began), ended)

    def was_before(self, book: Mapping[str, Any], began: float) -> bool:
        """Whether a book was right at a moment before another, not long ago."""
        latest = bisect_left(self._ends, began)
        places = range(latest - 1, max(-1, latest - 1 - BACK), -1)
        return any(self._fits(book, place, self._ends[place]) for place in places)

    def _fits(self, book: Mapping[str, Any], count: int, until: float) -> bool:
        """Whether a book is the first transfers by their end, with some of those begun by then."""
        sums = Sums(float, self._sums[count // _STEP])
        _add(sums, self._done[count - count % _STEP : count])
        maybe = self._open[: bisect_right(self._open_began, until)]
        place = count
        while place < len(self._done) and self._first_begin[place] <= until:
            if self._done[place].began <= until:
                maybe.append(self._done[place])
            place += 1
        left = {name: balance - self._start - sums[name] for name, balance in book.items()}
        low, high = Sums(float), Sums(float)
        for op in maybe:
            for name, amount in _amounts(op):
                (low if amount < 0 else high)[name] += amount
        within = all(low[name] <= amount <= high[name] for name, amount in left.items())
        return within and (len(maybe) > FEW or _some_add_up(maybe, left))


def _add(sums: Sums, transfers: Iterable[Operation]) -> None:
    for op in transfers:
        for name, amount in _amounts(op):
            sums[name] += amount


def _amounts(op: Operation) -> tuple[tuple[str, float], tuple[str, float]]:
    """The account that gives and the one that gets, with what each gains."""
    amount = float(op.asked["amount"])
    return (str(op.asked["from"]), -amount), (str(op.asked["to"]), amount)


def _some_add_up(maybe: Sequence[Operation], left: Mapping[str, float]) -> bool:
    """Whether some choice of transfers is what is left of each account."""
    names = sorted(left)
    sums = {tuple(0.0 for _ in names)}
    for op in maybe:
        change = Sums(float, dict(_amounts(op)))
        more = tuple(change[name] for name in names)
        sums |= {tuple(a + b for a, b in zip(each, more, strict=True)) for each in sums}
    return tuple(float(left[name]) for name in names) in sums
