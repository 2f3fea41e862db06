"""How long something may be away after a fault, computed from the timers in force. Pure.

What happens at the same time during a failover (peers notice, HAProxy notices, the address moves)
are its paths, each a sum of timers. A bound is the longest path, plus the time until the client
asks again. The largest timer of the system in it is the dominant one. ``docs/bounds.md`` has every
bound with its derivation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

from labctl.chaos.model.findings import Part
from labctl.chaos.model.timers import Numbers
from labctl.chaos.model.timers import vrrp as vrrp_timers
from labctl.model import hearing

How = Literal["cut off", "frozen", "killed", "left"]
"""How a target ends. ``cut off``: no packet comes back (no power, or parted from all). ``frozen``:
its kernel still takes connections, and nothing answers. ``killed``: its kernel refuses connections.
``left``: it shut down in good order and told its peers."""

_SERVICES: Mapping[str, tuple[str, ...]] = {
    "keepalived": ("vip", "galera", "api"),
    "haproxy": ("vip", "galera", "api"),
    "mariadb": ("galera", "api"),
    "rabbitmq": ("rabbitmq",),
    "redis": ("redis",),
    "mongodb": ("mongodb",),
    "neutron-l3-agent": ("tenant",),
}
"""Service → what is away when an instance of it is."""
_MEMBERS = {"galera": "mariadb", "rabbitmq": "rabbitmq", "redis": "redis", "mongodb": "mongodb"}
_ANY_MEMBER = ("galera", "rabbitmq", "api")
"""Whose clients notice the loss of any member, not only of the leader."""
_BEHIND_THE_VIP = ("vip", "galera", "api")
_FRONT = ("keepalived", "haproxy")
V2_SKEW = 256.0
"""VRRPv2 counts its skew in 256ths of a second, whatever the interval (RFC 3768, 6.1)."""
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
        """The timer of the system with the largest share; the client's wait is none."""
        own = [part for part in self.parts if not part.timer.startswith(CLIENT)]
        return max(own or self.parts, key=lambda part: part.seconds).timer


CLIENT = "client: "
"""What the timers of the client begin with."""


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
    felt = felt_after(entry, numbers, players, client)
    return {name: bound for name, bound in felt.items() if bound is not None}


Nodes = Mapping[str, Collection[str]]
"""Service → the nodes that run it; empty when a run did not record them."""


def felt_after(
    entry: Mapping[str, Any],
    numbers: Numbers,
    players: Mapping[str, str],
    client: float,
    nodes: Nodes | None = None,
) -> dict[str, Bound | None]:
    """As :func:`bounds_after`; None for what is away until the fault is healed.

    What the fault does not touch, or touches without a failover, is left out.
    """
    if entry["traits"]["felt"] is None:
        return {}
    found: dict[str, Bound | None] = {}
    stays = _stays(players.get("vip"), entry, numbers)
    for hit in hits(entry, numbers, nodes or {}):
        if stays and hit.name in _BEHIND_THE_VIP:
            found[hit.name] = None
            continue
        if not _matters(hit, players, numbers):
            continue
        bound = _bound(entry, hit, numbers, client)
        if hit.name not in found or _longer(bound, found[hit.name]):
            found[hit.name] = bound
    return found


def _longer(bound: Bound | None, other: Bound | None) -> bool:
    if bound is None or other is None:
        return bound is None
    return bound.seconds > other.seconds


@dataclass(frozen=True)
class Hit:
    """What may be away, the nodes hit, and the service if the fault hits single instances."""

    name: str
    nodes: tuple[str, ...]
    service: str | None


def _matters(hit: Hit, players: Mapping[str, str], numbers: Numbers) -> bool:
    """Whether those hit lead, hold the address, or are such that any of them matters."""
    if hit.service in _FRONT:
        return players.get("vip", hit.nodes[0]) in hit.nodes
    if hit.name == "vip":
        return players.get("vip", hit.nodes[0]) in hit.nodes
    if hit.name == "tenant":
        routed = _routed(numbers)
        return bool(routed & {*hit.nodes}) or not routed
    return hit.name in _ANY_MEMBER or players.get(hit.name, hit.nodes[0]) in hit.nodes


def _bound(entry: Mapping[str, Any], hit: Hit, numbers: Numbers, client: float) -> Bound | None:
    members = numbers.get(f"members.{_MEMBERS.get(hit.name, '')}", 0)
    if hit.name in _MEMBERS and hit.service not in _FRONT and 2 * len(hit.nodes) >= members:
        return None
    if hit.name == "api" and hit.service in (None, "mariadb"):
        # Its rows are in Galera.
        gone = set(hit.nodes) & set(_nodes_of(numbers))
        if 2 * len(gone) >= numbers.get("members.mariadb", 0):
            return None
    if hit.name == "tenant" and not set(hit.nodes) < _routed(numbers):
        return None
    found = [path for path in _paths(entry, hit, numbers) if path]
    if not found:
        return None
    longest = max(found, key=lambda path: sum(part.seconds for part in path))
    return Bound((*_crashes(entry), *longest, Part(f"{CLIENT}waits for an answer", client)))


