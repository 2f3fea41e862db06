"""A resolved lab: what a topology and the catalogue come to. Frozen, complete, no engine in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from labctl.model import clock
from labctl.model.service import Profile, ServiceDoc
from labctl.model.topology import HostServices


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
    """The nodes that may run it: those whose role lists it. ``nodes`` unless only one is active."""

    @property
    def image(self) -> str:
        """The image role that its instances run in."""
        return clock.image(self.doc.image) if clock.faked(self.settings) else self.doc.image

    @property
    def job_node(self) -> Node:
        """Where its one-shot jobs run: always the same, so that a move does not repeat them."""
        return self.candidates[0]


@dataclass(frozen=True)
class Instance:
    """A service on a node."""

    node: Node
    service: Service

    @property
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
        return tuple(
            Instance(node, service)
            for node in self.nodes
            for service in self.services.values()
            if node in service.nodes
        )

    @property
    def client(self) -> Node:
        """The node from which everything is probed, driven and measured."""
        return next(node for node in self.nodes if "client" in node.roles)

    @property
    def toolbox(self) -> Instance:
        """The instance in the client node where all of that runs: the one of the client's image."""
        return next(
            i for i in self.instances if i.node == self.client and i.service.doc.image == "client"
        )

    def node(self, name: str) -> Node | None:
        """A node by name."""
        return next((node for node in self.nodes if node.name == name), None)

    def instance(self, node: str, service: str) -> Instance | None:
        """An instance by its node's and service's names."""
        return next(
            (i for i in self.instances if i.node.name == node and i.service.name == service), None
        )

    def holder(self, node: Node) -> str:
        """Name of the container that owns the node's network namespace."""
        return f"{self.name}-{node.name}"

    def container(self, instance: Instance) -> str:
        """Name of an instance's container."""
        return f"{self.name}-{instance.node.name}-{instance.service.name}"

    def disk(self, instance: Instance) -> str:
        """Name of the container that keeps an instance's volumes in memory, if it has such."""
        return f"{self.container(instance)}-disk"

    def elsewhere(self, instance: Instance) -> tuple[str, ...]:
        """Names of containers on nodes where the service may run, and does not now."""
        service = instance.service
        return tuple(
            self.container(Instance(node, service))
            for node in service.candidates
            if node not in service.nodes
        )

    def volume(self, instance: Instance, volume: str) -> str:
        """Name of one of an instance's volumes."""
        return f"{self.container(instance)}-{volume}"

    def node_volume(self, node: Node, volume: str) -> str:
        """Name of a volume that the instances of a node share."""
        return f"{self.holder(node)}-shared-{volume}"

    def lab_volume(self, volume: str) -> str:
        """Name of a volume that the whole lab shares."""
        return f"{self.name}-shared-{volume}"
