"""A resolved lab: a topology combined with the catalogue. Frozen, complete, without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from labctl.model import clock
from labctl.model.service import Profile, ServiceDoc
from labctl.model.topology import HostServices

CLIENT = "client"
"""The role of the node from which everything is probed, driven and measured; also the image of the
toolbox that does it."""


def is_toolbox(doc: ServiceDoc) -> bool:
    """Whether a service provides the prober and the other tools of the client node.

    Readiness is probed from there, so it cannot wait for anything to be ready.
    """
    waits = doc.needs or any(job.needs for job in doc.jobs if job.when == "before")
    alone = doc.cluster is None and doc.active == "all"
    return doc.image == CLIENT and not waits and alone


@dataclass(frozen=True)
class Node:
    """A failure domain: an address, a MAC address, roles and a network namespace."""

    name: str
    address: str
    mac: str
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A service of the catalogue with the lab's settings in force."""

    name: str
    doc: ServiceDoc
    settings: Mapping[str, Any]
    nodes: tuple[Node, ...]
    """The nodes that run it, in the topology's order; the first is the seed."""
    candidates: tuple[Node, ...]
    """The nodes that may run it: those with a role that lists it. The same as ``nodes`` unless only
    one is active."""

    @property
    def image(self) -> str:
        """The image role that its instances run in."""
        return clock.image(self.doc.image) if clock.faked(self.settings) else self.doc.image

    @property
    def job_node(self) -> Node:
        """Where its one-shot jobs run: always the same node, so that moves do not repeat them."""
        return self.candidates[0]


@dataclass(frozen=True)
class Instance:
    """A service on a node."""

    node: Node
    service: Service

    @cached_property
    def name(self) -> str:
        """``node/service``, as on the command line."""
        return f"{self.node.name}/{self.service.name}"


@dataclass(frozen=True)
class Lab:
    """Everything that is known about a lab before it runs."""

    name: str
    topology: str
    profile: Profile
    release: str
    subnet: str
    """CIDR."""
    host_address: str
    vip: str
    nodes: tuple[Node, ...]
    services: Mapping[str, Service]
    """In the catalogue's dependency order."""
    host_services: HostServices = "blocked"
    """Whether the lab may open connections to its engine's host."""

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """Every instance, by node and then by service."""
        return tuple(instance for there in self._on_node.values() for instance in there)

    @property
    def hosts(self) -> Mapping[str, str]:
        """name → address, of the nodes and of the virtual IP."""
        return {**{node.name: node.address for node in self.nodes}, "vip": self.vip}

    @cached_property
    def client(self) -> Node:
        """The node from which everything is probed, driven and measured."""
        return next(node for node in self.nodes if CLIENT in node.roles)

    @cached_property
    def toolbox(self) -> Instance:
        """The instance in the client node that runs all of that: see :func:`is_toolbox`."""
        return next(i for i in self.on_node(self.client.name) if is_toolbox(i.service.doc))

    def node(self, name: str) -> Node | None:
        """A node by name."""
        return self._nodes.get(name)

    def instance(self, node: str, service: str) -> Instance | None:
        """An instance by its node's and service's names."""
        return self._instances.get(f"{node}/{service}")

    def on_node(self, node: str) -> tuple[Instance, ...]:
        """The instances on a node, by its name, in the catalogue's order."""
        return self._on_node.get(node, ())

    def of_service(self, service: Service) -> tuple[Instance, ...]:
        """The instances of a service, in the order of its nodes."""
        found = (self.instance(node.name, service.name) for node in service.nodes)
        return tuple(instance for instance in found if instance is not None)

    # A lab of 200 nodes has thousands of instances: looking one up must not search all of them.

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _on_node(self) -> Mapping[str, tuple[Instance, ...]]:
        found: dict[str, list[Instance]] = {node.name: [] for node in self.nodes}
        for service in self.services.values():
            for node in service.nodes:
                found[node.name].append(Instance(node, service))
        return {name: tuple(instances) for name, instances in found.items()}

    @cached_property
    def _instances(self) -> Mapping[str, Instance]:
        return {instance.name: instance for instance in self.instances}

    def holder(self, node: Node) -> str:
        """Name of the container that owns the node's network namespace."""
        return f"{self.name}-{node.name}"

    def container(self, instance: Instance) -> str:
        """Name of an instance's container."""
        return f"{self.name}-{instance.node.name}-{instance.service.name}"

    def job(self, service: Service, job: str) -> str:
        """Name of the container of a one-shot job."""
        return f"{self.name}-{service.job_node.name}-{service.name}-{job}"

    def disk(self, instance: Instance) -> str:
        """Name of the container that keeps an instance's volumes in memory, if it has one."""
        return f"{self.container(instance)}-disk"

    def elsewhere(self, instance: Instance) -> tuple[str, ...]:
        """Names of its containers on nodes where the service may run but does not now."""
        service = instance.service
        if len(service.nodes) == len(service.candidates):
            return ()
        return tuple(
            self.container(Instance(node, service))
            for node in service.candidates
            if node not in service.nodes
        )

    @property
    def network(self) -> str:
        """Name of the network."""
        return f"{self.name}-net"

    def volume(self, instance: Instance, volume: str) -> str:
        """Name of one of an instance's volumes."""
        return f"{self.container(instance)}-{volume}"

    def node_volume(self, node: Node, volume: str) -> str:
        """Name of a volume that the instances of a node share."""
        return f"{self.holder(node)}-shared-{volume}"

    @property
    def records_volume(self) -> str:
        """Name of the volume that records which one-shot jobs are done."""
        return f"{self.name}-records"

    def lab_volume(self, volume: str) -> str:
        """Name of a volume that the whole lab shares."""
        return f"{self.name}-shared-{volume}"
