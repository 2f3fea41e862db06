"""Resolves a topology and the catalogue to a lab. Pure: a function of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from labctl.documents.source import Place, Source, printable, suggestion
from labctl.errors import InputError
from labctl.model import disk
from labctl.model.lab import CLIENT, Lab, Node, Service, is_toolbox
from labctl.model.order import VIP_SERVICES, needed, service_order
from labctl.model.service import ServiceDoc
from labctl.model.topology import TopologyDoc
from labctl.resolve import naming
from labctl.resolve.addresses import choose_addresses, mac_address
from labctl.state.paths import check_name

_LONGEST_NAME = 63
"""A container's name is a host name: one DNS label."""
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


def resolve(
    topology: TopologyDoc,
    catalog: Mapping[str, ServiceDoc],
    *,
    name: str | None = None,
    subnet: IPv4Network | None = None,
    source: Source | str = "topology",
    placed: Mapping[str, str] | None = None,
) -> Lab:
    """The lab that a topology describes, with the catalogue's services.

    ``name`` overrides the topology's; ``subnet`` is used when the topology sets none; ``source``
    (see ``documents.reader.load_with_source``) gives the positions for errors; ``placed`` says on
    which node a service with one active instance runs, if not on the first candidate.
    Raises InputError, with file, line and place, for the first problem.
    """
    place = source if isinstance(source, Source) else Source(source)
    return _Resolver(topology, catalog, place, placed or {}).lab(name, subnet)


