"""Chooses and checks the addresses of a lab: nodes, host and virtual IP. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import chain

from labctl.documents.source import Place, Source
from labctl.model.lab import CLIENT
from labctl.model.topology import TopologyDoc

DEFAULT_SUBNET = IPv4Network("198.18.0.0/24")
_HOST, _FIRST_NODE, _CLIENT_NODE, _VIP = 1, 11, 100, 250
_PRIVATE = [
    IPv4Network(text) for text in ("198.18.0.0/15", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
]
_SPECIAL = [
    (IPv4Network("224.0.0.0/4"), "is for multicast"),
    (IPv4Network("127.0.0.0/8"), "is every machine's own (loopback)"),
    (IPv4Network("169.254.0.0/16"), "is for link-local addresses"),
]
_LARGEST, _SMALLEST = 16, 24


@dataclass(frozen=True)
class Addresses:
    """Every address of a lab."""

    subnet: IPv4Network
    host: IPv4Address
    vip: IPv4Address
    nodes: dict[str, IPv4Address]


def choose_addresses(
    topology: TopologyDoc, subnet: IPv4Network | None, source: Source
) -> Addresses:
    """The addresses that the topology sets, and labctl's choice of the others.

    Host .1, nodes from .11 in the topology's order, client .100, virtual IP .250; ``subnet`` is
    used for a topology that names none. InputError when an address is outside the subnet, is the
    network or broadcast address, is the engine's (.1, except for the host), or is used twice.
    """
    network = topology.network
    chosen = network.subnet or subnet or DEFAULT_SUBNET
    _check_subnet(chosen, source)
    taken = _Taken(chosen, source, by_labctl=network.subnet is None)
    # Addresses in the document come first: labctl's own choices avoid them.
    taken.claim(network.host, ("network", "host"))
    taken.claim(network.vip, ("network", "vip"))
    for name, node in topology.nodes.items():
        taken.claim(node.address, ("nodes", name, "address"))
    host = network.host or taken.choose(_HOST, ("network", "host"))
    vip = network.vip or taken.choose(_VIP, ("network", "vip"))
    nodes = {
        name: node.address or taken.choose(_CLIENT_NODE, ("nodes", name, "address"))
        for name, node in topology.nodes.items()
        if CLIENT in node.roles
    }
    for name, node in topology.nodes.items():
        if CLIENT not in node.roles:
            place = ("nodes", name, "address")
            nodes[name] = node.address or taken.choose(_FIRST_NODE, place)
    return Addresses(chosen, host, vip, {name: nodes[name] for name in topology.nodes})


def mac_address(address: IPv4Address) -> str:
    """The locally administered MAC address of a lab's address: 02:6c, then its four bytes."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x6c" + address.packed)


def _check_subnet(subnet: IPv4Network, source: Source) -> None:
    place = ("network", "subnet")
    if not any(subnet.subnet_of(private) for private in _PRIVATE):
        known = ", ".join(str(private) for private in _PRIVATE)
        what = next(
            (what for range_, what in _SPECIAL if subnet.subnet_of(range_)), "is not private"
        )
        raise source.error(place, f"{subnet} {what}; take one inside {known}")
    if subnet.prefixlen > _SMALLEST:
        problem = f"{subnet} has {subnet.num_addresses} addresses, too few for a lab"
        raise source.error(place, f"{problem}; take a /{_SMALLEST}")
    if subnet.prefixlen < _LARGEST:
        raise source.error(place, f"{subnet} is larger than a /{_LARGEST}; take a /{_SMALLEST}")


class _Taken:
    """The addresses in use, and by what."""

    def __init__(self, subnet: IPv4Network, source: Source, *, by_labctl: bool) -> None:
        self._subnet = subnet
        self._source = source
        self._by_labctl = by_labctl
        self._owners: dict[IPv4Address, Place] = {}
        self._left: dict[int, Iterator[IPv4Address]] = {}
        """Start → candidates from there not yet tried; addresses are never freed again."""

    def claim(self, address: IPv4Address | None, place: Place) -> None:
        """Reserve an address that the document sets."""
        if address is None:
            return
        if address not in self._subnet:
            hint = ", which labctl chose; set network.subnet too" if self._by_labctl else ""
            raise self._source.error(place, f"{address} is outside the subnet {self._subnet}{hint}")
        if address in (self._subnet.network_address, self._subnet.broadcast_address):
            which = "network" if address == self._subnet.network_address else "broadcast"
            problem = f"{address} is the {which} address of {self._subnet}; take another"
            raise self._source.error(place, problem)
        if address == self._subnet[_HOST] and place != ("network", "host"):
            problem = f"{address} is the first of {self._subnet}, which the engine keeps for itself"
            raise self._source.error(place, f"{problem}; take another")
        if address in self._owners:
            owner = ".".join(str(part) for part in self._owners[address])
            raise self._source.error(place, f"{address} is taken by {owner}; take another")
        self._owners[address] = place

    def choose(self, number: int, place: Place) -> IPv4Address:
        """The first free address from host number ``number`` on, then from the first node's."""
        for address in self._left.setdefault(number, self._candidates(number)):
            if address not in self._owners:
                self._owners[address] = place
                return address
        raise self._source.error(place, f"no address is free in {self._subnet}; take a larger one")

    def _candidates(self, number: int) -> Iterator[IPv4Address]:
        size = self._subnet.num_addresses
        for offset in chain(range(number, size - 1), range(_FIRST_NODE, number)):
            yield self._subnet[offset]
