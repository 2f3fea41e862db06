"""Which serving containers may be replaced together without an outage. Pure.

A turn is everything on one node that has to be replaced or removed. Several nodes share a turn as
long as every service keeps most of its instances; a cluster loses one member at a time, and only if
a majority remains. Some changes cannot be made node by node and are one turn: everything when the
network changes, and all instances of a service that must agree on what changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from labctl.model.lab import Service
from labctl.planning.condition import Condition


@dataclass(frozen=True)
class Turn:
    """Containers that are replaced together although they serve."""

    containers: frozenset[str] = frozenset()
    lost: Mapping[str, int] = field(default_factory=dict)
    """Service → how many of its serving instances are among them."""
    at_once: bool = False
    """Whether an outage is inevitable, so that draining makes no sense."""


NOTHING = Turn()


def next_turn(condition: Condition, but: frozenset[str] = frozenset()) -> Turn:
    """The next turn; empty when everything that serves is as it should be.

    ``but``: containers of turns that could not be replaced yet; other turns are tried first.
    """
    if condition.rewired:
        return everything(condition)
    for turn in (_room_for_client(condition), _agreeing(condition)):
        if turn.containers - but:
            return turn
    turns = [turn for turn in candidates(condition) if turn.containers - but]
    chosen = NOTHING
    for turn in turns:
        names = chosen.containers | turn.containers
        together = Turn(names, _lost_of(condition, names))
        if _bearable(condition, together):
            chosen = together
    if chosen.containers or not turns:
        return chosen
    # An outage is inevitable: choose a turn that unblocks others, or the smallest.
    awaited = _awaited(condition)
    return min(turns, key=lambda t: (awaited.isdisjoint(t.containers), sum(t.lost.values())))


def everything(condition: Condition) -> Turn:
    """Everything, because the network is recreated."""
    names = condition.observed.containers.keys()
    return Turn(frozenset(names), _lost_of(condition, frozenset(names)), at_once=True)


def _agreeing(condition: Condition) -> Turn:
    """Instances of services that must agree on something that changes, such as a secret.

    Their nodes stay until their own turns, except for nodes whose address changes.
    """
    lab = condition.lab
    due = [instance for instance in lab.instances if condition.due(instance)]
    apart = {i.service.name for i in due if condition.disagrees(i)}
    own = [instance for instance in due if instance.service.name in apart]
    names = frozenset(lab.container(instance) for instance in own)
    for node in {i.node.name: i.node for i in own}.values():
        if condition.moves(node):
            names |= _due_on(condition, node.name)
    return Turn(names, _lost_of(condition, names), at_once=bool(names))


def candidates(condition: Condition) -> Iterator[Turn]:
    """One turn for each node that has something to replace, the client node first.

    A node that is to have the address of another waits until that has made room. Nodes that wait
    for each other go together.
    """
    client = condition.lab.client.name
    for node in sorted(_nodes(condition), key=lambda name: name != client):
        ahead = in_the_way(condition, node)
        if not ahead or node in ahead:
            turn = _turn_of(condition, {node, *ahead})
            if turn.containers and node == min({node, *ahead}):
                yield turn


def _room_for_client(condition: Condition) -> Turn:
    """The nodes that use the client node's address: nothing can start before it is there."""
    client = condition.lab.client
    if condition.runs(condition.lab.holder(client)):
        return NOTHING
    return _turn_of(condition, in_the_way(condition, client.name))


def _awaited(condition: Condition) -> frozenset[str]:
    """Holders that use the address of a node that is not running."""
    off = (n for n in condition.lab.nodes if not condition.runs(condition.lab.holder(n)))
    return frozenset(holder for holder in map(condition.in_the_way, off) if holder is not None)


def _turn_of(condition: Condition, nodes: Iterable[str]) -> Turn:
    names = frozenset[str]().union(*(_due_on(condition, node) for node in nodes))
    return Turn(names, _lost_of(condition, names))


def _nodes(condition: Condition) -> list[str]:
    own = [node.name for node in condition.lab.nodes]
    gone = (leaver.node for leaver in condition.leavers)
    return list(dict.fromkeys([*own, *gone]))


def _due_on(condition: Condition, node: str) -> frozenset[str]:
    """The containers on a node that have to be replaced or removed."""
    lab = condition.lab
    known = lab.node(node)
    names = {leaver.container for leaver in condition.leavers if leaver.node == node}
    if node in condition.leaving_nodes:
        names.add(condition.leaving_nodes[node])
    if known is not None:
        names |= {lab.container(i) for i in lab.on_node(node) if condition.due(i)}
        if condition.node_due(known):
            names |= {lab.holder(known), *(lab.container(i) for i in lab.on_node(node))}
    return frozenset(names & condition.observed.containers.keys())


def in_the_way(condition: Condition, node: str) -> list[str]:
    """The node that uses the address that a node is to have, the node that uses that one's, etc.

    The node itself is among them when they are to exchange addresses.
    """
    lab = condition.lab
    found: list[str] = []
    while (known := lab.node(node)) is not None:
        holder = condition.in_the_way(known)
        if holder is None:
            break
        node = holder.removeprefix(f"{lab.name}-")
        if node in found:
            break
        found.append(node)
    return found


def _lost_of(condition: Condition, names: frozenset[str]) -> Mapping[str, int]:
    serving = condition.serving
    return Counter(serving[name] for name in names if name in serving)


def _bearable(condition: Condition, turn: Turn) -> bool:
    """Whether every service keeps serving without a turn's instances."""
    services = condition.lab.services
    return all(_can_spare(condition, services[name], lost) for name, lost in turn.lost.items())


def _can_spare(condition: Condition, service: Service, lost: int) -> bool:
    serving = condition.strength[service.name]
    if service.doc.cluster is None:
        return lost <= max(1, (serving - 1) // 2)
    members = condition.members(service)
    return members == 1 or (lost <= 1 and 2 * (serving - lost) > members)