def manner(entry: Mapping[str, Any], service: str | None) -> How:
    """How the target ends."""
    felt, traits = entry["traits"]["felt"], entry["traits"]
    if felt == "left":
        return "left"
    if felt == "killed":
        # A kernel without power refuses no connection.
        return "killed" if service is not None else "cut off"
    gone = traits["family"] == "network" or traits["on_nodes"]
    return "cut off" if gone else "frozen"


def hits(entry: Mapping[str, Any], numbers: Numbers, places: Nodes) -> Iterator[Hit]:
    """What a fault may take away, whoever leads."""
    targets: Collection[str] = entry["targets"]
    if entry["traits"]["on_nodes"]:
        targets = sorted({target.partition("/")[0] for target in _outside(entry, numbers)})
    only = (entry.get("spec") or {}).get("only")
    nodes = tuple(sorted(target for target in targets if "/" not in target))
    if only is not None:
        if only in _PORTS and nodes:
            yield Hit(_PORTS[only], nodes, None)
        return
    if nodes:
        yield from _whole(nodes, places)
    services = {target.partition("/")[2] for target in targets if "/" in target}
    for service in sorted(services):
        on = tuple(t.partition("/")[0] for t in targets if t.endswith(f"/{service}"))
        for name in _SERVICES.get(service, ()):
            yield Hit(name, on, service)
        if service not in _SERVICES and f"haproxy.{service}.inter" in numbers:
            yield Hit("api", on, service)


def _whole(nodes: tuple[str, ...], places: Nodes) -> Iterator[Hit]:
    """What goes with whole nodes: what runs on them."""
    for name in ("vip", "api", *_MEMBERS, "tenant"):
        service = {**_MEMBERS, "vip": "keepalived", "tenant": "neutron-l3-agent"}.get(name, "")
        on = tuple(n for n in nodes if service not in places or n in places[service])
        if on:
            yield Hit(name, on, None)


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
    if (entry.get("spec") or {}).get("only") is not None:
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


def _routed(numbers: Numbers) -> set[str]:
    return {name.removeprefix("router.on.") for name in numbers if name.startswith("router.on.")}


def _paths(entry: Mapping[str, Any], hit: Hit, numbers: Numbers) -> list[list[Part]]:
    """The paths of a failover: what happens at the same time. None at all: nothing bounds it."""
    how = manner(entry, hit.service)
    if hit.name == "tenant":
        return [_router(numbers)]
    moves = _vip(how, hit.service, hit.nodes, numbers)
    if hit.service in _FRONT and hit.name == "api" and how == "frozen":
        # A frozen HAProxy keeps what the APIs have open, and no timer of theirs ends that.
        return []
    if hit.name == "vip" or hit.service in _FRONT:
        return [moves]
    if hit.service is not None or "vrrp.advert" not in numbers:
        return _own_paths(entry, hit, how, numbers)
    # With a node go the address, if it held it, and what its HAProxy serves.
    if not moves and hit.name in _BEHIND_THE_VIP:
        return []
    return [moves, *_own_paths(entry, hit, how, numbers)]


def _own_paths(entry: Mapping[str, Any], hit: Hit, how: How, numbers: Numbers) -> list[list[Part]]:
    """The paths of what is hit itself, without the address that leads to it."""
    if hit.name == "redis":
        return [_sentinel(how, numbers)]
    if hit.name == "mongodb":
        return [_mongodb(how, numbers)]
    if hit.name == "rabbitmq":
        return [_rabbitmq(how, entry, numbers)]
    paths = [_balancer(how, hit.service or "mariadb", numbers)]
    if hit.service in (None, "mariadb"):
        paths.append(_galera(how, entry, numbers))
    if hit.name == "api" and hit.service is None and "tcp.retries2" in numbers:
        paths.append([Part("tcp_retries2", numbers["tcp.retries2"])])
    return paths


def _vip(how: How, service: str | None, nodes: tuple[str, ...], numbers: Numbers) -> list[Part]:
    """The address moves; its new holder announces it at once by gratuitous ARP."""
    timers = vrrp_timers(numbers)
    left = [each for node, each in timers.items() if node not in nodes]
    if not left or not set(nodes) & set(timers):
        return []
    # Who is hit as well takes over from nobody: the first of those that are left does.
    skewed = Part("vrrp skew", max(left, key=lambda each: each.priority).skew)
    if service == "haproxy":
        interval, fall = numbers["vrrp.check_interval"], numbers["vrrp.check_fall"]
        if how != "frozen":
            return [Part("vrrp check interval x fall", interval * fall), skewed]
        hangs = fall * max(interval, numbers["vrrp.check_timeout"])
        return [Part("vrrp check interval", interval), Part("vrrp check timeout", hangs), skewed]
    if how == "left":
        return [skewed]
    return [Part("vrrp advert_int x 3", 3 * numbers["vrrp.advert"]), skewed]


def _router(numbers: Numbers) -> list[Part]:
    """Another instance of the router hears no more adverts, and announces the addresses as its own.

    However an agent ends, the keepaliveds of its routers are killed with it. Neutron configures
    them without ``vrrp_version``, so they speak version 2.
    """
    return [
        Part("ha_vrrp_advert_int x 3", 3 * numbers["router.advert"]),
        Part("vrrp skew of routers (version 2)", (V2_SKEW - ROUTER_PRIORITY) / V2_SKEW),
    ]


