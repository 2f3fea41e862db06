"""Faults from what a person asks for: resolved against the lab, checked, nothing touched yet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.faults import present
from labctl.faults.model import (
    BLINK,
    DEFAULT_LEASE,
    Direction,
    Fault,
    Halt,
    Kind,
    Member,
    Scope,
    Station,
    names,
)
from labctl.faults.targets import Target
from labctl.faults.wire import VRRP

if TYPE_CHECKING:
    from labctl.model.lab import Instance, Lab

_ALIVE = {"kill": ("running", "paused"), "reboot": ("running", "paused")}
_PROCESSES = ("pause", "term", "crash-loop")
"""Kinds that act on a node's processes and leave its holder alone."""
_LONGEST = 7 * 86400.0
_SHORTEST, _SHORTEST_CUT = 1.0, 0.001


def halt(
    engine: Engine,
    lab: Lab,
    kind: Halt,
    targets: Sequence[Target],
    *,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that ends, freezes or restarts instances, or whole nodes; not both at once.

    LabError when a target does not run, for then the fault would do nothing.
    """
    scopes: set[Scope] = {"node" if t.service is None else "instance" for t in targets}
    if len(scopes) != 1:
        raise InputError(f"name nodes or instances to {kind}, not both at once")
    if kind == "reboot" and scopes != {"node"}:
        raise InputError("only a whole node can be rebooted: name a node, or restart the instance")
    there = {c.name: c.status for c in engine.containers(lab.name)}
    members: list[Member] = []
    for target in dict.fromkeys(targets):
        alive = [m for m in members_of(lab, target) if there.get(m.container) in _up(kind)]
        if kind in _PROCESSES:
            alive = [member for member in alive if member.service]
        elif target.name not in [member.name for member in alive]:
            alive = []
        if not alive:
            raise LabError(f"{target.name} does not run, so there is nothing to {kind}")
        members += alive
    return fresh(
        lab,
        kind,
        next(iter(scopes)),
        [target.name for target in targets],
        lease=checked_lease(lease),
        members=tuple(members),
    )


def cut(
    lab: Lab,
    groups: Sequence[Sequence[str]],
    *,
    direction: Direction = "both",
    only: str | int | None = None,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A partition. One group is cut from all the other nodes; several are cut from each other.

    ``direction`` as in :class:`~labctl.faults.model.Fault`; ``only`` is ``vrrp`` or a port of TCP
    and UDP: all else passes. A lease of less than a second makes a cut that ends by itself.
    InputError when it makes no sense.
    """
    terms: dict[str, Any] = {}
    if only is not None:
        if only != VRRP and not (isinstance(only, int) and 1 <= only <= 65535):
            raise InputError(f"a cut is of everything, of vrrp or of a port, not of '{only}'")
        terms = {"only": only, "said": "only VRRP" if only == VRRP else f"only port {only}"}
    if lease < BLINK:
        if only is not None:
            raise InputError("a cut of less than a second is of everything, not of one port")
        terms = {"said": f"for {lease * 1000:g} ms"}
    return _on_the_wire(lab, "cut", groups, direction=direction, lease=lease, terms=terms)


def degraded(
    lab: Lab,
    groups: Sequence[Sequence[str]],
    *,
    percent: float | None = None,
    rate: int | None = None,
    direction: Direction = "both",
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """Frames between groups (as for :func:`cut`) that get lost.

    Either a share of them in ``percent``, or what is beyond a ``rate`` in bytes a second, counted
    for each node over all that it hears from the other side. InputError when it makes no sense.
    """
    if percent is not None:
        if not 1 <= percent < 100:
            raise InputError(f"a loss is between 1 and 99 percent of the frames, not {percent:g}")
        terms = {"percent": percent, "said": f"{percent:g} %"}
        return _on_the_wire(lab, "loss", groups, direction=direction, lease=lease, terms=terms)
    if rate is None or not 1000 <= rate <= 10_000_000:
        raise InputError("a bandwidth is between 1000 and 10000000 bytes a second")
    terms = {"rate": rate, "said": f"{rate} bytes/s"}
    return _on_the_wire(lab, "bandwidth", groups, direction=direction, lease=lease, terms=terms)


def shaped(
    lab: Lab,
    shape: str,
    nodes: Sequence[str],
    random: Random,
    *,
    only: str | int | None = None,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A cut of some nodes from each other by chance; the others hear, and are heard by, all.

    ``majority`` and ``minority``: two halves, the second (first) the larger. ``bridge``: two halves
    and a node that hears both. ``ring``: each node hears its two neighbours only.
    """
    order = list(nodes)
    random.shuffle(order)
    least = {"majority": 2, "minority": 2, "bridge": 3, "ring": 4}.get(shape)
    if least is None:
        raise InputError(f"there is no shape '{shape}' of a cut: majority, minority, bridge, ring")
    if len(order) < least:
        raise InputError(f"a {shape} needs {least} nodes, and these are {names(list(nodes))}")
    if shape == "ring":
        size = len(order)
        apart = tuple(
            (order[i], order[j])
            for i in range(size)
            for j in range(i + 1, size)
            if j - i not in (1, size - 1)
        )
        whole = cut(lab, [order[:1], order[1:]], only=only, lease=lease)
        return replace(whole, groups=(), pairs=apart, targets=tuple(order))
    if shape == "bridge":
        order = order[1:]
    half = len(order) // 2
    small, large = order[:half], order[half:]
    sides = [small, large] if shape != "majority" else [large, small]
    return cut(lab, sides, only=only, lease=lease)


def _on_the_wire(
    lab: Lab,
    kind: Kind,
    groups: Sequence[Sequence[str]],
    *,
    direction: Direction,
    lease: float,
    terms: Mapping[str, Any],
) -> Fault:
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
        lease=checked_lease(lease, _SHORTEST_CUT if kind == "cut" else _SHORTEST),
        groups=tuple(sides),
        direction=direction,
        terms=terms,
    )


def act(
    engine: Engine,
    lab: Lab,
    name: str,
    targets: Sequence[Target],
    *,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that runs an action which the catalogue declares for a service, in its instances.

    InputError when the service has no such action, LabError when an instance does not run.
    """
    found = []
    for target in targets:
        service = lab.services.get(target.service or "")
        known = {each.name: each for each in service.doc.actions} if service else {}
        if name not in known:
            said = f"it has {names(list(known))}" if known else "it has none"
            raise InputError(f"{target.name} has no action '{name}': {said}")
        found.append(known[name])
    if len({id(each) for each in found}) != 1:
        raise InputError(f"'{name}' is an action of one service: name instances of one service")
    terms = {"said": name, **found[0].model_dump(mode="json", exclude={"name", "description"})}
    return on_instances(engine, lab, "action", targets, lease=lease, terms=terms)


def on_instances(
    engine: Engine,
    lab: Lab,
    kind: Kind,
    targets: Sequence[Target],
    *,
    lease: float,
    terms: Mapping[str, Any],
) -> Fault:
    """A fault in running instances, which it leaves running.

    InputError for a target that is a node, LabError for an instance that does not run.
    """
    up = present.up(engine, lab.name)
    members: list[Member] = []
    for target in dict.fromkeys(targets):
        if target.service is None:
            raise InputError(f"{target.name} is a node: name instances of it, as NODE/SERVICE")
        found = [m for m in members_of(lab, target) if m.container in up]
        if not found:
            raise LabError(f"{target.name} does not run, so there is nothing to disturb")
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


def start_of(lab: Lab, target: Target) -> Fault:
    """The fault whose undoing starts all of a target: its whole node, or an instance."""
    scope: Scope = "node" if target.service is None else "instance"
    return fresh(lab, "stop", scope, [target.name], members=members_of(lab, target))


def fresh(lab: Lab, kind: Kind, scope: Scope, targets: Iterable[str], **more: Any) -> Fault:
    """A fault that begins now, with the lab's nodes as they are; ``more`` are a fault's fields."""
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
    """Every node as the network knows it."""
    return tuple(Station(n.name, lab.holder(n), n.address, n.mac.lower()) for n in lab.nodes)


def _member(lab: Lab, instance: Instance) -> Member:
    grace = round(instance.service.doc.container.stop_grace_period)
    return Member(lab.container(instance), instance.node.name, instance.service.name, grace)


def _up(kind: Kind) -> tuple[str, ...]:
    return _ALIVE.get(kind, ("running",))


def checked_lease(lease: float, shortest: float = _SHORTEST) -> float:
    """A lease in seconds that is neither too short nor too long; InputError else."""
    if not shortest <= lease <= _LONGEST:
        raise InputError(f"a fault lasts between {shortest:g} s and 7 days, not {lease:g} s")
    return lease


def _new_id() -> str:
    """Sortable by time, safe in file and table names."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{secrets.token_hex(3)}"
