"""The checks: from what a workload did and found in the end to findings.

A workload's entry names the module here that judges it, by its function ``check``. A module that
may find something says in ``FINDS`` how verdicts call it. The rest judge what labctl itself saw, or
is shared.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from importlib import import_module

from labctl.chaos.checks.finding import Finals, Settings
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Finding
from labctl.workloads.registry import KINDS

STEADY = "steady"
"""What is found of the lab itself, not by a module here: it is not steady after the run."""

SERVED = ("clients", "errors", "recovery")
"""What is found of every workload, not by a module here: how it was served."""

Checker = Callable[[Sequence[Operation], Finals, Settings], list[Finding]]


def nothing(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """For what leaves nothing behind: whether it was served is said of every workload."""
    return []


def checker(kind: str, way: str) -> Checker | None:
    """Who checks a workload of a kind, used as ``way``; None when there is no such workload."""
    entry = KINDS.get(kind, {}).get(way)
    if entry is None:
        return None
    if entry.check is None:
        return nothing
    check: Checker = import_module(f"{__name__}.{entry.check}").check
    return check


def words() -> tuple[str, ...]:
    """What any check may find, as verdicts name it."""
    modules = (import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    found = {word for module in modules for word in getattr(module, "FINDS", ())}
    return tuple(sorted({*found, *SERVED, STEADY}))