def one_way(entry: Mapping[str, Any]) -> bool:
    """Whether a cut is such that one side still hears the other."""
    direction: str = (entry.get("resolved") or {}).get("direction", "both")
    return direction != "both"


def partial(entry: Mapping[str, Any], members: Collection[str]) -> bool:
    """Whether two members do not hear each other, and a third hears both."""
    parted = entry.get("resolved") or {}
    groups, pairs = parted.get("groups") or (), parted.get("pairs") or ()
    deaf = hearing.deaf(groups, parted.get("direction", "both"), pairs)
    apart = {frozenset((one, other)) for one, others in deaf.items() for other in others}
    return any(
        frozenset((one, other)) in apart
        and not {frozenset((one, third)), frozenset((other, third))} & apart
        for one, other, third in permutations(members, 3)
    )


def _galera(how: How, entry: Mapping[str, Any], numbers: Numbers) -> list[Part]:
    """The other members agree that one is gone; no commit succeeds meanwhile.

    One that some still hear is no suspect of theirs, so that they do not agree before
    ``evs.inactive_timeout``, and then wait for each other's consent to the next view.
    """
    if "galera.suspect" not in numbers:
        return []
    look = Part("evs.inactive_check_period", numbers["galera.check"])
    alive = Part("evs.keepalive_period", numbers["galera.keepalive"])
    if how == "left":
        return [look, alive]
    if one_way(entry) or partial(entry, _nodes_of(numbers)):
        consent = Part("evs.install_timeout", numbers["galera.install"])
        return [Part("evs.inactive_timeout", numbers["galera.inactive"]), look, alive, consent]
    return [Part("evs.suspect_timeout", numbers["galera.suspect"]), look, alive]


def _nodes_of(numbers: Numbers) -> Collection[str]:
    """The nodes of the clusters: those that may hold the virtual IP."""
    return tuple(vrrp_timers(numbers))


def _balancer(how: How, service: str, numbers: Numbers) -> list[Part]:
    """HAProxy takes a server out of rotation; until then it sends clients there.

    A check that gets no connection ends after the shorter of ``timeout connect`` and ``inter``;
    one that gets a connection and no answer, after ``timeout check``.
    """
    prefix = f"haproxy.{service}"
    if f"{prefix}.inter" not in numbers or "haproxy.check" not in numbers:
        return []
    fall, inter = numbers[f"{prefix}.fall"], numbers[f"{prefix}.inter"]
    parts = [
        Part(f"{service}: check inter", inter),
        Part(f"{service}: fastinter x (fall - 1)", numbers[f"{prefix}.fastinter"] * (fall - 1)),
    ]
    if how == "cut off":
        connects = min(numbers["haproxy.connect"], inter)
        parts.append(Part(f"{service}: min(timeout connect, inter) x fall", connects * fall))
        parts.append(Part("timeout connect", numbers["haproxy.connect"]))
    elif how == "frozen":
        parts.append(Part(f"{service}: timeout check x fall", numbers["haproxy.check"] * fall))
        parts.append(Part("timeout connect", numbers["haproxy.connect"]))
    else:
        parts.append(Part("retries x 1 s", numbers["haproxy.retries"]))
    return parts


def _sentinel(how: How, numbers: Numbers) -> list[Part]:
    """Sentinels agree that the master is down and elect a leader, which promotes a replica.

    The time counts from the last ping that was not answered, which comes up to a period after the
    last answer. A failover that fails is retried only after 2 × failover-timeout, which is beyond
    the bound.
    """
    if "sentinel.down_after" not in numbers:
        return []
    pinged = (
        [Part("sentinels ping", numbers["sentinel.ping"])] if how in ("cut off", "frozen") else []
    )
    return [
        *pinged,
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
    if how in ("cut off", "frozen") and (caught_up := numbers.get("mongodb.heartbeat_timeout")):
        elected.append(Part("heartbeatTimeoutSecs", caught_up))
    return elected


def _rabbitmq(how: How, entry: Mapping[str, Any], numbers: Numbers) -> list[Part]:
    """A quorum queue elects another leader; a silent node is not missed before the net tick.

    A connection that ends is noticed at once; what only falls silent, when aten polls. For a
    partial partition a node pauses itself, and starts again once it has seen a majority.
    """
    if "rabbitmq.net_tick" not in numbers:
        return []
    elected = Part("election", numbers["rabbitmq.election"])
    if how not in ("cut off", "frozen"):
        return [Part("aten poll", numbers["rabbitmq.aten"]), elected]
    ticks = [
        Part("net_ticktime + 25 %", numbers["rabbitmq.net_tick"] * 1.25),
        Part("aten poll", numbers["rabbitmq.aten"]),
        elected,
    ]
    if partial(entry, _nodes_of(numbers)):
        ticks.append(Part("pauses and starts again (measured)", numbers["rabbitmq.restart"]))
    return ticks
