"""Faults that events have overtaken: what they acted on is no longer what it was.

A container was removed or made anew, a node went off, somebody started what a fault had ended.
Healing leaves alone what cannot be undone any more, and its evidence says so: the fault ended
earlier there than whoever made it meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from labctl.engine.port import Container, Engine
from labctl.faults import kinds, outage
from labctl.faults.journal import Entry
from labctl.faults.model import Fault, Member, Station
from labctl.host.parallel import together

There = Mapping[str, Container]
Still = Callable[[Engine, Station, Fault], bool]


def identities(engine: Engine, fault: Fault) -> dict[str, str]:
    """Container → id, of all that a fault acts on and of the running holders below them."""
    there = _there(engine, fault)
    nodes = _nodes(fault)
    holders = {station.holder for station in fault.stations if station.node in nodes}
    members = {member.container for member in fault.members}
    return {
        name: container.id
        for name, container in there.items()
        if name in members or (name in holders and container.status == "running")
    }


def look(engine: Engine, entry: Entry, others: Sequence[Fault]) -> tuple[Fault, Mapping[str, str]]:
    """The fault with the members that are still there to be healed, and target → why it was over.

    ``others`` are in force: what they keep from running was overtaken by nobody.
    """
    fault, there = entry.fault, _there(engine, entry.fault)
    taken = {name for other in others for name in outage.containers(other)}
    why: dict[str, str] = {}
    kept: list[Member] = []
    for member in fault.members:
        if fault.station(member.node).holder in taken:
            kept.append(member)  # it comes back with its node
            continue
        reason, undone = _of_member(entry, member, there)
        if not undone:
            kept.append(member)
        if reason and member.container not in taken:
            why[member.name] = reason
    still = kinds.of(fault).still
    if still is not None and not kinds.of(fault).is_over(fault):
        why |= _of_wire(engine, entry, there, taken, still)
    return replace(fault, members=tuple(kept)), why


def _of_member(entry: Entry, member: Member, there: There) -> tuple[str, bool]:
    """Why a fault was over for a member (empty: it was not), and whether nothing is to be undone.

    That something runs says nothing of a fault that was left half made or half undone: it may be
    labctl's own doing.
    """
    fault, container = entry.fault, there.get(member.container)
    kind = kinds.of(fault)
    holder = fault.station(member.node).holder
    reason, undone = "", False
    if container is None:
        reason, undone = "its container is gone", True
    elif _made_anew(entry, there, member.container):
        reason, undone = "its container was made anew", True
    elif holder not in there or _made_anew(entry, there, holder):
        reason, undone = f"{member.node} was made anew", True
    elif outage.off(there, fault.station(member.node)) and not _takes_node(fault, member.node):
        reason, undone = f"{member.node} is off", kind.halts or kind.ends
    elif kind.halts and not kind.ends and container.status != "paused":
        ended = container.status != "running"
        reason, undone = "it has ended" if ended else _unless_half(entry, "it runs again"), True
    elif kind.halts and kind.turn is None and container.status == "running":
        reason = _unless_half(entry, "it runs again")
    return reason, undone


def _unless_half(entry: Entry, reason: str) -> str:
    return reason if entry.state == "active" else ""


def _made_anew(entry: Entry, there: There, name: str) -> bool:
    container = there.get(name)
    return container is not None and entry.ids.get(name, container.id) != container.id


def _of_wire(
    engine: Engine, entry: Entry, there: There, taken: set[str], still: Still
) -> dict[str, str]:
    """Node → why a fault on the wire was over there."""
    fault = entry.fault
    found: dict[str, str] = {}
    to_ask = []
    for station in fault.stations:
        holder = there.get(station.holder)
        if station.holder not in entry.ids or station.holder in taken:
            continue  # it did not run when the fault was made, or another fault keeps it off
        if holder is None:
            found[station.node] = "its container is gone"
        elif _made_anew(entry, there, station.holder):
            found[station.node] = "its container was made anew"
        elif holder.status != "running":
            found[station.node] = f"{station.node} is off"
        else:
            to_ask.append(station)
    if entry.state == "active":
        answers = together(lambda station: still(engine, station, fault), to_ask)
        for station, is_there in zip(to_ask, answers, strict=True):
            if not is_there:
                found[station.node] = "its network was made anew"
    return found


def _takes_node(fault: Fault, node: str) -> bool:
    return any(member.node == node and not member.service for member in fault.members)


def _nodes(fault: Fault) -> set[str]:
    """The nodes that a fault does something on."""
    return set(fault.deaf()) or set(fault.nodes)


def _there(engine: Engine, fault: Fault) -> dict[str, Container]:
    return {container.name: container for container in engine.containers(fault.lab)}
