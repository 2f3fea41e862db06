"""A run's folder as a real one looks, made up: the writer dies, the VIP moves, a write is lost."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.traits import traits

HOSTILE = '</svg></title><script>alert("1")</script><img src=http://evil.example/x> & \x07 | `@all`'
LENGTH = 90.0
SCENARIO = """name: galera-writer-behind-a-cut
description: The writer dies, then the holder of the virtual IP is cut off
needs: {topology: three-controller, profile: support}
workloads:
  - {name: galera-set, kind: galera, as: set, rate: 20}
timeline:
  - {at: 15s, fault: kill, target: galera-writer, for: 20s}
"""
_WORKLOADS = (
    ("galera-set", "add", 0.018),
    ("rabbit-quorum", "publish", 0.006),
    ("vip", "get", 0.002),
)
_AWAY = {
    "galera-set": [(15.4, 22.1), (48.3, 51.0)],
    "rabbit-quorum": [(48.3, 53.8)],
    "vip": [(48.2, 49.9)],
}
Rows = list[dict[str, Any]]


def write_run(folder: Path, rate: float = 8.0) -> Path:
    """The folder of a whole run; ``rate`` operations a second and workload."""
    (folder / "logs").mkdir(parents=True)
    for name in ("c1-mariadb.log", "c2-mariadb.log", "c1-keepalived.log"):
        (folder / "logs" / name).write_text("it went away\n")
    events = history(rate)
    (folder / "scenario.yml").write_text(SCENARIO)
    _json(folder / "run.json", _run(folder.name))
    _json(folder / "timeline.json", timeline())
    _lines(folder / "history.jsonl", events)
    _lines(folder / "observations.jsonl", [observation(float(t)) for t in range(int(LENGTH))])
    _json(folder / "verdict.json", verdict(events))
    return folder


def history(rate: float) -> Rows:
    """Operations of four processes a workload, by their times."""
    dice, rows = random.Random(7), []  # noqa: S311 - a picture, not a secret
    for name, f, usual in _WORKLOADS:
        value, t = 0, 1.0
        while t < LENGTH - 3:
            value += 1
            rows += _operation(dice, {"w": name, "p": value % 4, "f": f, "value": value}, t, usual)
            t += dice.expovariate(rate)
    return sorted(rows, key=lambda row: row["t"])


def _operation(dice: random.Random, said: dict[str, Any], t: float, usual: float) -> Rows:
    name = said["w"]
    invoke = {**said, "t": round(t, 4), "type": "invoke", "error": "", "at": "c1"}
    took = usual * dice.lognormvariate(0, 0.45)
    away = next(((a, b) for a, b in _AWAY[name] if a <= t < b), None)
    kind, error = "ok", ""
    if away:
        kind = "info" if dice.random() < 0.3 else "fail"
        error = HOSTILE if kind == "info" else "(2013, 'Lost connection to server during query')"
        took = dice.uniform(0.05, 0.24)
    elif any(b <= t < b + 4 for _, b in _AWAY[name]):
        took *= dice.uniform(2, 9)
    ended = {**said, "t": round(t + took, 4), "type": kind, "error": error, "at": "c1"}
    return [invoke, ended]


def observation(t: float) -> dict[str, Any]:
    """What labctl sees at a second: the VIP moves from c1 to c2, held twice, held by nobody."""
    vip = (
        ["c1"]
        if t < 48
        else []
        if t < 50
        else ["c2"]
        if t < 68
        else ["c1", "c2"]
        if t < 70
        else ["c2"]
    )
    dead, cut = 15 < t < 38, 48 <= t < 68
    states = {"c1": "Primary, Synced", "c2": "Primary, Synced", "c3": "Primary, Synced"}
    brokers = dict.fromkeys(states, "running, sees c1, c2, c3")
    if dead:
        states["c1"] = (
            "connection refused" if t < 34 else "Joiner, Joining: receiving State Transfer"
        )
    if cut:
        states["c1"] = "non-Primary, Initialized"
        brokers = {
            "c1": "running, sees c1",
            "c2": "running, sees c2, c3",
            "c3": "running, sees c2, c3",
        }
    unready = ["c1/mariadb"] * dead + ["c1/mariadb", "c1/rabbitmq", "c1/keystone"] * cut
    writer = "c1" if t <= 15 else "c2" if t > 20 else None
    leader = ("c2" if t > 53 else None) if t >= 48 else "c1"
    size = 2 if dead or cut else 3
    return {
        "t": t + 0.2,
        "vip": vip,
        "clusters": {
            "galera": {"size": size, "expected": 3, "writer": writer, "members": states},
            "rabbitmq": {
                "size": 2 if cut else 3,
                "expected": 3,
                "leader": leader,
                "members": brokers,
            },
        },
        "unready": unready,
    }


def timeline() -> Rows:
    """Three faults; the last of them does not bite."""
    seen = {"process": "gone from c1 after 0.21 s", "TCP 3306 from client": "refused"}
    cut = {
        "ARP c1 from c2": "no answer",
        "VRRP on c2": "no advert of c1 in 3 s",
        "TCP 3306": "no answer",
    }
    return [
        _fault(0, "kill", "kill c1/mariadb", ["c1/mariadb"], 15.0, 15.3, 38.1)
        | {"evidence": seen, "heal_evidence": {"process": "runs, ready after 17.4 s"}},
        _fault(1, "cut", "cut c1 from c2 and c3", ["c1"], 48.0, 48.2, 68.0)
        | {"evidence": cut, "heal_evidence": {"ARP c1 from c2": "answers", "table labctl": "gone"}},
        _fault(2, "loss", "lose 30 % at c3", ["c3"], 76.0, None, 84.0)
        | {"error": "of 200 packets from c1 to c3 all 200 arrived"},
    ]


def _fault(
    index: int,
    kind: str,
    said: str,
    targets: list[str],
    asked: float,
    bites: float | None,
    healed: float,
) -> dict[str, Any]:
    return {
        "index": index,
        "fault": kind,
        "traits": traits(kind),
        "said": said,
        "asked": asked,
        "began": asked,
        "bites": bites,
        "healed": healed,
        "targets": targets,
        "spec": {},
        "resolved": {},
        "evidence": {},
        "heal_evidence": {},
        "error": None,
    }


def verdict(events: Rows) -> dict[str, Any]:
    """A lost write, a budget that is exceeded, and a check that came to no end."""
    acknowledged = [e for e in events if e["w"] == "galera-set" and e["type"] == "ok"]
    lost = [e for e in acknowledged if 14 < e["t"] < 15.4][-2:]
    evidence = [
        {
            "t": e["t"],
            "p": e["p"],
            "f": e["f"],
            "value": e["value"],
            "said": "acknowledged, and on no member in the end",
        }
        for e in lost
    ]
    ok = len(acknowledged)
    return {
        "outcome": "INVALID",
        "why": "galera-set: 2 acknowledged writes are on no member, though every commit is flushed",
        "steady": {"before": {"held": True, "said": []}, "after": {"held": True, "said": []}},
        "checks": [
            _check(
                "galera-set",
                "lost",
                "INVALID",
                "lost though promised",
                "2 of the acknowledged writes are on no member, and every commit is flushed",
                {"acknowledged": ok, "lost": 2, "recovered": 3},
                evidence,
            ),
            _check(
                "galera-set",
                "duplicated",
                "VALID",
                "kept",
                "no value is there twice",
                {"duplicated": 0},
            ),
            _check(
                "galera-set",
                "stale",
                "VALID",
                "not promised",
                "7 reads on other members were stale by up to 120 ms: wsrep_sync_wait is 0",
                {"stale": 7, "reads": 412},
            ),
            _check(
                "rabbit-quorum",
                "lost",
                "VALID",
                "kept",
                "all confirmed messages were delivered",
                {"confirmed": ok, "lost": 0},
            ),
            _check(
                "rabbit-quorum",
                "linearizable",
                "UNKNOWN",
                "unknown",
                "the search came to no end within 30 s",
                {"operations": ok},
            ),
            _check(
                "redis-set",
                "lost",
                "VALID",
                "lost as documented",
                "4 writes behind the cut are gone: replication is asynchronous",
                {"lost": 4},
            ),
        ],
        "budgets": [
            _budget(
                "mariadb",
                0,
                12.0,
                [
                    ("HAProxy inter x fall", 3.0),
                    ("evs.suspect_timeout", 5.0),
                    ("evs.inactive_check_period", 1.0),
                    ("reconnect", 3.0),
                ],
                "evs.suspect_timeout",
                6.7,
                "VALID",
                "the writer was away for 6.7 s, within its bound",
            ),
            _budget(
                "vip",
                1,
                1.3,
                [("advert_int x 3", 0.9), ("skew", 0.2), ("gratuitous ARP", 0.2)],
                "advert_int x 3",
                1.71,
                "INVALID",
                "nobody answered at the virtual IP for 1.71 s, and 1.3 s are allowed",
            ),
            _budget(
                "rabbitmq",
                1,
                8.0,
                [("net_ticktime", 6.0), ("Raft election", 2.0)],
                "net_ticktime",
                None,
                "UNKNOWN",
                "the client itself did not run for 2 s of it",
            ),
        ],
        "notes": [],
    }


def _check(
    workload: str,
    check: str,
    outcome: str,
    promise: str,
    why: str,
    counts: dict[str, int],
    evidence: Rows | None = None,
) -> dict[str, Any]:
    return {
        "workload": workload,
        "check": check,
        "outcome": outcome,
        "promise": promise,
        "why": why,
        "counts": counts,
        "evidence": evidence or [],
    }


def _budget(
    name: str,
    fault: int,
    bound: float,
    parts: list[tuple[str, float]],
    dominant: str,
    measured: float | None,
    outcome: str,
    why: str,
) -> dict[str, Any]:
    return {
        "name": name,
        "fault": fault,
        "bound": bound,
        "dominant": dominant,
        "measured": measured,
        "parts": [{"timer": timer, "seconds": s} for timer, s in parts],
        "outcome": outcome,
        "why": why,
    }


def _run(name: str) -> dict[str, Any]:
    return {
        "format": 1,
        "run": name,
        "scenario": "galera-writer-behind-a-cut",
        "lab": "demo",
        "topology": "three-controller",
        "profile": "support",
        "seed": 20161,
        "began": "2026-11-22T21:04:11+00:00",
        "labctl": "0.1.0",
        "versions": {"mariadb": "10.11.14", "rabbitmq": "3.10.8", "keepalived": "2.2.7"},
        "engine": "docker 29.1",
        "clock": "seconds since the run began, monotonic",
        "settings": {"mariadb": {"innodb_flush_log_at_trx_commit": 1, "wsrep_sync_wait": 0}},
    }


def _json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data))


def _lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


Change = Callable[[dict[str, Any]], None]


def change(folder: Path, name: str, how: Change) -> None:
    """Change a JSON file of a run."""
    data = json.loads((folder / name).read_text())
    how(data)
    _json(folder / name, data)
