"""How long something may be away after a fault, computed from the timers in force. Pure.

What happens at the same time during a failover (peers notice, HAProxy notices, the address moves)
are its paths, each a sum of timers. A bound is the longest path, plus the time until the client
asks again. The largest timer in it is the dominant one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from labctl.chaos.model import vrrp
from labctl.chaos.model.findings import Part
from labctl.chaos.model.timers import Numbers
from labctl.chaos.model.timers import vrrp as vrrp_timers
from labctl.model import hearing

How = Literal["silent", "killed", "left"]
"""How a target ends. ``silent``: it no longer answers and resets no connection (no power, cut off,
frozen). ``killed``: its kernel refuses connections. ``left``: it shut down in good order and told
its peers."""

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
"""Clusters whose clients notice the loss of any member, not only of the leader."""
_BEHIND_THE_VIP = ("vip", "galera", "api")
ROUTER_PRIORITY = 50
"""VRRP priority of every instance of a router, as Neutron sets it (HA_DEFAULT_PRIORITY)."""
_PORTS = {"port 4567": "galera", "port 25672": "rabbitmq", "port 6379": "redis"}


@dataclass(frozen=True)
class Bound:
    """The longest that something may be away."""

    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        """The sum of all parts."""
        return sum(part.seconds for part in self.parts)

    @property
    def dominant(self) -> str:
        """The timer with the largest share."""
        return max(self.parts, key=lambda part: part.seconds).timer


def bounds_after(
    entry: Mapping[str, Any], numbers: Numbers, players: Mapping[str, str], client: float
) -> dict[str, Bound]:
    """The bound of everything that may be away after a fault: ``vip``, ``galera``, ... → bound.

    ``entry`` is one of timeline.json. ``players`` says who led what when the fault was made
    (``vip`` → the holder's node, ``galera`` → the writer's, ``redis``, ``mongodb``); one that is
    missing counts as hit. ``client`` is how long, in seconds, a client waits for an answer before
    it asks again.

    There is no bound for a cluster without a majority, which is away until it is healed, nor for
    what is behind the virtual IP when its holder cannot reach the client but is heard by its peers.
    """
    how: How | None = entry["traits"]["felt"]
    if how is None:
        return {}
    found: dict[str, Bound] = {}
    stays = _stays(players.get("vip"), entry, numbers)
    for name, nodes, service in _hit(entry, numbers):
        if stays and name in _BEHIND_THE_VIP:
            continue
        if name not in _ANY_MEMBER and players.get(name, nodes[0]) not in nodes:
            continue
        members = numbers.get(f"members.{_MEMBERS.get(name, '')}", 0)
        if name in _MEMBERS and 2 * len(nodes) >= members:
            continue
        if name == "tenant" and not _router_moves(nodes, numbers):
            continue
        # A kernel without power refuses no connection.
        manner: How = "silent" if service is None and how == "killed" else how
        paths = [path for path in _paths(name, manner, service, nodes, numbers) if path]
        if paths:
            longest = max(paths, key=lambda path: sum(part.seconds for part in path))
            bound = Bound((*_crashes(entry), *longest, Part("client: waits for an answer", client)))
            if name not in found or bound.seconds > found[name].seconds:
                found[name] = bound
    return found


Hit = tuple[str, tuple[str, ...], str | None]
"""What may be away, the nodes hit, and the service if the fault hits single instances."""


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
    # With no node left to take the address, what it serves is away until the fault is healed.
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
    """Who the client cannot reach: the targets; of a cut, all groups but its own or the largest."""
    groups: Sequence[Sequence[str]] = (entry.get("resolved") or {}).get("groups") or ()
    if len(groups) < 2:
        named: Collection[str] = groups[0] if groups else entry["targets"]
        return named
    own = [group for group in groups if any(f"client.{node}" in numbers for node in group)]
    near = own[0] if own else max(groups, key=len)
    return [node for group in groups if group is not near for node in group]


def _stays(holder: str | None, entry: Mapping[str, Any], numbers: Numbers) -> bool:
    """Whether a cut is between the client and the holder only, whose peers all still hear it."""
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


def _crashes(entry: Mapping[str, Any]) -> tuple[Part, ...]:
    """Each crash of a crash loop starts another failover, until the loop ends."""
    if not entry["traits"]["repeats"]:
        return ()
    return (Part("it crashes again meanwhile", float(entry.get("lasts") or 0.0)),)


def _router_moves(nodes: Collection[str], numbers: Numbers) -> bool:
    """Whether all nodes hit have routers and another node does too: servers are on other nodes."""
    routed = {name.removeprefix("router.on.") for name in numbers if name.startswith("router.on.")}
    return set(nodes) < routed


def _paths(
    name: str, how: How, service: str | None, nodes: tuple[str, ...], numbers: Numbers
) -> list[list[Part]]:
    """The paths of a failover: what happens at the same time."""
    if name == "vip":
        return [_vip(how, service, nodes, numbers)]
    if name == "tenant":
        return [_router(numbers)]
    paths: list[list[Part]] = []
    if service is None and "vrrp.advert" in numbers:
        # With a node go the address, if it held it, and what its HAProxy serves.
        paths.append(_vip(how, None, nodes, numbers))
    if name in ("galera", "api"):
        paths += [_galera(how, numbers)] if service in (None, "mariadb") else []
        paths.append(_balancer(how, service or "mariadb", numbers))
    if name == "api" and service is None:
        paths.append([Part("tcp_retries2", numbers["tcp.retries2"])])
    if name == "redis":
        paths.append(_sentinel(numbers))
    if name == "mongodb":
        paths.append(_mongodb(how, numbers))
    if name == "rabbitmq":
        paths.append(_rabbitmq(how, numbers))
    return paths


def _vip(how: How, service: str | None, nodes: tuple[str, ...], numbers: Numbers) -> list[Part]:
    """The address moves; its new holder announces it at once by gratuitous ARP."""
    timers = vrrp_timers(numbers)
    holders = [node for node in nodes if node in timers and len(timers) > 1]
    if not holders:
        return []
    # Any of the nodes hit may hold the address: the slowest successor counts.
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
    """Another instance of the router hears no more adverts, and announces the addresses as its own.

    However an agent ends, the keepaliveds of its routers are killed with it.
    """
    advert = numbers["router.advert"]
    return [
        Part("ha_vrrp_advert_int x 3", 3 * advert),
        Part("vrrp skew of routers", advert * (256 - ROUTER_PRIORITY) / 256),
    ]


def _galera(how: How, numbers: Numbers) -> list[Part]:
    """The other members agree that one is gone; no commit succeeds meanwhile."""
    if "galera.suspect" not in numbers:
        return []
    look = Part("evs.inactive_check_period", numbers["galera.check"])
    alive = Part("evs.keepalive_period", numbers["galera.keepalive"])
    if how == "left":
        return [look, alive]
    return [Part("evs.suspect_timeout", numbers["galera.suspect"]), look, alive]


def _balancer(how: How, service: str, numbers: Numbers) -> list[Part]:
    """HAProxy takes a server out of rotation; until then it sends clients there."""
    prefix = f"haproxy.{service}"
    if f"{prefix}.inter" not in numbers or "haproxy.check" not in numbers:
        return []
    fall = numbers[f"{prefix}.fall"]
    parts = [
        Part(f"{service}: check inter", numbers[f"{prefix}.inter"]),
        Part(f"{service}: fastinter x (fall - 1)", numbers[f"{prefix}.fastinter"] * (fall - 1)),
    ]
    if how == "silent":
        # An unanswered check ends after `timeout check`.
        parts.append(Part(f"{service}: timeout check x fall", numbers["haproxy.check"] * fall))
        parts.append(Part("timeout connect", numbers["haproxy.connect"]))
    else:
        parts.append(Part("retries x 1 s", numbers["haproxy.retries"]))
    return parts


def _sentinel(numbers: Numbers) -> list[Part]:
    """Sentinels agree that the master is down and elect a leader, which promotes a replica.

    A failover that fails is retried only after 2 × failover-timeout, which is beyond the bound.
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
    """A quorum queue elects another leader; a silent node is not missed before the net tick."""
    if "rabbitmq.net_tick" not in numbers:
        return []
    elected = [
        Part("aten poll", numbers["rabbitmq.aten"]),
        Part("election", numbers["rabbitmq.election"]),
    ]
    if how == "silent":
        return [Part("net_ticktime + 25 %", numbers["rabbitmq.net_tick"] * 1.25), *elected]
    return elected
