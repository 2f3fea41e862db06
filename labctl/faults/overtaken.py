"""Finds faults that events have overtaken: what they acted on is no longer what it was.

A container was removed or recreated, a node went off, somebody started what a fault had ended.
Healing skips what can no longer be undone, and its evidence says so: the fault ended earlier there
than planned.
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
IsPresent = Callable[[Engine, Station, Fault], bool]


def identities(engine: Engine, fault: Fault) -> dict[str, str]:
    """Container → id, for all that a fault acts on and the running holders of their nodes."""
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
    """The fault with the members that can still be healed, and target → why it was over there.

    ``others`` are in force: what they prevent from running does not count as overtaken.
    """
    fault, there = entry.fault, _there(engine, entry.fault)
    taken = {name for other in others for name in outage.containers(other)}
    why: dict[str, str] = {}
    kept: list[Member] = []
    for member in fault.members:
        if fault.station(member.node).holder in taken:
            kept.append(member)  # it is started with its node
            continue
        reason, undone = _of_member(entry, member, there)
        if not undone:
            kept.append(member)
        if reason and member.container not in taken:
            why[member.name] = reason
    is_present = kinds.of(fault).is_present
    if is_present is not None and not kinds.of(fault).is_over(fault):
        why |= _of_network(engine, entry, there, taken, is_present)
    return replace(fault, members=tuple(kept)), why


def _of_member(entry: Entry, member: Member, there: There) -> tuple[str, bool]:
    """Why a fault was over for a member (empty: it was not), and whether nothing is left to undo.

    For a fault that was left half made or half undone, a running member proves nothing: labctl
    itself may have started it.
    """
    fault, container = entry.fault, there.get(member.container)
    kind = kinds.of(fault)
    holder = fault.station(member.node).holder
    reason, undone = "", False
    if container is None:
        reason, undone = "its container is gone", True
    elif _recreated(entry, there, member.container):
        reason, undone = "its container was recreated", True
    elif holder not in there or _recreated(entry, there, holder):
        reason, undone = f"{member.node} was recreated", True
    elif outage.off(there, fault.station(member.node)) and not _takes_node(fault, member.node):
        reason, undone = f"{member.node} is off", kind.halts or kind.ends
    elif kind.halts and not kind.ends and container.status != "paused":
        ended = container.status != "running"
        reason, undone = "it has ended" if ended else _unless_half(entry, "it runs again"), True
    elif kind.halts and kind.next_turn is None and container.status == "running":
        reason = _unless_half(entry, "it runs again")
    return reason, undone


def _unless_half(entry: Entry, reason: str) -> str:
    return reason if entry.state == "active" else ""


def _recreated(entry: Entry, there: There, name: str) -> bool:
    container = there.get(name)
    return container is not None and entry.ids.get(name, container.id) != container.id


def _of_network(
    engine: Engine, entry: Entry, there: There, taken: set[str], is_present: IsPresent
) -> dict[str, str]:
    """Node → why a network fault was over there."""
    fault = entry.fault
    found: dict[str, str] = {}
    to_ask = []
    for station in fault.stations:
        holder = there.get(station.holder)
        if station.holder not in entry.ids or station.holder in taken:
            continue  # it was off when the fault was made, or another fault keeps it off
        if holder is None:
            found[station.node] = "its container is gone"
        elif _recreated(entry, there, station.holder):
            found[station.node] = "its container was recreated"
        elif holder.status != "running":
            found[station.node] = f"{station.node} is off"
        else:
            to_ask.append(station)
    if entry.state == "active":
        answers = together(lambda station: is_present(engine, station, fault), to_ask)
        for station, is_there in zip(to_ask, answers, strict=True):
            if not is_there:
                found[station.node] = "its network namespace was recreated"
    return found


def _takes_node(fault: Fault, node: str) -> bool:
    return any(member.node == node and not member.service for member in fault.members)


def _nodes(fault: Fault) -> set[str]:
    """The nodes that a fault acts on."""
    return set(fault.deaf()) or set(fault.nodes)


def _there(engine: Engine, fault: Fault) -> dict[str, Container]:
    return {container.name: container for container in engine.containers(fault.lab)}
