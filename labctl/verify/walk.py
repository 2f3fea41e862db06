"""Walk a dependency graph with a few threads: each node once those before it are done. Shipped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from graphlib import TopologicalSorter

LATE = 15.0
"""Seconds that work may take beyond its limit to notice that its time is over."""


def walk(
    graph: Mapping[str, Collection[str]],
    work: Callable[[str], None],
    *,
    width: int,
    limit: Callable[[str], float],
    late: Callable[[str], None],
) -> None:
    """Do ``work`` on every name after all of ``graph[name]``; at most ``width`` at a time.

    What most others wait for goes first. ``work`` must not raise. Work that does not end within its
    ``limit`` (seconds) is given up and reported to ``late``: a thread cannot be killed, so it is
    left behind.
    """
    waiting = followers(graph)
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    ready: list[str] = []
    running: dict[str, float] = {}

    def begin(name: str) -> None:
        work(name)
        ended.put(name)

    while sorter.is_active():
        ready += sorter.get_ready()
        ready.sort(key=lambda name: -len(waiting[name]))
        while ready and len(running) < width:
            name = ready.pop(0)
            running[name] = time.monotonic() + limit(name) + LATE
            threading.Thread(target=begin, args=(name,), name=name, daemon=True).start()
        soonest = min(running.values())
        try:
            name = ended.get(timeout=max(soonest - time.monotonic(), 0.01))
        except queue.Empty:
            name = min(running, key=lambda each: running[each])
            late(name)
        if running.pop(name, None) is not None:
            sorter.done(name)


def followers(graph: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Name → all that cannot start before it is done, directly or through others."""
    found: dict[str, set[str]] = {name: set() for name in graph}
    for name in reversed(list(TopologicalSorter(graph).static_order())):
        for before in graph[name]:
            found[before] |= {name, *found[name]}
    return found
