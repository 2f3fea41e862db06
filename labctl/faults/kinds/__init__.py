"""The kinds of faults: one module for each, or for several similar ones.

A module here defines ``KINDS``, a tuple of :class:`~labctl.faults.kind.FaultKind`, and needs no
other registration: the journal, the guardian, scenarios, their JSON Schema and runs use this
registry.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.faults.kind import FaultKind, Pairs
    from labctl.faults.model import Fault


@cache
def registered() -> Mapping[str, FaultKind]:
    """Word → kind of fault. The modules are imported when this is first called."""
    found: dict[str, FaultKind] = {}
    for module in pkgutil.iter_modules(__path__):
        for kind in import_module(f"{__name__}.{module.name}").KINDS:
            if kind.word in found:
                raise ValueError(f"two modules define the kind of fault '{kind.word}'")
            found[kind.word] = kind
    return dict(sorted(found.items()))


def of(fault: Fault) -> FaultKind:
    """The kind of a fault. LabError when it is unknown: another version of labctl journalled it."""
    kind = registered().get(fault.kind)
    if kind is None:
        raise LabError(
            f"this labctl knows no fault '{fault.kind}', which is in force in lab '{fault.lab}'; "
            "heal it with the labctl that made it"
        )
    return kind


def repeats(fault: Fault) -> bool:
    """Whether a fault is made again and again, by the guardian."""
    kind = registered().get(fault.kind)
    return kind is not None and kind.next_turn is not None


def lasting(faults: Iterable[Fault]) -> list[Fault]:
    """The faults that must be renewed in a node's new network namespace."""
    return [f for f in faults if (kind := of(f)).renew is not None and not kind.is_over(f)]


def severed(faults: Iterable[Fault]) -> Pairs:
    """Pairs of nodes that get no answer from each other while the faults last."""
    found: set[frozenset[str]] = set()
    for fault in faults:
        severs = of(fault).severs
        found |= severs(fault) if severs is not None else frozenset()
    return frozenset(found)
