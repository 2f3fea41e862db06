"""Helpers that build faults: resolved against the lab and checked, without touching anything."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.faults import present
from labctl.faults.model import (
    DEFAULT_LEASE,
    Direction,
    Fault,
    Member,
    Scope,
    Station,
    names,
)
from labctl.faults.targets import Target

if TYPE_CHECKING:
    from labctl.model.lab import Instance, Lab

_LONGEST = 7 * 86400.0
SHORTEST = 1.0


def halt(
    engine: Engine,
    lab: Lab,
    kind: str,
    targets: Sequence[Target],
    *,
    lease: float = DEFAULT_LEASE,
    alive: Collection[str] = ("running",),
    holders: bool = True,
) -> Fault:
    """A fault that ends, freezes or restarts instances, or whole nodes; not both at once.

    It acts on containers in the states ``alive``; without ``holders`` it acts on a node's processes
    and leaves its holder alone. LabError when a target does not run, because the fault would do
    nothing.
    """
    scope = scope_of(kind, targets)
    there = {c.name: c.status for c in engine.containers(lab.name)}
    members: list[Member] = []
    for target in dict.fromkeys(targets):
        up = [m for m in members_of(lab, target) if there.get(m.container) in alive]
        if not holders:
            up = [member for member in up if member.service]
        elif target.name not in [member.name for member in up]:
            up = []
        if not up:
            raise LabError(f"{target.name} is not running, so there is nothing to {kind}")
        members += up
    return fresh(
        lab,
        kind,
        scope,
        [target.name for target in targets],
        lease=checked_lease(lease),
        members=tuple(members),
    )


def scope_of(kind: str, targets: Sequence[Target]) -> Scope:
    """Whether targets are nodes or instances. InputError when they are mixed."""
    scopes: set[Scope] = {"node" if t.service is None else "instance" for t in targets}
    if len(scopes) != 1:
        raise InputError(f"name nodes or instances to {kind}, not both at once")
    return scopes.pop()


def on_the_wire(
    lab: Lab,
    kind: str,
    groups: Sequence[Sequence[str]],
    *,
    direction: Direction,
    lease: float,
    terms: Mapping[str, Any],
    shortest: float = SHORTEST,
) -> Fault:
    """A network fault between groups of nodes; a single group is separated from all other nodes.

    InputError when a node is unknown or in two groups, or a side is empty.
    """
    known = [node.name for node in lab.nodes]
    sides = [tuple(dict.fromkeys(group)) for group in groups if group]
    named = [node for side in sides for node in side]
    for node in named:
        if node not in known:
            raise InputError(f"there is no node '{node}' in lab '{lab.name}': {names(known)}")
        if named.count(node) > 1:
            raise InputError(f"node {node} is in two groups of the cut: name it once")
    if len(sides) == 1:
        sides.append(tuple(node for node in known if node not in named))
    if len(sides) < 2 or not all(sides):
        raise InputError("a cut needs nodes on both sides: name some of them, but not all")
    if direction != "both" and len(sides) != 2:
        raise InputError("a one-way cut is between two groups: name one group or two")
    return fresh(
        lab,
        kind,
        "node",
        named,
        lease=checked_lease(lease, shortest),
        groups=tuple(sides),
        direction=direction,
        terms=terms,
    )


def on_instances(
    engine: Engine,
    lab: Lab,
    kind: str,
    targets: Sequence[Target],
    *,
    lease: float,
    terms: Mapping[str, Any],
) -> Fault:
    """A fault in running instances that keeps them running.

    InputError for a target that is a node, LabError for an instance that is not running.
    """
    up = present.up(engine, lab.name)
    members: list[Member] = []
    for target in dict.fromkeys(targets):
        if target.service is None:
            raise InputError(f"{target.name} is a node: name instances of it, as NODE/SERVICE")
        found = [m for m in members_of(lab, target) if m.container in up]
        if not found:
            raise LabError(f"{target.name} is not running, so there is nothing to disturb")
        members += found
    return fresh(
        lab,
        kind,
        "instance",
        [target.name for target in targets],
        lease=checked_lease(lease),
        members=tuple(members),
        terms=terms,
    )


def unsupported(lab: Lab, service: str, setting: str, *, what: str, done: str, value: str) -> str:
    """Why a service's ``what`` (``clock``) cannot be ``done`` (``changed``), as an error sentence.

    It needs a setting that the service declares and a topology sets, for instance to ``value``.
    """
    if setting not in lab.services[service].settings:
        able = names([name for name, each in lab.services.items() if setting in each.settings])
        return f"the {what} of {service} cannot be {done}; it can for {able or 'none'}"
    return (
        f"{service} has the machine's {what} in lab '{lab.name}'; bring up a topology that says "
        f"{setting}: {value} under services.{service}"
    )


def start_of(lab: Lab, target: Target) -> Fault:
    """A fault that starts all of a target when it is undone: a whole node, or an instance."""
    scope: Scope = "node" if target.service is None else "instance"
    return fresh(lab, "stop", scope, [target.name], members=members_of(lab, target))


def fresh(lab: Lab, kind: str, scope: Scope, targets: Iterable[str], **more: Any) -> Fault:
    """A new fault that begins now, with the lab's nodes; ``more`` are other fields of Fault."""
    return Fault(
        id=_new_id(),
        lab=lab.name,
        kind=kind,
        scope=scope,
        targets=tuple(dict.fromkeys(targets)),
        stations=stations_of(lab),
        begun=time.time(),
        **more,
    )


def members_of(lab: Lab, target: Target) -> tuple[Member, ...]:
    """The containers of a target, a node's holder last."""
    if target.service is not None:
        instance = lab.instance(target.node, target.service)
        return (_member(lab, instance),) if instance else ()
    node = lab.node(target.node)
    if node is None:
        return ()
    instances = tuple(_member(lab, i) for i in lab.instances if i.node == node)
    return (*instances, Member(lab.holder(node), node.name, "", 1))


def stations_of(lab: Lab) -> tuple[Station, ...]:
    """The station of every node."""
    return tuple(Station(n.name, lab.holder(n), n.address, n.mac.lower()) for n in lab.nodes)


def _member(lab: Lab, instance: Instance) -> Member:
    grace = round(instance.service.doc.container.stop_grace_period)
    return Member(lab.container(instance), instance.node.name, instance.service.name, grace)


def checked_lease(lease: float, shortest: float = SHORTEST) -> float:
    """The lease (seconds), if it is neither too short nor too long; else InputError."""
    if not shortest <= lease <= _LONGEST:
        raise InputError(f"a fault lasts between {shortest:g} s and 7 days, not {lease:g} s")
    return lease


def _new_id() -> str:
    """A unique id that sorts by time and is safe in file and table names."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{secrets.token_hex(3)}"
