"""Faults from what a person asks for: resolved against the lab, checked, nothing touched yet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.faults.model import DEFAULT_LEASE, Direction, Fault, Member, Scope, Station, names
from labctl.faults.targets import Target

if TYPE_CHECKING:
    from labctl.model.lab import Instance, Lab

_ALIVE = {"kill": ("running", "paused"), "stop": ("running",), "pause": ("running",)}
_LEASE_LIMITS = (1.0, 7 * 86400.0)


def halt(
    engine: Engine,
    lab: Lab,
    kind: Literal["kill", "stop", "pause"],
    targets: Sequence[Target],
    *,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that kills, stops or freezes instances, or whole nodes; not both at once.

    LabError when a target does not run, for then the fault would do nothing.
    """
    scopes: set[Scope] = {"node" if t.service is None else "instance" for t in targets}
    if len(scopes) != 1:
        raise InputError(f"name nodes or instances to {kind}, not both at once")
    there = {c.name: c.status for c in engine.containers(lab.name)}
    members: list[Member] = []
    for target in dict.fromkeys(targets):
        alive = [m for m in members_of(lab, target) if there.get(m.container) in _ALIVE[kind]]
        if kind == "pause":
            alive = [member for member in alive if member.service]
        elif target.name not in [member.name for member in alive]:
            alive = []
        if not alive:
            raise LabError(f"{target.name} does not run, so there is nothing to {kind}")
        members += alive
    return Fault(
        id=_new_id(),
        lab=lab.name,
        kind=kind,
        scope=next(iter(scopes)),
        targets=tuple(dict.fromkeys(target.name for target in targets)),
        stations=stations_of(lab),
        begun=time.time(),
        lease=_checked_lease(lease),
        members=tuple(members),
    )


def cut(
    lab: Lab,
    groups: Sequence[Sequence[str]],
    *,
    direction: Direction = "both",
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A partition. One group is cut from all the other nodes; several are cut from each other.

    ``direction`` as in :class:`~labctl.faults.model.Fault`. InputError when it makes no sense.
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
    return Fault(
        id=_new_id(),
        lab=lab.name,
        kind="cut",
        scope="node",
        targets=tuple(named),
        stations=stations_of(lab),
        begun=time.time(),
        lease=_checked_lease(lease),
        groups=tuple(sides),
        direction=direction,
    )


def start_of(lab: Lab, target: Target) -> Fault:
    """The fault whose undoing starts all of a target: its whole node, or an instance."""
    return Fault(
        id=_new_id(),
        lab=lab.name,
        kind="stop",
        scope="node" if target.service is None else "instance",
        targets=(target.name,),
        stations=stations_of(lab),
        begun=time.time(),
        members=members_of(lab, target),
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
    """Every node as the network knows it."""
    return tuple(Station(n.name, lab.holder(n), n.address, n.mac.lower()) for n in lab.nodes)


def _member(lab: Lab, instance: Instance) -> Member:
    grace = round(instance.service.doc.container.stop_grace_period)
    return Member(lab.container(instance), instance.node.name, instance.service.name, grace)


def _checked_lease(lease: float) -> float:
    shortest, longest = _LEASE_LIMITS
    if not shortest <= lease <= longest:
        raise InputError(f"a fault lasts between {shortest:.0f} s and 7 days, not {lease:g} s")
    return lease


def _new_id() -> str:
    """Sortable by time, safe in file and table names."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{secrets.token_hex(3)}"
