"""The same on several nodes at once: a fault's skew between nodes is what makes it a lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def together(act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Call ``act`` on every item, all at once; results in order.

    Every call ends before the first error, if any, is raised: nothing goes on behind a failure.
    """
    work = list(items)
    if not work:
        return []
    with ThreadPoolExecutor(max_workers=len(work)) as pool:
        futures = [pool.submit(act, item) for item in work]
    return [future.result() for future in futures]
