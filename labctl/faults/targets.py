"""The targets of faults: a node, an instance, or the one that plays a part at the moment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Container, Engine
from labctl.errors import InputError, LabError
from labctl.faults import present
from labctl.faults.model import names
from labctl.host.parallel import together

if TYPE_CHECKING:
    from labctl.model.lab import Lab, Node

Clusters = Mapping[str, Mapping[str, Any]]
"""Kind of cluster → what its members report about it, as in ``labctl status --json``."""


@dataclass(frozen=True)
class Target:
    """A node, or an instance on it."""

    node: str
    service: str | None = None

    @property
    def name(self) -> str:
        """As on the command line."""
        return self.node if self.service is None else f"{self.node}/{self.service}"


@dataclass(frozen=True)
class _Part:
    """A part in a cluster: the kind of cluster, and the key of the node in its status.

    ``service`` plays the part, if it is not the one that reports on the cluster.
    """

    kind: str
    key: str
    service: str | None = None


VIP_HOLDER = "vip-holder"

PARTS = {
    "galera-writer": _Part("galera", "writer"),
    "rabbit-leader": _Part("rabbitmq", "leader"),
    "redis-master": _Part("redis", "master", "redis"),
    "mongo-primary": _Part("mongodb", "primary"),
}

GALERA_DONOR, SENTINEL_LEADER = "galera-donor", "sentinel-leader"
_ELECTED = "+elected-leader"
_LOG_LINES = 3000


@dataclass(frozen=True)
class _Server:
    """A part played by the instance that serves a tenant's resource, or most such resources."""

    service: str
    resource: str
    script: str
    """Shell script that prints a line for each such resource; ``$1`` is an id, or a star."""


SERVERS = {
    "l3-master": _Server(
        "neutron-l3-agent", "router", "grep -l primary /run/neutron/ha_confs/$1/state"
    ),
    "amphora": _Server(
        "octavia-amphora", "load balancer", "ls -d /run/labctl/amphorae/*/$1/haproxy.cfg"
    ),
}


def resolve(engine: Engine, lab: Lab, text: str, clusters: Callable[[], Clusters]) -> Target:
    """Resolve ``NODE``, ``NODE/SERVICE``, ``PART`` or ``PART/SERVICE`` to what it is now.

    A part of a cluster is an instance; ``vip-holder`` is a node. ``clusters`` asks the lab, and
    is called only for a part of a cluster. InputError for an unknown name, LabError when none or
    more than one plays the part.
    """
    first, _, service = text.partition("/")
    part, _, of = first.partition(":")
    if first in PARTS:
        found = _player(lab, first, clusters())
    elif part == GALERA_DONOR:
        found = _donor(lab, clusters())
    elif part == SENTINEL_LEADER:
        found = _elected(engine, lab)
    elif part in SERVERS:
        found = _server(engine, lab, part, of)
    elif part == "rabbit-leader":
        found = _queue_leader(engine, lab, of)
    elif first == VIP_HOLDER:
        found = Target(_vip_holder(engine, lab))
    elif lab.node(first) is not None:
        found = Target(first)
    else:
        raise InputError(f"there is no target '{first}' in lab '{lab.name}': {_offer(lab)}")
    if "/" not in text:
        return found
    if lab.instance(found.node, service) is None:
        there = [i.service.name for i in lab.instances if i.node.name == found.node]
        raise InputError(
            f"node {found.node} runs no service '{service}': it runs {names(there) or 'none'}"
        )
    return Target(found.node, service)


def vip_holders(
    engine: Engine, lab: Lab, containers: Mapping[str, Container] | None = None
) -> list[str]:
    """The nodes that have the virtual IP on their interface now: one, unless something is wrong.

    ``containers`` are the lab's, by name, if the caller has listed them already.
    """
    there = containers or {c.name: c for c in engine.containers(lab.name)}
    up = [
        node
        for node in lab.nodes
        if (holder := there.get(lab.holder(node))) is not None and holder.status == "running"
    ]

    def holds(node: Node) -> bool:
        command = ["ip", "-j", "-4", "address", "show", "dev", "eth0"]
        result = engine.exec(lab.holder(node), command, timeout=10)
        if result.code != 0:
            raise LabError(f"the addresses of {node.name} cannot be read: {result.stderr.strip()}")
        links = json.loads(result.stdout or "[]")
        addresses = {a.get("local") for link in links for a in link.get("addr_info", [])}
        return lab.vip in addresses

    return [node.name for node, has in zip(up, together(holds, up), strict=True) if has]


def _vip_holder(engine: Engine, lab: Lab) -> str:
    holders = vip_holders(engine, lab)
    if len(holders) == 1:
        return holders[0]
    if not holders:
        raise LabError(f"no node holds the virtual IP {lab.vip}: name a node instead")
    raise LabError(f"{names(holders)} hold the virtual IP {lab.vip}: name a node instead")


