"""The same on several nodes at once: a fault's skew between nodes is what makes it a lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


MOST = 64
"""Calls at a time: no fault has as many members."""


@contextmanager
def threads(most: int) -> Iterator[ThreadPoolExecutor]:
    """Threads whose work ends with the block; an interrupt does not wait for it.

    After an error what has begun ends and what has not is dropped.
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
    """Call ``act`` on every item, all at once, or ``most`` at a time; results in order.

    Every call ends before the first error, if any, is raised: nothing goes on behind a failure.
    """
    work = list(items)
    if not work:
        return []
    with threads(min(len(work), most)) as pool:
        futures = [pool.submit(act, item) for item in work]
        wait(futures)
    return [future.result() for future in futures]


def moments(
    act: Callable[[Item], object], items: Iterable[Item], name: Callable[[Item], str]
) -> dict[str, float]:
    """The same, and when it was done: name → seconds since it began, the last of a name's items.

    How far these are apart is the skew between targets.
    """
    began = time.monotonic()

    def timed(item: Item) -> tuple[str, float]:
        act(item)
        return name(item), round(time.monotonic() - began, 4)

    found: dict[str, float] = {}
    for target, seconds in together(timed, items):
        found[target] = max(seconds, found.get(target, 0.0))
    return found
