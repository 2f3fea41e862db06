"""When a documented loss may have happened: a promise that excuses it names the time. Pure.

A store's documentation does not say that anything may be lost at any time. It names an event (all
members crash, the primary is in a minority) and an interval (a second between two flushes). What
was acknowledged outside of these times is promised like anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.chaos.judge.bounds import hits
from labctl.chaos.judge.explained import Explainer
from labctl.chaos.judge.record import Data, Record

Settings = Mapping[str, Any]

CRON = 2.0
"""Seconds by which a store may be late to notice that a time limit has passed: Redis checks once a
second, and a replica's last reply may be a second old."""
FLUSH = 1.0
"""Seconds between two flushes of InnoDB's log (innodb_flush_log_at_timeout)."""
JOURNAL = 0.1
"""Seconds between two commits of MongoDB's journal (storage.journal.commitIntervalMs)."""
_LATE = 1.0
"""Seconds by which what happens once in an interval may be late."""
_EVER = 1e9


@dataclass(frozen=True)
class Excuse:
    """A time in which acknowledged operations may be lost, in seconds since the run began."""

    since: float
    until: float
    why: str


def durable(run: Record, explainer: Explainer, kind: str, settings: Settings) -> list[Excuse]:
    """When a store may lose what it acknowledged, as its settings are documented."""
    make = _DURABLE.get(kind, _galera)
    return make(_Faults(run, explainer), settings)


def doubled(run: Record, explainer: Explainer, kind: str) -> list[Excuse]:
    """When a store may deliver twice: when a connection ends before the acknowledgement arrives."""
    del run
    service = {"galera": "mariadb"}.get(kind, kind)
    spells = explainer.touching(frozenset({service}))
    return [Excuse(begin, end, "a connection may end") for begin, end in spells]


class _Faults:
    """The faults of a run, by what they do to a cluster."""

    def __init__(self, run: Record, explainer: Explainer) -> None:
        self._run, self._explainer = run, explainer
        self._bitten = [entry for entry in explainer.tried if entry.get("bites") is not None]

    @property
    def numbers(self) -> Mapping[str, float]:
        """The timers in force."""
        return self._explainer.numbers

    def touching(self, *services: str) -> list[Data]:
        """Faults that act on any of the services."""
        wanted = frozenset(services)
        return [e for e in self._bitten if self._explainer.lab.touched(e, wanted)]

    def healed(self, entry: Data) -> float:
        """When a fault was healed, or the run ended."""
        return self._run.end if entry.get("healed") is None else float(entry["healed"])

    def all_down(
        self, name: str, service: str, *, power: bool = False
    ) -> list[tuple[float, float]]:
        """From when to when the last member of a cluster crashed: all were down together.

        ``power``: only a loss of power counts, for what survives the end of a process.
        """
        members = int(self.numbers.get(f"members.{service}", 0))
        crashes = [e for e in self._bitten if _crash(e, power=power)]
        found = []
        for last in crashes:
            down: set[str] = set()
            for other in crashes:
                together = other["began"] <= last["bites"] and self.healed(other) > last["began"]
                if together:
                    made = hits(other, self.numbers, self._explainer.lab.nodes)
                    down |= {node for hit in made if hit.name == name for node in hit.nodes}
            if members and len(down) >= members:
                found.append((float(last["began"]), float(last["bites"])))
        return found


def _crash(entry: Data, *, power: bool) -> bool:
    traits = entry["traits"]
    if traits["felt"] == "killed" and not power:
        return True
    whole = traits["on_nodes"] or any("/" not in target for target in entry.get("targets", ()))
    return (
        traits["felt"] in ("killed", "silent")
        and traits["family"] != "network"
        and (whole and (traits["stays_dead"] or traits["over"]))
    )


def _galera(faults: _Faults, settings: Settings) -> list[Excuse]:
    """Flush 0 and 2: up to a second, when all members crash at once; 2 only without power."""
    flush = settings.get("innodb_flush_log_at_trx_commit")
    if flush is None or int(flush) == 1:
        return []
    power = int(flush) == 2
    return [
        Excuse(began - FLUSH - _LATE, bites, f"all crash, and the log is flushed every {FLUSH:g} s")
        for began, bites in faults.all_down("galera", "mariadb", power=power)
    ]


def _redis(faults: _Faults, settings: Settings) -> list[Excuse]:
    """What a master acknowledged that its replicas did not get: until min-replicas bites."""
    least = int(settings.get("min_replicas_to_write") or 0)
    lag = float(settings.get("min_replicas_max_lag", 10))
    found = []
    for entry in faults.touching("redis", "sentinel"):
        began, healed = float(entry["began"]), faults.healed(entry)
        bounded = least > 0 and lag > 0
        until = float(entry["bites"]) + lag + CRON if bounded else healed
        why = (
            f"replicas may be {lag:g} s behind"
            if bounded
            else "nothing bounds how far replicas lag"
        )
        found.append(Excuse(began - (lag if bounded else _EVER), until, why))
        # A master that wakes up takes writes until it hears of the other.
        found.append(Excuse(healed - CRON, healed + lag + CRON, "an old master is demoted"))
    return found


def _mongodb(faults: _Faults, settings: Settings) -> list[Excuse]:
    """w:1: what a primary in a minority takes until it steps down; and what is not journalled."""
    found = []
    if settings.get("write_concern") != "majority":
        election = faults.numbers.get("mongodb.election", 10.0)
        beat = faults.numbers.get("mongodb.heartbeat", 2.0)
        for entry in faults.touching("mongodb"):
            if entry["traits"]["felt"] is None:
                continue
            healed = faults.healed(entry)
            why = f"a primary in a minority steps down after {election:g} s"
            until = min(float(entry["bites"]) + election + 2 * beat, healed + beat)
            found.append(Excuse(float(entry["began"]) - beat, until, why))
            found.append(Excuse(healed - beat, healed + beat, "an old primary learns of the new"))
    if settings.get("journal") is False:
        found += [
            Excuse(began - JOURNAL - _LATE, bites, "all crash, and the journal is not waited for")
            for began, bites in faults.all_down("mongodb", "mongodb")
        ]
    return found


def _rabbitmq(faults: _Faults, settings: Settings) -> list[Excuse]:
    """A classic queue goes with its node: whatever was in it then."""
    del settings
    return [
        Excuse(-_EVER, faults.healed(entry), "the queue is on one node")
        for entry in faults.touching("rabbitmq")
        if entry["traits"]["felt"] is not None
    ]


def _memcached(faults: _Faults, settings: Settings) -> list[Excuse]:
    """A cache may evict anything at any time."""
    del faults, settings
    return [Excuse(-_EVER, _EVER, "a cache")]


_DURABLE: Mapping[str, Callable[[_Faults, Settings], list[Excuse]]] = {
    "galera": _galera,
    "redis": _redis,
    "mongodb": _mongodb,
    "rabbitmq": _rabbitmq,
    "memcached": _memcached,
}


def outside(times: Sequence[float], excuses: Sequence[Excuse]) -> list[float]:
    """The moments that no excuse covers."""
    return [t for t in times if not any(each.since <= t <= each.until for each in excuses)]
