"""How long something may be away after a fault, by the timers in force, and how long it was.

A bound is the longest of the ways that a failover has to go at the same time (peers notice,
HAProxy notices, the address moves), and then what the client needs to come again. Each way is a
sum of timers; the longest of these dominates. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from labctl.chaos.model import vrrp
from labctl.chaos.model.findings import Budget, Outcome, Part
from labctl.chaos.model.timers import Numbers
from labctl.chaos.model.timers import vrrp as vrrp_timers
from labctl.model import hearing

How = Literal["silent", "killed", "left"]
"""``silent``: it is not heard any more, and resets nothing (no power, cut, frozen). ``killed``:
its kernel refuses connections. ``left``: it said goodbye."""

_SERVICES: Mapping[str, str] = {
    "keepalived": "vip",
    "haproxy": "vip",
    "mariadb": "galera",
    "rabbitmq": "rabbitmq",
    "redis": "redis",
    "mongodb": "mongodb",
    "neutron-l3-agent": "tenant",
}
_MEMBERS = {"galera": "mariadb", "rabbitmq": "rabbitmq", "redis": "redis", "mongodb": "mongodb"}
_ANY_MEMBER = ("galera", "rabbitmq")
"""Where the loss of any member is felt, not only of who plays the part."""
_BEHIND_THE_ADDRESS = ("vip", "galera", "api")
ROUTER_PRIORITY = 50
"""Of each instance of a router, as Neutron writes it (HA_DEFAULT_PRIORITY): all are alike."""
_PORTS = {"port 4567": "galera", "port 25672": "rabbitmq", "port 6379": "redis"}


@dataclass(frozen=True)
class Bound:
    """The longest that something may be away."""

    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        """All parts together."""
        return sum(part.seconds for part in self.parts)

    @property
    def dominant(self) -> str:
        """The timer with the largest share."""
        return max(self.parts, key=lambda part: part.seconds).timer


def expected(
    entry: Mapping[str, Any], numbers: Numbers, players: Mapping[str, str], client: float
) -> dict[str, Bound]:
    """What may be away after a fault, and how long: ``vip``, ``galera``, ... → its bound.

    ``entry`` is one of timeline.json, whose ``traits`` say how its peers notice it: what is only
    slow or full ended nothing, has no failover, and so no bound. ``players`` says who played a part
    when it bit (``vip`` → the holder's node, ``galera`` → the writer's, ``redis``, ``mongodb``):
    who is not in it counts as hit. ``client`` is how long, in seconds, the client waits for an
    answer before it asks again. What has no majority left has no bound: it is away until it is
    healed. So is all that is behind the virtual IP when its holder cannot talk to the client and
    the others still hear it.
    """
    how: How | None = entry["traits"]["felt"]
    if how is None:
        return {}
    found: dict[str, Bound] = {}
    stays = _stays(players.get("vip"), entry, numbers)
    for name, nodes, service in _hit(entry, numbers):
        if stays and name in _BEHIND_THE_ADDRESS:
            continue
        if name not in _ANY_MEMBER and players.get(name, nodes[0]) not in nodes:
            continue
        members = numbers.get(f"members.{_MEMBERS.get(name, '')}", 0)
        if name in _MEMBERS and 2 * len(nodes) >= members:
            continue
        if name == "tenant" and not _router_moves(nodes, numbers):
            continue
        # A kernel without power refuses nothing.
        manner: How = "silent" if service is None and how == "killed" else how
        ways = [way for way in _ways(name, manner, service, nodes, numbers) if way]
        if ways:
            longest = max(ways, key=lambda way: sum(part.seconds for part in way))
            bound = Bound((*_again(entry), *longest, Part("client: waits for an answer", client)))
            if name not in found or bound.seconds > found[name].seconds:
                found[name] = bound
    return found


def judged(
    name: str, fault: int, bound: Bound, measured: float | None, cap: float | None = None
) -> Budget:
    """A bound and what was measured side by side; ``cap`` is what the scenario allows at most."""
    parts, dominant, seconds = bound.parts, bound.dominant, bound.seconds
    if cap is not None and cap < seconds:
        parts, dominant, seconds = (Part("said by the scenario", cap),), "said by the scenario", cap
    outcome, why = _outcome(name, seconds, dominant, measured)
    return Budget(name, fault, seconds, parts, dominant, measured, outcome, why)


def away(acknowledged: Sequence[float], since: float, until: float, end: float) -> float | None:
    """The longest time without an acknowledgement that overlaps ``since`` to ``until``; seconds.

    ``acknowledged`` are the moments of acknowledgements, ``end`` is when the client stopped. None
    when nothing was acknowledged before ``since``: then it was not there to be lost.
    """
    times = sorted(acknowledged)
    if not times or times[0] > since:
        return None
    windows = [*pairwise(times), (times[-1], max(end, times[-1]))]
    return max(
        (after - before for before, after in windows if before < until and after > since),
        default=0.0,
    )


def _outcome(name: str, bound: float, dominant: str, measured: float | None) -> tuple[Outcome, str]:
    if measured is None:
        return "UNKNOWN", f"{name}: nothing was acknowledged before the fault, so nothing is known"
    said = f"{name} was away for {measured:.2f} s, {bound:.2f} s are allowed ({dominant})"
    return ("INVALID" if measured > bound else "VALID"), said


Hit = tuple[str, tuple[str, ...], str | None]
"""What may be away, the nodes that are hit, and the service where it is one instance's fault."""


