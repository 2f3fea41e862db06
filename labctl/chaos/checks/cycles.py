"""Cycles among transactions, each under the name of its anomaly. Pure.

A cycle says that some transaction came before itself, so no order of them explains what was seen.
Which anomaly it is, is decided by its edges (Adya 1999; Cerone and Gotsman 2018): ``G0`` has only
``ww``, ``G1c`` also ``wr``, ``G-single`` one ``rw``, ``G-nonadjacent`` several of which no two
follow each other, ``G2-item`` any. With edges of a process or of real time it has that as a suffix.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from labctl.chaos.checks.transactions import PROCESS, REALTIME, RW, WR, WW, Graph

MAX_VISITS = 3_000_000
"""The most nodes to visit in naming cycles, which takes some seconds."""

NAMES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
SUFFIXES = ("", "-process", "-realtime")

Edge = tuple[int, int, int]
"""From a node to another, and the kind."""


@dataclass(frozen=True)
class Found:
    """The cycles of a history: the shortest seen of each anomaly, and how many groups have one.

    A group are transactions that all lead to each other. ``unsure`` are groups in which the search
    for a worse anomaly than the one that it found gave up.
    """

    examples: Mapping[str, Sequence[Edge]]
    groups: Mapping[str, int]
    unsure: int = 0


def plain(name: str) -> str:
    """An anomaly's name without the order of time that it needs."""
    return name.removesuffix("-process").removesuffix("-realtime")


def search(graph: Graph, limit: int = MAX_VISITS) -> Found:
    """Find the cycles of a graph; nothing is found only if there are none."""
    examples: dict[str, Sequence[Edge]] = {}
    groups: dict[str, int] = {}
    budget = _Budget(limit)
    unsure = 0
    for group in _groups(graph):
        for name, cycle in _Group(graph, group, budget).anomalies():
            groups[name] = groups.get(name, 0) + 1
            if name not in examples or len(cycle) < len(examples[name]):
                examples[name] = cycle
        unsure += budget.left <= 0
    return Found(examples, groups, unsure)


def _groups(graph: Graph) -> Iterator[frozenset[int]]:
    """The strongly connected components with more than one node (Tarjan 1972, without recursion).

    A node's number is ``index``; 0 is one that was not seen yet.
    """
    first, edges = graph.first, graph.edges
    index, low, place = (array("l", [0]) * graph.nodes for _ in range(3))
    waiting = bytearray(graph.nodes)
    stack, work, count = array("l"), array("l"), 0
    for root in range(graph.nodes):
        if index[root]:
            continue
        work.append(root)
        while work:
            node = work[-1]
            if not index[node]:
                count += 1
                index[node] = low[node] = count
                place[node] = first[node]
                waiting[node] = 1
                stack.append(node)
            while place[node] < first[node + 1]:
                other = edges[place[node]] >> 3
                if not index[other]:
                    work.append(other)
                    break
                place[node] += 1
                if waiting[other] and low[other] < low[node]:
                    low[node] = low[other]
            else:
                work.pop()
                if low[node] == index[node]:
                    group = _popped(stack, waiting, node)
                    if len(group) > 1:
                        yield frozenset(group)


def _popped(stack: array[int], waiting: bytearray, last: int) -> list[int]:
    """Take the nodes from a stack down to one."""
    group: list[int] = []
    while not group or group[-1] != last:
        group.append(stack.pop())
        waiting[group[-1]] = 0
    return group


@dataclass
class _Budget:
    left: int


class _Group:
    """One group of transactions and ends that all lead to each other."""

    def __init__(self, graph: Graph, members: frozenset[int], budget: _Budget) -> None:
        self._graph, self._members, self._budget = graph, members, budget
        self._transactions = sorted(node for node in members if node < graph.size)

    def anomalies(self) -> Iterator[tuple[str, Sequence[Edge]]]:
        """The worst without an order of time; then the worst that is one by such an order only."""
        plain = self._worst("", 0, None)
        if plain:
            yield plain
        for suffix, more in (("-process", PROCESS), ("-realtime", REALTIME)):
            timed = self._worst(suffix, 1 << more, more)
            if timed:
                yield timed
                return

    def _worst(self, suffix: str, more: int, must: int | None) -> tuple[str, Sequence[Edge]] | None:
        """The cycle of the worst kind whose edges are of the usual kinds and ``more``.

        It has an edge of the kind ``must``, if that is not None.
        """
        ww, wr = 1 << WW | more, 1 << WW | 1 << WR | more
        for name, through, first in (("G0", ww, WW), ("G1c", wr, WR), ("G-single", wr, RW)):
            cycle = self._cycle(through, first, must)
            if cycle:
                return name + suffix, cycle
        everything = wr | 1 << RW
        cycle = self._cycle(everything, RW, must, apart=True)
        if cycle:
            return "G-nonadjacent" + suffix, cycle
        cycle = self._cycle(everything, RW, must)
        return ("G2-item" + suffix, cycle) if cycle else None

    def _cycle(
        self, kinds: int, first: int, must: int | None, *, apart: bool = False
    ) -> Sequence[Edge] | None:
        """A cycle that begins with an edge of one kind and goes back by others the shortest way."""
        for node in self._transactions:
            for other, _ in self._graph.following(node, 1 << first):
                if self._budget.left <= 0:
                    return None
                if other in self._members:
                    back = self._path(other, node, kinds, must, apart)
                    if back is not None:
                        return [(node, other, first), *back]
        return None

    def _path(
        self, start: int, goal: int, kinds: int, must: int | None, apart: bool
    ) -> Sequence[Edge] | None:
        """The shortest path; ``apart`` if no two ``rw`` may follow each other, before it either."""
        begin = (start, apart, must is None)
        came: dict[tuple[int, bool, bool], tuple[tuple[int, bool, bool], Edge] | None] = {
            begin: None
        }
        todo = deque([begin])
        while todo:
            state = todo.popleft()
            self._budget.left -= 1
            if self._budget.left <= 0:
                return None
            node, was_rw, met = state
            for other, kind in self._graph.following(node, kinds):
                if other not in self._members or (apart and was_rw and kind == RW):
                    continue
                following = (other, apart and kind == RW, met or kind == must)
                if following in came:
                    continue
                came[following] = (state, (node, other, kind))
                if other == goal and following[2] and not following[1]:
                    return self._steps(came, following)
                todo.append(following)
        return None

    def _steps(
        self,
        came: Mapping[tuple[int, bool, bool], tuple[tuple[int, bool, bool], Edge] | None],
        state: tuple[int, bool, bool],
    ) -> list[Edge]:
        """The edges of a path, without the ends that it passes in between."""
        steps: list[Edge] = []
        before = came[state]
        while before is not None:
            state, edge = before
            steps.append(edge)
            before = came[state]
        whole: list[Edge] = []
        for one, other, kind in reversed(steps):
            if one >= self._graph.size:
                begun = whole.pop()
                whole.append((begun[0], other, REALTIME))
            else:
                whole.append((one, other, kind))
        return whole
