"""Call a function for several items at once, so that faults hit all nodes with little skew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


MOST = 64
"""Calls at a time; no fault has that many members."""


@contextmanager
def threads(most: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool; the end of the block waits for its work, except on an interrupt.

    After an error, running work finishes and queued work is cancelled.
    """
    pool = ThreadPoolExecutor(most)
    try:
        yield pool
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def together(
    act: Callable[[Item], Result], items: Iterable[Item], *, most: int = MOST
) -> list[Result]:
    """Call ``act`` on every item in parallel, at most ``most`` at a time; results in order.

    The first error is raised only after all calls have ended, so none is still running then.
    """
    work = list(items)
    if not work:
        return []
    with threads(min(len(work), most)) as pool:
        futures = [pool.submit(act, item) for item in work]
        wait(futures)
    return [future.result() for future in futures]


def timed_together(
    act: Callable[[Item], object], items: Iterable[Item], name: Callable[[Item], str]
) -> dict[str, float]:
    """Like :func:`together`; returns when each was done: name → seconds since the start.

    If several items have the same name, the last one counts. The differences are the skew between
    targets.
    """
    began = time.monotonic()

    def timed(item: Item) -> tuple[str, float]:
        act(item)
        return name(item), round(time.monotonic() - began, 4)

    found: dict[str, float] = {}
    for target, seconds in together(timed, items):
        found[target] = max(seconds, found.get(target, 0.0))
    return found
