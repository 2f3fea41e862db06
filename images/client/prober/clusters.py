"""How a cluster is, as its members themselves say it: who takes part, and who leads."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import probes

Question = Mapping
State = dict


def inspect(question: Question, vip: str) -> State:
    """Size, expected size, members' states and the leading member (by the part it plays)."""
    found = KINDS[question["kind"]](question, vip)
    return {
        "service": question["service"],
        "size": 0,
        "expected": len(question["members"]),
        **found,
    }


def _each(question: Question, ask: Callable) -> dict:
    """What every member answers: name → answer, or the OSError that met the question."""

    def attempt(member: Mapping) -> object:
        try:
            return ask(member["address"])
        except OSError as error:
            return error
        except Exception as error:  # a library's own kind of refusal
            return ConnectionError(str(error)[:160])

    return probes.together({m["name"]: (attempt, m) for m in question["members"]})


def _named(question: Question, address: str) -> str:
    return next((m["name"] for m in question["members"] if m["address"] == address), address)


_GALERA = (
    "wsrep_cluster_status",
    "wsrep_local_state_comment",
    "wsrep_cluster_state_uuid",
    "wsrep_last_committed",
    "wsrep_incoming_addresses",
)


def galera(question: Question, vip: str) -> State:
    """Members of the primary component that are synced; the writer is who answers at the VIP.

    Of these also their state's UUID and how far they have committed, and how many components they
    are parted into.
    """
    wanted = f"SHOW GLOBAL STATUS WHERE Variable_name IN {_GALERA}"
    said = _each(question, lambda host: dict(probes.query(host, question, wanted)))
    members, synced = {}, {}
    for name, answer in said.items():
        if isinstance(answer, OSError):
            members[name] = probes.reason(answer)
            continue
        status, state = answer["wsrep_cluster_status"], answer["wsrep_local_state_comment"]
        members[name] = f"{status}, {state}"
        if (status, state) == ("Primary", "Synced"):
            synced[name] = answer
    return {
        "size": len(synced),
        "writer": _galera_writer(question, vip),
        "components": _components(synced.values()),
        "uuids": {name: answer["wsrep_cluster_state_uuid"] for name, answer in synced.items()},
        "committed": {name: int(answer["wsrep_last_committed"]) for name, answer in synced.items()},
        "members": members,
    }


def _components(synced: Iterable[Mapping]) -> int:
    """How many components these are: histories of their own, or views that share no member.

    While members learn of a new view one after another, the old one and the new one share some.
    """
    parts: list[tuple[str, set]] = []
    for answer in synced:
        uuid, view = answer["wsrep_cluster_state_uuid"], answer["wsrep_incoming_addresses"]
        seen = set(view.split(","))
        same = [part for part in parts if part[0] == uuid and part[1] & seen]
        parts = [part for part in parts if part not in same]
        parts.append((uuid, seen.union(*(part[1] for part in same))))
    return len(parts)


def _galera_writer(question: Question, vip: str) -> str | None:
    if "vip_port" not in question:
        return None
    try:
        rows = probes.query(vip, {**question, "port": question["vip_port"]}, "SELECT @@hostname")
        return rows[0][0]
    except OSError:
        return None


def rabbitmq(question: Question, _: str) -> State:
    """The nodes that most members see running; the leader is who leads most quorum queues.

    Stranded is who runs, and is not in what a majority agrees on.
    """
    said = _each(question, lambda host: _api(host, question, "nodes"))
    views = {
        name: frozenset(_short(n["name"]) for n in answer if n.get("running"))
        for name, answer in said.items()
        if not isinstance(answer, OSError)
    }
    members = {
        name: probes.reason(answer)
        if isinstance(answer, OSError)
        else "running, sees " + ", ".join(sorted(views[name]))
        for name, answer in said.items()
    }
    if not views:
        return {"members": members, "leader": None}
    view, _votes = max(Counter(views.values()).items(), key=lambda item: (item[1], len(item[0])))
    agreeing = [name for name in views if views[name] == view]
    leaders = _leaders(question, agreeing[0])
    led = Counter(leader for leader in leaders.values() if leader in view)
    return {
        "size": len(view),
        "leader": led.most_common(1)[0][0] if led else None,
        "leaderless": sorted(queue for queue, leader in leaders.items() if leader not in view),
        "partitioned": len(set(views.values())) > 1,
        "stranded": sorted(views.keys() - view)
        if 2 * len(agreeing) > len(question["members"])
        else [],
        "members": members,
    }