class _Resolver:
    def __init__(
        self,
        topology: TopologyDoc,
        catalog: Mapping[str, ServiceDoc],
        source: Source,
        placed: Mapping[str, str],
    ) -> None:
        self.topology, self.catalog, self.source = topology, catalog, source
        self.placed = placed
        self.listed: dict[str, Place] = {}
        """Services of the lab → the place where a role first lists them."""

    def lab(self, name: str | None, subnet: IPv4Network | None) -> Lab:
        self._check_roles()
        self._check_nodes()
        addresses = choose_addresses(self.topology, subnet, self.source)
        nodes = tuple(
            Node(node, str(address), mac_address(address), self.topology.nodes[node].roles)
            for node, address in addresses.nodes.items()
        )
        self._check_services()
        services = self._services(nodes)
        for service in services.values():
            self._check_majority(service)
            self._check_beside(service, services)
        lab = Lab(
            name=self._name(name),
            topology=self.topology.name,
            profile=self.topology.profile,
            release=self.topology.release,
            subnet=str(addresses.subnet),
            host_address=str(addresses.host),
            vip=str(addresses.vip),
            nodes=nodes,
            services=services,
            host_services=self.topology.network.host_services,
        )
        self._check_names(lab, chosen=name is not None)
        return lab

    # roles and nodes

    def _check_roles(self) -> None:
        used = {role for node in self.topology.nodes.values() for role in node.roles}
        for role, services in self.topology.roles.items():
            for i, service in enumerate(services):
                place = ("roles", role, i)
                if service not in self.catalog:
                    advice = suggestion(service, self.catalog)
                    raise self.source.error(place, f"no service '{service}'; {advice}")
                if service in services[:i]:
                    raise self.source.error(place, f"'{service}' is listed twice; keep one")
                self.listed.setdefault(service, place)
            if role not in used:
                problem = "no node has this role; give it to a node or take it out"
                raise self.source.error(("roles", role), problem)

    def _check_nodes(self) -> None:
        naming.check_nodes(self.topology.nodes, self.catalog, self.source)
        for name, node in self.topology.nodes.items():
            for i, role in enumerate(node.roles):
                place = ("nodes", name, "roles", i)
                if role not in self.topology.roles:
                    advice = suggestion(role, self.topology.roles)
                    raise self.source.error(place, f"no role '{role}'; {advice}")
                if role in node.roles[:i]:
                    raise self.source.error(place, f"'{role}' is listed twice; keep one")
        self._check_client()

    def _check_client(self) -> None:
        nodes = self.topology.nodes
        clients = [name for name, node in nodes.items() if CLIENT in node.roles]
        if not clients:
            problem = "none has the role 'client'; add one, from which the lab is probed"
            raise self.source.error(("nodes",), problem)
        if len(clients) > 1:
            problem = f"'{clients[0]}' is the client already; a lab has one"
            raise self.source.error(("nodes", clients[1], "roles"), problem)
        if all(node.roles == (CLIENT,) for node in nodes.values()):
            raise self.source.error(("nodes",), "has no node but the client; add one")
        self._check_toolbox(clients[0])

    def _check_toolbox(self, client: str) -> None:
        roles = self.topology.nodes[client].roles
        services = [service for role in roles for service in self.topology.roles[role]]
        if not any(is_toolbox(self.catalog[service]) for service in services):
            known = [name for name, doc in self.catalog.items() if is_toolbox(doc)]
            problem = "have no service from which the lab can be probed"
            advice = f"add {' or '.join(known)} to one of them"
            raise self.source.error(("nodes", client, "roles"), f"{problem}; {advice}")

    # services

    def _check_services(self) -> None:
        for service, place in self.listed.items():
            doc = self.catalog[service]
            for other in needed(doc):
                if other in self.listed:
                    continue
                served = doc.endpoint is not None and other in VIP_SERVICES
                why = "is served on the virtual IP, which needs" if served else "needs"
                problem = f"{service} {why} {other}; list '{other}' in a role too"
                raise self.source.error(place, problem)
        for service in self.topology.services:
            place = ("services", service)
            if service not in self.catalog:
                advice = suggestion(service, self.listed)
                raise self.source.error(place, f"no service '{service}'; {advice}")
            if service not in self.listed:
                problem = f"no role lists {service}; list it or take its settings out"
                raise self.source.error(place, problem)

    def _services(self, nodes: tuple[Node, ...]) -> dict[str, Service]:
        services = {}
        for name in service_order({name: self.catalog[name] for name in self.listed}):
            roles = {role for role, names in self.topology.roles.items() if name in names}
            where = tuple(node for node in nodes if roles & set(node.roles))
            active = where
            if self.catalog[name].active == "one":
                chosen = (node for node in where if node.name == self.placed.get(name))
                active = (next(chosen, where[0]),)
            settings = self._settings(name)
            services[name] = Service(name, self.catalog[name], settings, active, where)
        return services

    def _settings(self, name: str) -> dict[str, Any]:
        settings = dict(self.catalog[name].settings)
        for key, value in self.topology.services.get(name, {}).items():
            place = ("services", name, key)
            if key not in settings:
                problem = f"{name} has no such setting; {suggestion(key, settings)}"
                raise self.source.error(place, problem)
            self._check_type(place, value, settings[key])
            settings[key] = value
        return settings

    def _check_type(self, place: Place, value: object, default: object) -> None:
        """A setting must have its default's type; a whole number is accepted for any number."""
        kind = type(default)
        if place[-1] == disk.SETTING:
            should = disk.problem(value)
        elif default is None or type(value) is kind or (kind is float and type(value) is int):
            should = None
        else:
            should = f"{_KINDS[kind]} such as {default!r} (the default)"
        if should is not None:
            written = printable(self.source.written.get(place, repr(value)), 40)
            what = "is empty" if value is None else f"is {written}"
            raise self.source.error(place, f"{what}, should be {should}")

    def _check_majority(self, service: Service) -> None:
        cluster, count = service.doc.cluster, len(service.nodes)
        if cluster is None or not cluster.majority or count % 2:
            return
        names = ", ".join(node.name for node in service.nodes)
        problem = (
            f"{service.name} would run on {count} nodes ({names}), where a majority decides; "
            f"use {count - 1} or {count + 1}"
        )
        raise self.source.error(self.listed[service.name], problem)

    def _check_beside(self, service: Service, services: Mapping[str, Service]) -> None:
        """Every node that may run the service may run what it needs on the same node."""
        for name in service.doc.beside:
            there = services[name].candidates if name in services else ()
            for node in service.candidates:
                if node not in there:
                    problem = (
                        f"{service.name} would run on {node.name} without {name}, which it needs "
                        f"on the same node; list '{name}' in a role of {node.name} too"
                    )
                    raise self.source.error(self._listing(node, service.name), problem)

    def _listing(self, node: Node, service: str) -> Place:
        """The place where a role of the node lists a service."""
        for role in node.roles:
            if service in (services := self.topology.roles[role]):
                return ("roles", role, services.index(service))
        return ("nodes", node.name, "roles")

    # names

    def _name(self, name: str | None) -> str:
        return self.topology.name if name is None else check_name(name)

    def _check_names(self, lab: Lab, *, chosen: bool) -> None:
        naming.check_distinct(lab, self.source)
        longest = max((n.name for n in naming.named(lab) if n.is_container), key=len)
        excess = len(longest) - _LONGEST_NAME
        if excess <= 0:
            return
        problem = (
            f"'{lab.name}' is too long: the container '{longest}' would have {len(longest)} "
            f"characters of at most {_LONGEST_NAME}; use a name of at most {len(lab.name) - excess}"
        )
        raise InputError(f"lab name {problem}") if chosen else self.source.error(("name",), problem)
