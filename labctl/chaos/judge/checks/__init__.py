"""The checks: from what a workload did and found in the end to findings, by its kind and way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from labctl.chaos.folder.history import Operation
from labctl.chaos.judge.checks import (
    age,
    answers,
    api,
    append,
    bank,
    counter,
    queue,
    reads,
    register,
    sets,
    vip,
)
from labctl.chaos.judge.checks.finding import Finals, Settings
from labctl.chaos.model.findings import Finding

Checker = Callable[[Sequence[Operation], Finals, Settings], list[Finding]]


def nothing(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """For what leaves nothing behind: whether it was served is said of every workload."""
    return []


WAYS: Mapping[str, Checker] = {
    "set": sets.check,
    "majority": sets.check,
    "w1": sets.check,
    "counter": counter.check,
    "register": register.check,
    "bank": bank.check,
    "read-after-write": reads.check,
    "append": append.check,
    "quorum": queue.check,
    "classic": queue.check,
    "answers": answers.check,
    "probe": vip.check_client,
    "token": nothing,
    "dashboard": answers.check,
    "floating": answers.check,
    "balanced": answers.check,
    "poll": age.check,
}
"""As what a store is used → its checker."""

KINDS: Mapping[str, Checker] = {"api": api.check}
"""Kind → the checker of all its other ways."""


def checker(kind: str, way: str) -> Checker | None:
    """Who checks a workload of a kind, used as ``way``; None when nobody can."""
    return WAYS.get(way) or KINDS.get(kind)