def _hit(entry: Mapping[str, Any], numbers: Numbers) -> Iterator[Hit]:
    targets: Collection[str] = entry["targets"]
    if entry["traits"]["on_nodes"]:
        targets = sorted({target.partition("/")[0] for target in _outside(entry, numbers)})
    only = entry.get("spec", {}).get("only")
    nodes = tuple(sorted(target for target in targets if "/" not in target))
    if only is not None:
        if only in _PORTS and nodes:
            yield _PORTS[only], nodes, None
        return
    # Where no node is left that could take the address, what it serves is away until healed.
    served = ("vip", "api") if set(vrrp_timers(numbers)) - set(nodes) else ()
    if nodes:
        for name in (*served, *_MEMBERS, "tenant"):
            yield name, nodes, None
    services = {target.partition("/")[2] for target in targets if "/" in target}
    for service in sorted(services):
        on = tuple(t.partition("/")[0] for t in targets if t.endswith(f"/{service}"))
        if service in _SERVICES:
            yield _SERVICES[service], on, service
        elif f"haproxy.{service}.inter" in numbers:
            yield "api", on, service


def _outside(entry: Mapping[str, Any], numbers: Numbers) -> Collection[str]:
    """Who is away for the client: the targets; of a cut, all groups but its own or the largest."""
    groups: Sequence[Sequence[str]] = (entry.get("resolved") or {}).get("groups") or ()
    if len(groups) < 2:
        named: Collection[str] = groups[0] if groups else entry["targets"]
        return named
    own = [group for group in groups if any(f"client.{node}" in numbers for node in group)]
    near = own[0] if own else max(groups, key=len)
    return [node for group in groups if group is not near for node in group]


def _stays(holder: str | None, entry: Mapping[str, Any], numbers: Numbers) -> bool:
    """Whether a cut parts the client and the address's holder, whom all its peers still hear."""
    parted = entry.get("resolved") or {}
    peers = set(vrrp_timers(numbers)) - {holder}
    clients = [name.removeprefix("client.") for name in numbers if name.startswith("client.")]
    groups, pairs = parted.get("groups") or (), parted.get("pairs") or ()
    if holder is None or not (groups or pairs) or not peers or not clients:
        return False
    deaf = hearing.deaf(groups, parted.get("direction", "both"), pairs)
    apart = any(
        client in deaf.get(holder, ()) or holder in deaf.get(client, ()) for client in clients
    )
    return apart and not any(holder in deaf.get(peer, ()) for peer in peers)


def _again(entry: Mapping[str, Any]) -> tuple[Part, ...]:
    """Who crashes again and again begins a failover each time, until it does so no more."""
    if not entry["traits"]["repeats"]:
        return ()
    return (Part("it crashes again meanwhile", float(entry.get("lasts") or 0.0)),)


def _router_moves(nodes: Collection[str], numbers: Numbers) -> bool:
    """Whether routers are on all nodes that are hit, and on another: elsewhere servers may be."""
    routed = {name.removeprefix("router.on.") for name in numbers if name.startswith("router.on.")}
    return set(nodes) < routed


def _ways(
    name: str, how: How, service: str | None, nodes: tuple[str, ...], numbers: Numbers
) -> list[list[Part]]:
    """The ways that a failover goes at the same time."""
    if name == "vip":
        return [_vip(how, service, nodes, numbers)]
    if name == "tenant":
        return [_router(numbers)]
    ways: list[list[Part]] = []
    if service is None and "vrrp.advert" in numbers:
        # A node takes with it the address, if it held it, and what is behind HAProxy there.
        ways.append(_vip(how, None, nodes, numbers))
    if name in ("galera", "api"):
        ways += [_galera(how, numbers)] if service in (None, "mariadb") else []
        ways.append(_balancer(how, service or "mariadb", numbers))
    if name == "api" and service is None:
        ways.append([Part("tcp_retries2", numbers["tcp.retries2"])])
    if name == "redis":
        ways.append(_sentinel(numbers))
    if name == "mongodb":
        ways.append(_mongodb(how, numbers))
    if name == "rabbitmq":
        ways.append(_rabbitmq(how, numbers))
    return ways


