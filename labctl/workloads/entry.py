"""What a workload says of itself: what makes it, what it needs, what may be set about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.model.lab import Lab

Place = Callable[["Lab", Mapping[str, str]], Mapping[str, Any]]
"""Where a workload finds what it uses in a lab, and with which account, by the lab's secrets."""


@dataclass(frozen=True)
class Entry:
    """A workload."""

    kind: str
    """The store that it uses."""
    way: str
    """As what: ``as`` in a scenario."""
    make: Callable[[Any], Any]
    """From its configuration to a :class:`~labctl.workloads.model.Workload`."""
    services: tuple[str, ...]
    """Services of the catalogue that the lab needs."""
    place: Place
    operations: str
    """What its operations mean (``f``: value as invoked → value when ok)."""
    check: str | None
    """The module of ``labctl.chaos.checks`` that judges it; None for what leaves nothing
    behind: whether it was served is said of every workload."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Setting → default; a setting is of its default's type."""
    promised_by: Mapping[str, Any] = field(default_factory=dict)
    """What its client sets and the store's promise depends on, as the guarantee ledger knows it."""
    rate: float = 20.0
    """Operations a second, unless said otherwise."""
    workers: int = 4
    most: float = 200.0
    """The highest rate that one client can do without measuring itself."""
    timeout: float = 5.0
    """Seconds that an operation may take before its end counts as unknown."""
    apart: str = "_"
    """Between the words of what it makes: SQL takes no hyphens, some APIs take host names only."""


class Driver:
    """A library that only the client node has: imported when something of it is used.

    So labctl can read what a workload says of itself without it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Something of the library."""
        return getattr(import_module(self._name), attribute)


def members(lab: Lab, service: str) -> dict[str, str]:
    """Node → address, of the nodes that run a service."""
    return {node.name: node.address for node in lab.services[service].nodes}
