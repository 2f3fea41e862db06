"""Turns what the user asks for, a topology and a choice of it, into a checked record and a lab."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from labctl.documents import topologies
from labctl.documents.catalog import load_catalog
from labctl.documents.source import Source
from labctl.errors import EngineError, InputError, SubnetTakenError
from labctl.model.lab import Lab
from labctl.model.service import PROFILES, Profile
from labctl.model.topology import Choice, TopologyDoc
from labctl.resolve.resolution import resolve
from labctl.resolve.selection import select
from labctl.state import store

POOL = IPv4Network("198.18.0.0/15")
"""RFC 2544: reserved for benchmarks, so used by no LAN or VPN; a /24 for each lab."""


@dataclass(frozen=True)
class Request:
    """What ``up`` was asked for: a topology's name or path, and what overrides it."""

    topology: str
    name: str | None = None
    subnet: IPv4Network | None = None
    choice: Choice = field(default_factory=Choice)
    """Which part of the topology; what it leaves out stays as chosen for the lab before."""
    document: tuple[TopologyDoc, Source] | None = None
    """The topology itself and where it comes from, if it has been read already."""


def request_record(request: Request, taken: Callable[[], Iterable[str]]) -> store.Record:
    """The record for a request, with the document checked before the engine is asked.

    ``taken`` returns the subnets in use on the engine, and is called only if one must be chosen.
    That choice is final once ``up`` has recorded it (:func:`with_subnet`).
    """
    topology, source = request.document or topologies.load_topology(
        topologies.find(request.topology)
    )
    name = request.name or topology.name
    there = store.find(name)
    if there is not None and there.topology.name != topology.name:
        raise InputError(
            f"the name '{name}' is taken by a lab of topology '{there.topology.name}': "
            f"choose another with --name, or run 'labctl down --lab {name}' first"
        )
    if request.subnet is not None:
        network = topology.network.model_copy(update={"subnet": request.subnet})
        topology = topology.model_copy(update={"network": network})
    subnet = topology.network.subnet or (there.subnet if there else None)
    record = store.Record(
        name=name,
        subnet=subnet or next(POOL.subnets(new_prefix=24)),
        topology=topology,
        source=source,
        placed=there.placed if there else {},
        choice=(there.choice if there else Choice()).updated_by(request.choice),
    )
    _check_all(record)
    return replace(record, subnet=subnet or free_subnet(taken(), name))


def with_subnet(record: store.Record, taken: Iterable[str]) -> store.Record:
    """The record with a free subnet: its own if that is free, else another.

    For a lab that has no network yet; hold :func:`labctl.state.store.choosing_subnet` until it is
    recorded. SubnetTakenError when the topology or the user set a subnet that is not free.
    """
    used = list(taken)
    if record.topology.network.subnet is None:
        free = _is_free(record.subnet, _used(used, record.name))
        return record if free else replace(record, subnet=free_subnet(used, record.name))
    for other in used:
        if record.subnet.overlaps(IPv4Network(other)):
            raise SubnetTakenError(
                f"the subnet {record.subnet} is taken on this engine (by {other}): "
                "choose another with --subnet"
            )
    return record


def _check_all(record: store.Record) -> None:
    """Raise InputError for a problem in the whole document, chosen or not, or in the choice."""
    whole = replace(record, choice=Choice(profile=PROFILES[-1]))
    resolved(whole)
    if record.choice != whole.choice:
        resolved(record)


def free_subnet(taken: Iterable[str], name: str) -> IPv4Network:
    """The first /24 of the pool that no network of the engine and no other recorded lab uses."""
    used = _used(taken, name)
    for subnet in POOL.subnets(new_prefix=24):
        if _is_free(subnet, used):
            return subnet
    raise EngineError(f"no /24 of {POOL} is free: take a lab down first")


def _used(taken: Iterable[str], name: str) -> list[IPv4Network]:
    """The engine's subnets, and those that labs other than this one have on record."""
    others = [store.find(other) for other in store.names() if other != name]
    return [*map(IPv4Network, taken), *(record.subnet for record in others if record)]


def _is_free(subnet: IPv4Network, used: Iterable[IPv4Network]) -> bool:
    return not any(subnet.overlaps(other) for other in used)


def resolved(record: store.Record) -> Lab:
    """The lab that a record describes."""
    catalog = load_catalog()
    return resolve(
        select(record.topology, catalog, record.choice, record.source),
        catalog,
        name=record.name,
        subnet=record.subnet,
        source=record.source,
        placed=record.placed,
    )


def described(which: str | None) -> Lab | None:
    """A lab by its name, or its topology's name or file; None: the only one there is, or None.

    Does not ask the engine.
    """
    if which is None and not os.environ.get("LABCTL_LAB"):
        known = store.names()
        return resolved(store.load(known[0])) if len(known) == 1 else None
    if which is None or which in store.names():
        return resolved(store.choose(which))
    return example(which)


def example(topology: str, profile: Profile | None = None) -> Lab:
    """The lab that a topology describes, with example addresses where it sets none."""
    document, source = topologies.load_topology(topologies.find(topology))
    subnet = document.network.subnet or next(POOL.subnets(new_prefix=24))
    choice = Choice(profile=profile)
    return resolved(store.Record(document.name, subnet, document, source, choice=choice))