def _player(lab: Lab, part: str, clusters: Clusters) -> Target:
    wanted = PARTS[part]
    for service in lab.services.values():
        if service.doc.cluster is not None and service.doc.cluster.kind == wanted.kind:
            node = clusters.get(wanted.kind, {}).get(wanted.key)
            plays = wanted.service or service.name
            if not isinstance(node, str) or lab.instance(node, plays) is None:
                raise LabError(f"lab '{lab.name}' has no {part} now: see `labctl status`")
            return Target(node, plays)
    raise InputError(f"lab '{lab.name}' has no {part}: its topology runs no such cluster")


def _donor(lab: Lab, clusters: Clusters) -> Target:
    """The member from which another one is copying its state."""
    members = clusters.get("galera", {}).get("members", {})
    donors = [node for node, state in members.items() if "Donor" in str(state)]
    service = _clustered(lab, "galera", GALERA_DONOR)
    if len(donors) != 1:
        raise LabError(f"lab '{lab.name}' has no {GALERA_DONOR} now: no state is being copied")
    return Target(donors[0], service)


def _elected(engine: Engine, lab: Lab) -> Target:
    """The sentinel that led the last failover, from their logs: they have no command for it."""
    service = _clustered(lab, "redis", SENTINEL_LEADER)
    found: list[tuple[str, str]] = []
    for node in lab.services[service].nodes:
        instance = lab.instance(node.name, service)
        text = engine.logs(lab.container(instance), _LOG_LINES) if instance else ""
        for line in text.splitlines():
            stamp = re.search(r"(\d{2}) (\w{3}) (\d{4}) (\d{2}:\d{2}:\d{2}\.\d{3})", line)
            if _ELECTED in line and stamp:
                day, month, year, moment = stamp.groups()
                found.append((f"{year}{_MONTHS.index(month):02d}{day}{moment}", node.name))
    if not found:
        raise LabError(f"lab '{lab.name}' has no {SENTINEL_LEADER}: no failover has happened yet")
    return Target(max(found)[1], service)


_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _queue_leader(engine: Engine, lab: Lab, queue: str) -> Target:
    """The broker that leads a quorum queue, or has a classic one."""
    service = _clustered(lab, "rabbitmq", "rabbit-leader")
    columns = ["rabbitmqctl", "-q", "list_queues", "name", "pid", "--no-table-headers"]
    up = present.up(engine, lab.name)
    there = [lab.instance(node.name, service) for node in lab.services[service].nodes]
    asked = next((lab.container(i) for i in there if i and lab.container(i) in up), None)
    said = engine.exec(asked, columns, timeout=60).stdout if asked else ""
    for line in said.splitlines():
        name, _, pid = line.partition("\t")
        node = re.search(r"rabbit@([a-z0-9-]+)", pid)
        if name == queue and node:
            return Target(node[1], service)
    raise LabError(f"lab '{lab.name}' has no queue '{queue}' with a leader now")


def _server(engine: Engine, lab: Lab, part: str, resource: str) -> Target:
    """The instance that serves a resource (by its id), or most of them, as each reports."""
    kind = SERVERS[part]
    if kind.service not in lab.services:
        raise InputError(f"lab '{lab.name}' has no {part}: it runs no {kind.service}")
    up = present.up(engine, lab.name)
    # Unquoted in the script, so that a star matches all.
    command = ["sh", "-c", kind.script, "sh", resource or "*"]
    counted: dict[str, int] = {}
    for node in lab.services[kind.service].nodes:
        instance = lab.instance(node.name, kind.service)
        if instance and lab.container(instance) in up:
            result = engine.exec(lab.container(instance), command, timeout=15)
            counted[node.name] = len(result.stdout.split())
    best = max(counted, key=lambda name: counted[name], default="")
    if not counted.get(best):
        of = f" of {kind.resource} '{resource}' (name it by its id)" if resource else ""
        raise LabError(f"lab '{lab.name}' has no {part}{of} now")
    return Target(best, kind.service)


def _clustered(lab: Lab, kind: str, part: str) -> str:
    """The service that reports on a kind of cluster."""
    for service in lab.services.values():
        if service.doc.cluster is not None and service.doc.cluster.kind == kind:
            return service.name
    raise InputError(f"lab '{lab.name}' has no {part}: its topology runs no such cluster")


def _offer(lab: Lab) -> str:
    nodes = names([node.name for node in lab.nodes])
    parts = names([VIP_HOLDER, *PARTS, GALERA_DONOR, SENTINEL_LEADER, *SERVERS])
    return f"name a node ({nodes}), a part ({parts}), or one of these with /SERVICE"