def _vip(how: How, service: str | None, nodes: tuple[str, ...], numbers: Numbers) -> list[Part]:
    """The address moves; its new holder says so at once, by gratuitous ARP."""
    timers = vrrp_timers(numbers)
    holders = [node for node in nodes if node in timers and len(timers) > 1]
    if not holders:
        return []
    # Whoever holds it, of those that are hit: the slowest successor.
    skew = max(vrrp.successor(timers, node).skew for node in holders)
    skewed = Part("vrrp skew", skew)
    if service == "haproxy":
        interval, fall = numbers["vrrp.check_interval"], numbers["vrrp.check_fall"]
        if how != "silent":
            return [Part("vrrp check interval x fall", interval * fall), skewed]
        hangs = fall * max(interval, numbers["vrrp.check_timeout"])
        return [Part("vrrp check interval", interval), Part("vrrp check timeout", hangs), skewed]
    if how == "left":
        return [skewed]
    return [Part("vrrp advert_int x 3", 3 * numbers["vrrp.advert"]), skewed]


def _router(numbers: Numbers) -> list[Part]:
    """Another instance of a router hears no adverts any more, and says that it has its addresses.

    However an agent ends, its routers' keepaliveds are killed with it.
    """
    advert = numbers["router.advert"]
    return [
        Part("ha_vrrp_advert_int x 3", 3 * advert),
        Part("vrrp skew of routers", advert * (256 - ROUTER_PRIORITY) / 256),
    ]


def _galera(how: How, numbers: Numbers) -> list[Part]:
    """The others agree that a member is gone; nobody commits meanwhile."""
    if "galera.suspect" not in numbers:
        return []
    look = Part("evs.inactive_check_period", numbers["galera.check"])
    alive = Part("evs.keepalive_period", numbers["galera.keepalive"])
    if how == "left":
        return [look, alive]
    return [Part("evs.suspect_timeout", numbers["galera.suspect"]), look, alive]


def _balancer(how: How, service: str, numbers: Numbers) -> list[Part]:
    """HAProxy takes a server out; until then it sends clients there."""
    prefix = f"haproxy.{service}"
    if f"{prefix}.inter" not in numbers or "haproxy.check" not in numbers:
        return []
    fall = numbers[f"{prefix}.fall"]
    parts = [
        Part(f"{service}: check inter", numbers[f"{prefix}.inter"]),
        Part(f"{service}: fastinter x (fall - 1)", numbers[f"{prefix}.fastinter"] * (fall - 1)),
    ]
    if how == "silent":
        # A check that is not answered ends with timeout check.
        parts.append(Part(f"{service}: timeout check x fall", numbers["haproxy.check"] * fall))
        parts.append(Part("timeout connect", numbers["haproxy.connect"]))
    else:
        parts.append(Part("retries x 1 s", numbers["haproxy.retries"]))
    return parts


def _sentinel(numbers: Numbers) -> list[Part]:
    """Sentinels agree that the master is down, one leads, a replica is promoted.

    A failover that fails is tried again after 2 × failover-timeout only: that is beyond the bound.
    """
    if "sentinel.down_after" not in numbers:
        return []
    return [
        Part("down-after-milliseconds", numbers["sentinel.down_after"]),
        Part("sentinels ask each other", numbers["sentinel.ask"]),
        Part("start by chance", numbers["sentinel.desync"]),
        Part("promotion is seen (INFO)", numbers["sentinel.info"]),
    ]


def _mongodb(how: How, numbers: Numbers) -> list[Part]:
    if "mongodb.election" not in numbers:
        return []
    heartbeat = Part("heartbeatInterval", numbers["mongodb.heartbeat"])
    if how == "left":
        return [heartbeat]
    election = numbers["mongodb.election"]
    elected = [
        Part("electionTimeoutMillis", election),
        Part("election offset", election * numbers["mongodb.offset"]),
        heartbeat,
    ]
    if how == "silent" and (caught_up := numbers.get("mongodb.heartbeat_timeout")):
        elected.append(Part("heartbeatTimeoutSecs", caught_up))
    return elected


def _rabbitmq(how: How, numbers: Numbers) -> list[Part]:
    """A quorum queue elects another leader; who is silent is not missed before the tick."""
    if "rabbitmq.net_tick" not in numbers:
        return []
    elected = [
        Part("aten poll", numbers["rabbitmq.aten"]),
        Part("election", numbers["rabbitmq.election"]),
    ]
    if how == "silent":
        return [Part("net_ticktime + 25 %", numbers["rabbitmq.net_tick"] * 1.25), *elected]
    return elected
