"""Who needs whom: which faults can be felt by a workload or an instance at all. Pure.

What a run recorded of its lab (``services`` in run.json: the nodes of each service, and what it
needs) decides. Of a run without that record, every node but the client's counts as running
everything, and an API as needing all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labctl.model.hearing import deaf
from labctl.workloads.registry import KINDS

Data = Mapping[str, Any]

_PORTS = {
    3306: ("mariadb", "haproxy"),
    4444: ("mariadb",),
    4567: ("mariadb",),
    4568: ("mariadb",),
    4369: ("rabbitmq",),
    5672: ("rabbitmq",),
    15672: ("rabbitmq",),
    25672: ("rabbitmq",),
    5000: ("keystone", "haproxy"),
    6379: ("redis", "sentinel"),
    26379: ("sentinel",),
    27017: ("mongodb",),
    11211: ("memcached",),
}
"""Port → who talks there; another may be anybody's."""
_VRRP = ("keepalived",)
_OPENSTACK = ("api", "memcached", "tenant")
"""Kinds of workloads whose answers come out of many services."""


@dataclass(frozen=True)
class Dependence:
    """The services of a lab: who runs where, and needs whom."""

    nodes: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Service → the nodes that run it; empty when that was not recorded."""
    needs: Mapping[str, Collection[str]] = field(default_factory=dict)
    clients: Collection[str] = ()
    """The nodes that workloads run on."""

    def closure(self, services: Iterable[str]) -> frozenset[str]:
        """The services with all that they need, directly or not."""
        found: set[str] = set()
        left = [*services]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self.needs.get(name, ())
        return frozenset(found)

    def of_workload(self, workload: Data) -> frozenset[str] | None:
        """The services that a workload is served by; None when all may be.

        An API's things are made by its siblings (``nova-conductor`` for ``nova-api``) as well.
        """
        kind = str(workload.get("kind"))
        entry = KINDS.get(kind, {}).get(str(workload.get("as")))
        if entry is None:
            return None
        if kind not in _OPENSTACK:
            return self.closure(entry.services)
        if not self.nodes:
            return None
        systems = {name.partition("-")[0] for name in entry.services}
        return self.closure(name for name in self.nodes if name.partition("-")[0] in systems)

    def touched(self, fault: Data, services: frozenset[str] | None) -> frozenset[str]:
        """Which of the services a fault acts on; ``*`` for the clients' own node."""
        hit = self._hit(fault)
        if any(target.partition("/")[0] in self.clients for target in _nodes(fault)):
            return hit | {"*"} if services is None else (hit & services) | {"*"}
        return hit if services is None else hit & services

    def _hit(self, fault: Data) -> frozenset[str]:
        spec = fault.get("spec") or {}
        whole, found = set(_nodes(fault)), set[str]()
        for target in fault.get("targets", ()):
            node, _, service = target.partition("/")
            if service and not fault["traits"]["on_nodes"]:
                found.add(service)
            else:
                whole.add(node)
        on = self._on(whole - found)
        port = _port(spec)
        if spec.get("only") == "vrrp":
            on &= {*_VRRP}
        elif port in _PORTS:
            on &= {*_PORTS[port]}
        return frozenset(found | on)

    def _on(self, nodes: Collection[str]) -> set[str]:
        if not nodes or not {*nodes} - {*self.clients}:
            return set()
        if not self.nodes:
            return {s for ways in KINDS.values() for e in ways.values() for s in e.services} | {
                "mariadb",
                "rabbitmq",
            }
        return {service for service, on in self.nodes.items() if {*on} & {*nodes}}


def of_run(run: Data) -> Dependence:
    """From run.json."""
    services = run.get("services") or {}
    numbers = (run.get("settings") or {}).get("timers") or {}
    return Dependence(
        nodes={name: tuple(each.get("nodes", ())) for name, each in services.items()},
        needs={name: tuple(each.get("needs", ())) for name, each in services.items()},
        clients=tuple(n.removeprefix("client.") for n in numbers if n.startswith("client.")),
    )


def _nodes(fault: Data) -> set[str]:
    """The nodes that a network fault acts on: of a cut, all that do not hear or are not heard."""
    parted = fault.get("resolved") or {}
    groups, pairs = parted.get("groups") or (), parted.get("pairs") or ()
    if groups or pairs:
        apart = deaf(groups, parted.get("direction", "both"), pairs)
        return {*apart, *(other for others in apart.values() for other in others)}
    return {target for target in fault.get("targets", ()) if "/" not in target}


def _port(spec: Data) -> int:
    """The one port that a fault is about; 0 if there is none."""
    said = spec.get("port") or str(spec.get("only") or "").removeprefix("port ")
    return int(said) if str(said).isdigit() else 0
