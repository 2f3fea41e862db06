"""How the prober reads a cluster, with what its members say held fixed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.unit.prober import module

clusters = module("clusters")
probes = module("probes")

MEMBERS = [{"name": f"c{n}", "address": f"198.18.0.1{n}"} for n in (1, 2, 3)]
VIP = "198.18.0.10"
Said = Mapping[str, Any]
"""Last digit of a member's address (or "0", the virtual IP) → what it says, or its error."""


def inspect(kind: str, **more: object) -> dict[str, Any]:
    question = {"service": kind, "kind": kind, "members": MEMBERS, "port": 1, **more}
    state: dict[str, Any] = clusters.inspect(question, VIP)
    return state


def says(said: Said) -> Callable[..., Any]:
    def answer(host: str, *_: object) -> Any:
        reply = said.get(host[-1], TimeoutError())
        if isinstance(reply, Exception):
            raise reply
        return reply

    return answer


def galera(
    status: str, state: str, uuid: str = "u", view: str = "123"
) -> tuple[tuple[str, str], ...]:
    return (
        ("wsrep_cluster_state_uuid", uuid),
        ("wsrep_cluster_status", status),
        ("wsrep_incoming_addresses", ",".join(f"198.18.0.1{member}:3306" for member in view)),
        ("wsrep_last_committed", "7"),
        ("wsrep_local_state_comment", state),
    )


def test_galera_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {key: galera("Primary", "Synced") for key in "123"} | {"0": (("c2",),)}
    monkeypatch.setattr(probes, "query", says(said))
    state = inspect("galera", vip_port=3306)
    assert (state["size"], state["expected"], state["writer"]) == (3, 3, "c2")
    assert state["members"]["c1"] == "Primary, Synced"
    assert (state["uuids"]["c3"], state["committed"]) == ("u", {"c1": 7, "c2": 7, "c3": 7})


def test_galera_counts_only_synced_members_of_the_primary_component(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {"1": galera("Primary", "Synced"), "2": galera("non-Primary", "Initialized")}
    monkeypatch.setattr(probes, "query", says(said))
    state = inspect("galera", vip_port=3306)
    assert (state["size"], state["writer"]) == (1, None)
    assert state["members"]["c2"] == "non-Primary, Initialized"
    assert state["members"]["c3"] == "no answer within 2 s"


def test_two_galera_clusters_do_not_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {key: galera("Primary", "Synced", uuid) for key, uuid in zip("123", "aab", strict=True)}
    monkeypatch.setattr(probes, "query", says(said))
    assert inspect("galera")["components"] == 2


@pytest.mark.parametrize(
    ("views", "components"),
    [
        (("123", "123", "123"), 1),
        (("123", "23", "23"), 1),  # the first has not learned of it yet
        (("12", "12", "3"), 2),
        (("1", "2", "3"), 3),
        (("1", "3", "123"), 1),
    ],
)
def test_components_of_galera_share_no_member(
    monkeypatch: pytest.MonkeyPatch, views: tuple[str, ...], components: int
) -> None:
    said = {
        key: galera("Primary", "Synced", view=view) for key, view in zip("123", views, strict=True)
    }
    monkeypatch.setattr(probes, "query", says(said))
    assert inspect("galera")["components"] == components


def rabbit(*running: str) -> tuple[int, str]:
    nodes = [{"name": f"rabbit@c{n}", "running": f"c{n}" in running} for n in (1, 2, 3)]
    return 200, json.dumps(nodes)


def test_rabbitmq_partitioned(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"1": rabbit("c1", "c2"), "2": rabbit("c1", "c2"), "3": rabbit("c3")}
    monkeypatch.setattr(probes, "get", says(said))
    monkeypatch.setattr(clusters, "_leaders", lambda *_: {"q": "c2", "r": "c3", "s": None})
    state = inspect("rabbitmq")
    assert (state["size"], state["leader"], state["partitioned"]) == (2, "c2", True)
    assert state["members"]["c3"] == "running, sees c3"
    assert state["leaderless"] == ["r", "s"]
    assert state["stranded"] == ["c3"]


def test_without_a_majority_nobody_can_say_who_is_stranded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "get", says({n: rabbit(f"c{n}") for n in "123"}))
    monkeypatch.setattr(clusters, "_leaders", lambda *_: {})
    assert inspect("rabbitmq")["stranded"] == []


