"""Ends or freezes instances and nodes, and brings back whatever does not run now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event

from labctl.engine.port import Container, Engine
from labctl.errors import LabError
from labctl.faults import kinds, reach
from labctl.faults.model import Fault, Member, Station
from labctl.host.parallel import timed_together, together

ENDED, FROZEN = ("exited", "dead"), ("paused",)
"""The states of a container whose process has ended, and of one whose process is frozen."""
_NOTICE = 30.0
"""Maximum seconds to wait for a process to end after it was asked to."""

Statuses = Mapping[str, Container]


Halt = Callable[[Engine, Member], None]
"""Ends or freezes one container."""


def make(engine: Engine, fault: Fault, halt: Halt, *, powerless: bool = False) -> dict[str, float]:
    """Halt the members of a fault; target → seconds until it was hit.

    A node that loses power (``powerless``) falls silent first: its peers get no FIN and no RST.
    Its holder is halted last, because its namespace is needed for that. The holder of a frozen node
    keeps running (it does nothing, and if frozen it could run no commands): as with any frozen
    process, the kernel still answers for the node's addresses.
    """
    holders = [member for member in fault.members if not member.service]
    instances = [member for member in fault.members if member.service]
    silent: dict[str, float] = {}
    if powerless:
        silent = timed_together(
            lambda m: reach.silence(engine, fault.station(m.node)), holders, lambda m: m.node
        )
    hit = timed_together(
        lambda member: halt(engine, member),
        instances,
        lambda m: m.node if fault.scope == "node" else m.name,
    )
    together(lambda member: halt(engine, member), holders)
    # For its peers a node is gone once it is silent.
    return silent or hit


def undo(engine: Engine, fault: Fault, cuts: Sequence[Fault]) -> None:
    """Start again what a fault ended and what still does not run. Does not wait for readiness.

    ``cuts`` are in force: they are renewed in a node's new namespace before anything runs in it.
    """
    for node in dict.fromkeys(member.node for member in fault.members):
        members = [member for member in fault.members if member.node == node]
        _bring_back(engine, fault, node, members, cuts)


def thaw(engine: Engine, fault: Fault) -> None:
    """Unpause the members that are frozen."""
    there = _statuses(engine, fault)
    frozen = [m for m in fault.members if _is(there, m, *FROZEN)]
    together(lambda member: engine.unpause(member.container), frozen)


def _bring_back(
    engine: Engine, fault: Fault, node: str, members: Sequence[Member], cuts: Sequence[Fault]
) -> None:
    """Start a node's holder if it is among the members, then the instances that do not run.

    If the node is off and its holder is not among the members, its instances stay as they are. A
    holder that is started has a new namespace: instances that still run in the old one, which has
    no network any more, are killed and started again.
    """
    there = _statuses(engine, fault)
    station = fault.station(node)
    holder = there.get(station.holder)
    if holder is None:
        return  # the lab has been taken down, or `up` will recreate the node
    fresh = holder.status not in ("running", "paused")
    own_holder = any(not member.service for member in members)
    if fresh and not own_holder:
        return  # they are started with their node
    if fresh:
        engine.start(station.holder)
        for cut in cuts:
            if (renew := kinds.of(cut).renew) is not None:
                renew(engine, cut, [each for each in cuts if each is not cut], station)
    elif own_holder:
        reach.restore(engine, station)
    instances = [m for m in members if m.service and m.container in there]

    def start(member: Member) -> None:
        if fresh and _is(there, member, "running", "paused"):
            engine.kill(member.container)
        if fresh or not _is(there, member, "running", "paused"):
            engine.start(member.container)

    together(start, instances)


def had_effect(
    engine: Engine,
    fault: Fault,
    others: Sequence[Fault],
    *,
    states: Sequence[str] = ENDED,
    wait: bool = False,
) -> dict[str, object]:
    """Prove that the members have ended (or are in ``states``), and that a dead node is silent.

    With ``wait``, give them their grace period to end.
    """
    there = _ended(engine, fault) if wait else _statuses(engine, fault)
    seen: dict[str, object] = {}
    for member in fault.members:
        container = there.get(member.container)
        status = container.status if container else "gone"
        if status not in states:
            raise LabError(f"{fault.title} had no effect: {member.name} is {status}")
        seen[member.name] = status
    if not any(not member.service for member in fault.members):
        return seen
    pairs = _witnesses(engine, fault, others)
    silent = together(lambda pair: reach.is_silent(engine, *pair), pairs)
    for (witness, station), quiet in zip(pairs, silent, strict=True):
        if not quiet:
            raise LabError(f"{fault.title} had no effect: {station.node} answers {witness.node}")
        seen[f"{station.node} silent to"] = witness.node
    return seen


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> dict[str, object]:
    """Prove that the members run again and that their nodes answer.

    Members on a node that is off are not expected to run.
    """
    there = _statuses(engine, fault)
    own_holders = {member.node for member in fault.members if not member.service}
    seen: dict[str, object] = {}
    for member in fault.members:
        container = there.get(member.container)
        taken = {name for other in others for name in containers(other)}
        if container is None or member.container in taken:
            continue  # no longer part of the lab, or missing because of another fault
        if member.node not in own_holders and off(there, fault.station(member.node)):
            continue
        if container.status != "running":
            code = "" if container.exit_code is None else f" with exit code {container.exit_code}"
            raise LabError(
                f"{fault.title} is healed, but {member.name} is {container.status}{code}; "
                f"see `labctl logs {member.name}`"
            )
        seen[member.name] = container.status
    if fault.scope == "node":
        up = {station.node for station in reach.running(engine, fault)}
        pairs = [pair for pair in _witnesses(engine, fault, others) if pair[1].node in up]
        answers = together(lambda pair: reach.answers(engine, *pair), pairs)
        for (witness, station), answer in zip(pairs, answers, strict=True):
            if not answer:
                raise LabError(
                    f"{fault.title} is healed, but {station.node} does not answer {witness.node}"
                )
            seen[f"{station.node} answers"] = witness.node
    return seen


def containers(fault: Fault) -> set[str]:
    """The containers that a fault prevents from running; none for a cut or a restart."""
    if not kinds.of(fault).halts:
        return set()
    return {member.container for member in fault.members}


def off(there: Statuses, station: Station) -> bool:
    """Whether a node is off: its holder is missing or does not run."""
    holder = there.get(station.holder)
    return holder is None or holder.status not in ("running", "paused")


def own(fault: Fault, others: Sequence[Fault]) -> Fault:
    """The fault without the members that another fault prevents from running."""
    taken = {name for other in others for name in containers(other)}
    return replace(fault, members=tuple(m for m in fault.members if m.container not in taken))


def _witnesses(
    engine: Engine, fault: Fault, others: Sequence[Fault]
) -> list[tuple[Station, Station]]:
    """For each node of the fault, a running node that could hear it, if there is one."""
    cut_off = kinds.severed(others)
    up = [s for s in reach.running(engine, fault) if s.node not in fault.nodes]
    found = []
    for node in fault.nodes:
        near = (s for s in up if frozenset((s.node, node)) not in cut_off)
        witness = next(near, None)
        if witness is not None:
            found.append((witness, fault.station(node)))
    return found


def _ended(engine: Engine, fault: Fault) -> Statuses:
    """The containers once all members have ended, or their grace period is over."""
    limit = time.monotonic() + min(_NOTICE, max(m.grace for m in fault.members))
    while True:
        there = _statuses(engine, fault)
        ended = all(_is(there, member, *ENDED) for member in fault.members)
        if ended or time.monotonic() > limit:
            return there
        # Nothing here receives the engine's events: poll.
        Event().wait(0.1)


def _statuses(engine: Engine, fault: Fault) -> Statuses:
    return {container.name: container for container in engine.containers(fault.lab)}


def _is(there: Statuses, member: Member, *statuses: str) -> bool:
    container = there.get(member.container)
    return container is not None and container.status in statuses
