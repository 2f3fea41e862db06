"""The stores that the simulation knows: one module for a checker, found by itself.

A module defines ``SIMULATED``: how a workload's store is simulated, which fault its runs have, and
the mutants that only its checker can find.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from random import Random
from typing import Any

from tests.mutation.world import MakeStore, Run

Change = Callable[[Run, str, Random], object]
"""Changes a run; ``False`` when there is nothing in it to change. Gets the workload's name."""
WRONG = frozenset({"INVALID"})
INCOMPLETE = frozenset({"UNKNOWN"})
STALE = "wsrep_sync_wait=0 documents stale reads, and nothing bounds yet by how much or when"


@dataclass(frozen=True)
class Mutant:
    """A corruption, and the outcomes that are right for it."""

    name: str
    change: Change
    right: frozenset[str] = WRONG
    missed: str = ""
    """Why nothing finds it yet; it must be found as soon as this is not true any more."""


@dataclass(frozen=True)
class Simulated:
    """A workload's store in simulation."""

    kind: str
    way: str
    make: MakeStore
    mutants: Sequence[Mutant] = ()
    target: Any = ""
    """Whom the fault of its runs kills."""
    settings: dict[str, Any] = field(default_factory=dict)
    profile: str = "support"


def unread(run: Run, name: str, dice: Random) -> object:
    """A member was not read at the end."""
    run.finals[name][dice.choice(sorted(run.finals[name]))] = None
    return True


def known() -> list[Simulated]:
    """All of them."""
    names = sorted(each.name for each in pkgutil.iter_modules(__path__))
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return [each for module in modules for each in module.SIMULATED]
