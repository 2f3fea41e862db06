"""The words of scenarios: faults, parts that targets play, workloads. Literal, so none is guessed.

What a fault takes and what a workload needs is data here; who makes the fault or runs the
workload looks itself up by the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from labctl.chaos import checks
from labctl.faults.kind import FaultKind
from labctl.faults.kinds import registered
from labctl.workloads.registry import KINDS

if TYPE_CHECKING:
    FaultWord = str
else:
    FaultWord = Literal[tuple(registered())]

FAULTS: Mapping[str, FaultKind] = registered()
"""Word → kind of fault. Here its word and keys matter, and nothing is made by it."""

PARTS: Mapping[str, str] = {
    "vip-holder": "keepalived",
    "galera-writer": "mariadb",
    "galera-donor": "mariadb",
    "rabbit-leader": "rabbitmq",
    "redis-master": "redis",
    "sentinel-leader": "sentinel",
    "mongo-primary": "mongodb",
    "l3-master": "neutron-l3-agent",
    "amphora": "octavia-amphora",
}
"""Part → the service that plays it, or whose node does."""
PARTS_OF: Mapping[str, str] = {
    "rabbit-leader": "queue",
    "l3-master": "router",
    "amphora": "load balancer",
}
"""Parts that may be followed by ``:NAME``, and what it names: whose leader, whose master, ..."""

Share = Literal["one", "minority", "majority", "all"]
SHARES: tuple[Share, ...] = get_args(Share)

if TYPE_CHECKING:
    Store = str
else:
    Store = Literal[tuple(KINDS)]


@dataclass(frozen=True)
class Workload:
    """A way to use a store: the services that the lab must have, and the settings it takes."""

    services: tuple[str, ...]
    settings: tuple[str, ...] = ()


_COMMON = ("timeout", "claims")
"""Seconds that an operation may take before its end counts as unknown; and settings by which the
store is judged instead of those in force: what a known-bad lab says of itself."""

WORKLOADS: Mapping[str, Mapping[str, Workload]] = {
    kind: {
        way: Workload(
            entry.services, (*_COMMON, *sorted({*entry.settings} - {*_COMMON, "resource"}))
        )
        for way, entry in ways.items()
    }
    for kind, ways in KINDS.items()
}
"""Store → way → what it needs: the clients' own registry, as scenarios may speak of it."""

CHECKS: tuple[str, ...] = checks.words()
"""What a checker may find wrong, as verdicts name it; a scenario allows by these names."""

BUDGETS: tuple[str, ...] = tuple(KINDS)
"""What may be away for a bounded time only: as its timers say, or as the scenario does."""
