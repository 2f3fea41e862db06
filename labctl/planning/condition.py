"""Compares an existing lab with the desired one, container by container. Pure.

An instance *serves* if its container and its node's holder are running and it has not been found
unready. One that serves but is not as it should be is *due*: it is replaced in its turn. One that
does not serve can be repaired at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from labctl.engine.port import Container
from labctl.model.lab import Instance, Node, Service
from labctl.planning.desired import ADDRESS, HASH, KIND, NODE, SERVICE, TOGETHER, Desired, Unit
from labctl.planning.steps import Observed


@dataclass(frozen=True)
class Leaver:
    """An instance that serves but is not part of the lab any more, though its service is."""

    container: str
    node: str
    service: Service


class Condition:
    """An observed lab, compared with the desired one."""

    def __init__(self, desired: Desired, observed: Observed) -> None:
        self.desired, self.observed, self.lab = desired, observed, desired.lab
        self._asked = self.runs(self.lab.container(self.lab.toolbox))
        """Whether readiness could be probed."""
        self._serves: dict[str, bool] = {}

    # containers

    def there(self, name: str) -> Container | None:
        """A container by name."""
        return self.observed.containers.get(name)

    def runs(self, name: str) -> bool:
        """Whether a container is running."""
        there = self.there(name)
        return there is not None and there.status == "running"

    def as_it_should_be(self, unit: Unit) -> bool:
        """Whether a container exists and would be created the same way now."""
        there = self.there(unit.spec.name)
        if there is None or there.labels.get(HASH) != unit.hash:
            return False
        return there.labels.get(KIND) == "job" or there.labels.get(NODE) not in self.observed.renew

    def emptied(self, node: str) -> bool:
        """Whether a node is to be replaced by one without data."""
        return self.observed.renew.get(node, False)

    # the network

    @cached_property
    def rewired(self) -> bool:
        """Whether the network has to be created or recreated, which affects every node."""
        there, wanted = self.observed.network, self.desired.network
        if there is None or not self.observed.link:
            return True
        return (there.subnet, there.parent) != (wanted.subnet, wanted.parent)

    # nodes

    def node_due(self, node: Node) -> bool:
        """Whether a running node has to be recreated, and everything on it."""
        unit = self.desired.holders[node.name]
        return self.runs(unit.spec.name) and (self.rewired or not self.as_it_should_be(unit))

    def moves(self, node: Node) -> bool:
        """Whether the address of a running node changes."""
        address = self.addresses.get(self.lab.holder(node), node.address)
        return address != node.address

    @cached_property
    def addresses(self) -> dict[str, str]:
        """Running holder → its current address."""
        return {
            name: there.labels[ADDRESS]
            for name, there in self.observed.containers.items()
            if ADDRESS in there.labels and there.status in ("running", "paused")
        }

    @cached_property
    def owners(self) -> dict[str, str]:
        """Address → the running holder that uses it."""
        return {address: holder for holder, address in self.addresses.items()}

    def in_the_way(self, node: Node) -> str | None:
        """The holder of another node that uses the address which a node is to have."""
        holder = self.owners.get(node.address)
        return holder if holder != self.lab.holder(node) else None

    # instances

    def serves(self, instance: Instance) -> bool:
        """Whether others can rely on an instance now."""
        if instance.name not in self._serves:
            self._serves[instance.name] = self._look_whether_serves(instance)
        return self._serves[instance.name]

    def _look_whether_serves(self, instance: Instance) -> bool:
        name = self.lab.container(instance)
        if not self.runs(name) or not self.runs(self.lab.holder(instance.node)):
            return False
        asked = self._asked and instance.name in self.desired.probes
        stranded = instance.name in self.observed.stranded
        return not stranded and (not asked or instance.name in self.observed.ready)

    def due(self, instance: Instance) -> bool:
        """Whether an instance that serves has to be replaced."""
        if not self.serves(instance):
            return False
        unit = self.desired.instances[instance.name]
        return self.node_due(instance.node) or not self.as_it_should_be(unit)

    def disagrees(self, instance: Instance) -> bool:
        """Whether an instance cannot work together with one that is as it should be."""
        there = self.there(self.lab.container(instance))
        unit = self.desired.instances[instance.name]
        return (
            there is not None
            and TOGETHER in there.labels
            and there.labels[TOGETHER] != unit.spec.labels[TOGETHER]
        )

    @cached_property
    def serving(self) -> dict[str, str]:
        """Container → service, of all instances that serve, leaving ones included."""
        own = {
            self.lab.container(instance): instance.service.name
            for instance in self.lab.instances
            if self.serves(instance)
        }
        return own | {leaver.container: leaver.service.name for leaver in self.leavers}

    @cached_property
    def strength(self) -> Counter[str]:
        """Service → how many of its instances serve."""
        return Counter(self.serving.values())

    def members(self, service: Service) -> int:
        """How many members a cluster has; instances that were never started do not count."""
        found = (self.there(self.lab.container(i)) for i in self.lab.of_service(service))
        leaving = sum(leaver.service.name == service.name for leaver in self.leavers)
        return leaving + sum(there is not None and there.status != "created" for there in found)

    @cached_property
    def leavers(self) -> tuple[Leaver, ...]:
        """Instances that are removed once others have taken over; other leftovers go at once.

        One of a service of which only one may run goes first: two would spoil what they share.
        """
        return tuple(self._leavers())

    def _leavers(self) -> Iterator[Leaver]:
        for name, there in self.observed.containers.items():
            if name in self.desired.units or there.labels.get(KIND) != "instance":
                continue
            service = self.lab.services.get(there.labels.get(SERVICE, ""))
            node = there.labels.get(NODE, "")
            alone = service is not None and service.doc.active == "one"
            if service is None or alone or not self.runs(name) or not self.runs(self._holder(node)):
                continue
            yield Leaver(name, node, service)

    def _holder(self, node: str) -> str:
        return f"{self.lab.name}-{node}"

    @cached_property
    def leaving_nodes(self) -> dict[str, str]:
        """Node → its holder, of nodes that are not part of the lab and have a leaver."""
        nodes = (leaver.node for leaver in self.leavers)
        return {
            node: self._holder(node)
            for node in nodes
            if self._holder(node) not in self.desired.units
        }
