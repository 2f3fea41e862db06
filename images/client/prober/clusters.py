"""How a cluster is, as its members themselves say it: who takes part, and who leads."""

import json
from collections import Counter
from collections.abc import Callable, Mapping

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


def galera(question: Question, vip: str) -> State:
    """Members of the primary component that are synced; the writer is who answers at the VIP."""
    wanted = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status', "
    wanted += "'wsrep_local_state_comment', 'wsrep_cluster_size', 'wsrep_cluster_state_uuid')"
    said = _each(question, lambda host: dict(probes.query(host, question, wanted)))
    members, synced, views = {}, 0, set()
    for name, answer in said.items():
        if isinstance(answer, OSError):
            members[name] = probes.reason(answer)
            continue
        status, state = answer["wsrep_cluster_status"], answer["wsrep_local_state_comment"]
        members[name] = f"{status}, {state}"
        if (status, state) == ("Primary", "Synced"):
            synced += 1
            views.add(answer["wsrep_cluster_state_uuid"])
    return {
        "size": synced,
        "writer": _galera_writer(question, vip),
        "components": len(views),
        "members": members,
    }


def _galera_writer(question: Question, vip: str) -> str | None:
    if "vip_port" not in question:
        return None
    try:
        rows = probes.query(vip, {**question, "port": question["vip_port"]}, "SELECT @@hostname")
        return rows[0][0]
    except OSError:
        return None


def rabbitmq(question: Question, _: str) -> State:
    """The nodes that most members see running; the leader is who leads most quorum queues."""
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
    return {
        "size": len(view),
        "leader": _queue_leader(question, agreeing[0]),
        "partitioned": len(set(views.values())) > 1,
        "members": members,
    }


def _api(host: str, question: Question, what: str) -> list:
    status, body = probes.get(host, {**question, "path": f"/api/{what}"})
    if status != 200:
        raise ConnectionError(f"HTTP {status}")
    return json.loads(body)


def _queue_leader(question: Question, member: str) -> str | None:
    host = next(m["address"] for m in question["members"] if m["name"] == member)
    try:
        queues = _api(host, question, "queues?disable_stats=true&enable_queue_totals=true")
    except (OSError, ValueError):
        return None
    leaders = Counter(
        _short(queue.get("leader") or queue["node"])
        for queue in queues
        if queue.get("type") == "quorum" and (queue.get("leader") or queue.get("node"))
    )
    return leaders.most_common(1)[0][0] if leaders else None


def _short(node: str) -> str:
    return node.partition("@")[2]


def redis(question: Question, _: str) -> State:
    """The master that most sentinels name, and it with its replicas that they see up."""
    said = _each(question, lambda host: _sentinel(host, question))
    views = {n: a for n, a in said.items() if not isinstance(a, OSError)}
    members = {n: probes.reason(a) for n, a in said.items() if isinstance(a, OSError)}
    if not views:
        return {"members": members, "master": None}
    master, votes = Counter(view[0] for view in views.values()).most_common(1)[0]
    agreeing = [view for view in views.values() if view[0] == master]
    up = max((view[1] for view in agreeing), key=len)
    members |= {name: f"names {_named(question, view[0])}" for name, view in views.items()}
    return {
        "size": len(up),
        "master": _named(question, master),
        "replicas": sorted(_named(question, address) for address in up if address != master),
        "sentinels": votes,
        "members": members,
    }


def _sentinel(host: str, question: Question) -> tuple[str, frozenset]:
    """The master's address as one sentinel names it, and all data nodes that it sees up."""
    masters = probes.command(host, question, "SENTINEL", "MASTERS")
    if not isinstance(masters, list) or not masters:
        raise ConnectionError(f"it says {masters}")
    master = _pairs(masters[0])
    replicas = probes.command(host, question, "SENTINEL", "REPLICAS", master["name"])
    seen = [master, *map(_pairs, replicas if isinstance(replicas, list) else [])]
    down = {"s_down", "o_down", "disconnected"}
    up = frozenset(node["ip"] for node in seen if not down & set(node["flags"].split(",")))
    return master["ip"], up


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