def test_rabbitmq_leader_is_who_leads_most_quorum_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = [
        {"name": "a", "type": "quorum", "leader": "rabbit@c3"},
        {"name": "b", "type": "quorum", "leader": "rabbit@c3"},
        {"name": "c", "type": "quorum", "leader": "rabbit@c1"},
        {"name": "d", "type": "classic", "node": "rabbit@c1"},
        {"name": "e", "type": "classic", "node": "rabbit@c1"},
    ]

    def get(_: str, want: Mapping[str, str]) -> tuple[int, str]:
        return (200, json.dumps(queues)) if "queues" in want["path"] else rabbit("c1", "c2", "c3")

    monkeypatch.setattr(probes, "get", get)
    state = inspect("rabbitmq")
    assert (state["size"], state["leader"], state["partitioned"]) == (3, "c3", False)
    assert state["leaderless"] == []


def test_rabbitmq_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "get", says(dict.fromkeys("123", (401, ""))))
    state = inspect("rabbitmq")
    assert (state["size"], state["members"]["c1"]) == (0, "HTTP 401")


def sentinel(master: str, down: str = "", also: str = "") -> Callable[..., list[list[str]]]:
    def command(_host: str, _question: object, *words: str) -> list[list[str]]:
        digits = master if words[1] == "MASTERS" else "123".replace(master, "")
        return [
            [
                *("name", "lab", "ip", f"198.18.0.1{digit}"),
                *("flags", "s_down" if digit in down else ""),
                *("role-reported", "master" if digit in master + also else "slave"),
            ]
            for digit in digits
        ]

    return command


def test_redis_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "command", sentinel("2"))
    state = inspect("redis")
    assert (state["size"], state["master"], state["replicas"]) == (3, "c2", ["c1", "c3"])
    assert (state["sentinels"], state["masters"]) == (3, ["c2"])


def test_two_redis_masters(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has come back, and has not been told yet that it is a replica now."""
    monkeypatch.setattr(probes, "command", sentinel("2", also="1"))
    state = inspect("redis")
    assert (state["master"], state["masters"]) == ("c2", ["c1", "c2"])


def test_redis_without_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "command", sentinel("1", down="3"))
    state = inspect("redis")
    assert (state["size"], state["replicas"]) == (2, ["c2"])


def test_redis_master_is_the_majoritys(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(host: str, question: object, *words: str) -> list[list[str]]:
        return sentinel("1" if host.endswith("1") else "3", down="1")(host, question, *words)

    monkeypatch.setattr(probes, "command", command)
    state = inspect("redis")
    assert (state["master"], state["sentinels"], state["size"]) == ("c3", 2, 2)
    assert state["members"]["c1"] == "names c1"


@pytest.mark.parametrize(
    ("roles", "size", "primary"),
    [("pss", 3, "c1"), ("sp-", 2, "c2"), ("ss-", 2, None), ("ppx", 2, None), ("xxx", 0, None)],
)
def test_mongodb(
    monkeypatch: pytest.MonkeyPatch, roles: str, size: int, primary: str | None
) -> None:
    replies = {
        "p": {"isWritablePrimary": True},
        "s": {"secondary": True},
        "-": {"secondary": False},
        "x": ConnectionRefusedError(111, "Connection refused"),
    }
    said = {str(n): replies[role] for n, role in enumerate(roles, start=1)}
    monkeypatch.setattr(probes, "hello", says(said))
    state = inspect("mongodb")
    assert (state["size"], state["primary"]) == (size, primary)
    if "x" in roles:
        assert state["members"]["c3"] == "connection refused"