def _api(host: str, question: Question, what: str) -> list:
    status, body = probes.get(host, {**question, "path": f"/api/{what}"})
    if status != 200:
        raise ConnectionError(f"HTTP {status}")
    return json.loads(body)


def _leaders(question: Question, member: str) -> dict:
    """Quorum queue → the node that leads it as a member says, or None; empty if it says nothing."""
    host = next(m["address"] for m in question["members"] if m["name"] == member)
    try:
        queues = _api(host, question, "queues?disable_stats=true&enable_queue_totals=true")
    except (OSError, ValueError):
        return {}
    return {
        queue["name"]: _short(queue.get("leader") or queue.get("node") or "") or None
        for queue in queues
        if queue.get("type") == "quorum"
    }


def _short(node: str) -> str:
    return node.partition("@")[2]


def redis(question: Question, _: str) -> State:
    """The master that most sentinels name, and it with its replicas that they see up.

    ``masters`` are those that told a sentinel that they are one.
    """
    said = _each(question, lambda host: _sentinel(host, question))
    views = {n: a for n, a in said.items() if not isinstance(a, OSError)}
    members = {n: probes.reason(a) for n, a in said.items() if isinstance(a, OSError)}
    if not views:
        return {"members": members, "master": None}
    master, votes = Counter(view[0]["ip"] for view in views.values()).most_common(1)[0]
    agreeing = [view for view in views.values() if view[0]["ip"] == master]
    up = max((list(filter(_up, view)) for view in agreeing), key=len)
    masters = {n["ip"] for view in agreeing for n in view if _up(n) and n.get(_ROLE) == "master"}
    members |= {name: f"names {_named(question, view[0]['ip'])}" for name, view in views.items()}
    return {
        "size": len(up),
        "master": _named(question, master),
        "masters": sorted(_named(question, address) for address in masters),
        "replicas": sorted(_named(question, node["ip"]) for node in up if node["ip"] != master),
        "sentinels": votes,
        "members": members,
    }


_ROLE = "role-reported"


def _sentinel(host: str, question: Question) -> list[dict]:
    """The data nodes as one sentinel sees them, the master first."""
    masters = probes.command(host, question, "SENTINEL", "MASTERS")
    if not isinstance(masters, list) or not masters:
        raise ConnectionError(f"it says {masters}")
    master = _pairs(masters[0])
    replicas = probes.command(host, question, "SENTINEL", "REPLICAS", master["name"])
    return [master, *map(_pairs, replicas if isinstance(replicas, list) else [])]


def _up(node: Mapping) -> bool:
    return not {"s_down", "o_down", "disconnected"} & set(node["flags"].split(","))


def _pairs(flat: list) -> dict:
    return dict(zip(flat[::2], flat[1::2], strict=False))


def mongodb(question: Question, _: str) -> State:
    """Members that are primary or secondary; the primary."""
    said = _each(question, lambda host: probes.hello(host, question["port"]))
    members, primaries, size = {}, [], 0
    for name, answer in said.items():
        if isinstance(answer, OSError):
            members[name] = probes.reason(answer)
        elif answer.get("isWritablePrimary"):
            members[name] = "primary"
            primaries.append(name)
            size += 1
        else:
            members[name] = "secondary" if answer.get("secondary") else "no member"
            size += bool(answer.get("secondary"))
    return {
        "size": size,
        "primary": primaries[0] if len(primaries) == 1 else None,
        "primaries": primaries,
        "members": members,
    }


KINDS: dict[str, Callable[[Question, str], State]] = {
    "galera": galera,
    "rabbitmq": rabbitmq,
    "redis": redis,
    "mongodb": mongodb,
}
