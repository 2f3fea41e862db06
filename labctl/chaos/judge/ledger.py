"""The guarantee ledger: what a store promises with its settings, and what a finding is then. Pure.

A store's settings are those in force (``settings`` in run.json, by store), then the workload's
own (a client chooses its write concern). What a scenario *claims* counts instead of what is in
force: a lab with a known-bad setting is held against what it says of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from labctl.chaos.model.findings import Check, Finding, Outcome, Standing
from labctl.workloads.registry import KINDS

Settings = Mapping[str, Any]
Guarantee = Literal["promised", "documented", "none", "unknown"]
"""``documented``: its documentation says that this can be lost. ``none``: nobody says anything.
``unknown``: the settings that decide it are not known."""

CRON = 2.0
"""Seconds by which a store notices late that its window is over: Redis looks once a second, and
a reply may be one second old."""


@dataclass(frozen=True)
class Promise:
    """What a store promises for what it acknowledged."""

    says: str
    source: str
    durable: Guarantee = "promised"
    """What was acknowledged is there in the end."""
    once: Guarantee = "promised"
    """Nothing is there twice."""
    fresh: Guarantee = "none"
    """A read elsewhere, begun after an acknowledgement, sees it."""
    linearizable: Guarantee = "none"
    isolated: Guarantee = "none"
    """Transactions do not undo or half see each other: nothing is lost between two updates."""
    settled: Guarantee = "documented"
    """What was begun ends: nothing stays in between for ever."""
    held: Guarantee = "none"
    """The virtual IP has one holder though adverts are blocked or a holder sleeps."""
    window: float | None = None
    """Seconds of writes that may be lost at a time where ``durable`` is documented; None: any."""


def promise(kind: str, way: str, effective: Mapping[str, Settings], own: Settings) -> Promise:
    """What the store of a workload, used as ``way``, promises.

    ``effective`` are the run's settings by store, ``own`` the workload's, with ``claims``. A
    store without a rule keeps its state in Galera, as every API does.
    """
    store = kind if kind in _RULES else "galera"
    claims = own.get("claims") or {}
    known = KINDS.get(kind, {}).get(way)
    client = dict(known.promised_by) if known else {}
    if way == "read-after-write":
        client["wsrep_sync_wait"] = int(bool(own.get("sync_wait")))
    settings = {**effective.get(store, {}), **client, **own, **claims}
    made = _RULES.get(kind, _api)(settings)
    if not claims:
        return made
    said = ", ".join(f"{key}={_word(value)}" for key, value in claims.items())
    return Promise(**{**_fields(made), "says": f"{made.says} (the scenario claims {said})"})


def weigh(workload: str, finding: Finding, made: Promise) -> Check:
    """A finding as a check: kept, lost though promised, as documented, not promised, unknown."""
    outcome, standing, more = _weighed(finding, made)
    return Check(
        workload=workload,
        check=finding.check,
        outcome=outcome,
        promise=standing,
        why=finding.why + more,
        counts=finding.counts,
        evidence=finding.evidence,
    )


def _weighed(finding: Finding, made: Promise) -> tuple[Outcome, Standing, str]:
    if finding.broken is None:
        return "UNKNOWN", "unknown", ""
    if not finding.broken or finding.aspect == "nothing":
        return "VALID", "kept", ""
    if finding.aspect == "always":
        return "INVALID", "lost though promised", ""
    guarantee, more = _guarantee(finding, finding.aspect, made)
    outcome, standing = _BROKEN[guarantee]
    said = f"; {made.says} [{made.source}]" if made.says else ""
    return outcome, standing, more + said


_BROKEN: Mapping[Guarantee, tuple[Outcome, Standing]] = {
    "promised": ("INVALID", "lost though promised"),
    "documented": ("VALID", "lost as documented"),
    "none": ("VALID", "not promised"),
    "unknown": ("UNKNOWN", "unknown"),
}


def _guarantee(finding: Finding, aspect: str, made: Promise) -> tuple[Guarantee, str]:
    """What covers a finding, and what is to be said of it."""
    guarantee: Guarantee = getattr(made, aspect)
    if guarantee == "unknown":
        return guarantee, "; nobody can say whether that was promised"
    if guarantee == "documented" and aspect == "durable" and made.window is not None:
        if not finding.times:
            return "unknown", "; nobody can say when what is lost was acknowledged"
        longest = longest_spell(finding.times, made.window)
        if longest > made.window + CRON:
            more = f"; within {longest:.1f} s, more than the {made.window:.0f} s documented"
            return "promised", more
    return guarantee, ""


def longest_spell(times: Sequence[float], apart: float) -> float:
    """The longest time from a first to a last moment, of those less than ``apart`` from another.

    Losses further apart than that belong to different faults.
    """
    longest, began, last = 0.0, None, 0.0
    for moment in sorted(times):
        if began is None or moment - last > apart:
            began = moment
        last = moment
        longest = max(longest, last - began)
    return longest


def _galera(settings: Settings) -> Promise:
    flush = settings.get("innodb_flush_log_at_trx_commit")
    wait = settings.get("wsrep_sync_wait")
    writers = "several" if settings.get("spread") else settings.get("writers", 1)
    locking = settings.get("locking") or settings.get("innodb_snapshot_isolation")
    causal = _when(wait, lambda value: bool(int(value) & 1), "documented")
    # Who reads where all writes go sees them, whether or not others have applied them yet.
    same = settings.get("through_vip") and writers == 1
    return Promise(
        says=f"innodb_flush_log_at_trx_commit={_word(flush)}, wsrep_sync_wait={_word(wait)},"
        f" {_word(writers)} writing member(s), {'with' if locking else 'without'} locking reads",
        source="MariaDB: InnoDB system variables, wsrep_sync_wait; jepsen.io 2026-03-16",
        # 2 and 0 leave the last second to the page cache or to the process.
        durable=_when(flush, lambda value: int(value) == 1, "documented"),
        fresh="promised" if same else causal,
        linearizable=causal,
        isolated="promised" if locking and writers == 1 else "documented",
    )


def _rabbitmq(settings: Settings) -> Promise:
    kind, confirms = settings.get("queue_type"), settings.get("confirms", True)
    durable = _when(kind, lambda value: value == "quorum", "documented")
    return Promise(
        says=f"{_word(kind)} queue, publisher confirms {'on' if confirms else 'off'}",
        source="rabbitmq.com: Quorum Queues, Consumer Acknowledgements and Publisher Confirms",
        durable=durable if confirms else "none",
        once="documented",
    )


def _redis(settings: Settings) -> Promise:
    least = settings.get("min_replicas_to_write")
    lag = settings.get("min_replicas_max_lag", 10)
    # 0 in either of them turns the bound off.
    bounded = least is not None and int(least) > 0 and float(lag) > 0
    return Promise(
        says=f"asynchronous replication, min-replicas-to-write {_word(least)}"
        + (f" within {_word(lag)} s" if bounded else ""),
        source="redis.io: High availability with Redis Sentinel",
        durable="unknown" if least is None else "documented",
        fresh="documented",
        linearizable="documented",
        isolated="documented",
        window=float(lag) if bounded else None,
    )


def _mongodb(settings: Settings) -> Promise:
    write, read = settings.get("write_concern"), settings.get("read_concern")
    journal = settings.get("journal", True)
    majority = _when(write, lambda value: value == "majority", "documented")
    linear: Guarantee = majority if read == "linearizable" else "documented"
    return Promise(
        says=f"write concern {_word(write)}, {'journalled' if journal else 'not journalled'},"
        f" read concern {_word(read)}",
        source="mongodb.com manual: Write Concern, Read Concern, Rollbacks",
        durable=majority if journal or majority != "promised" else "documented",
        fresh=linear,
        linearizable=linear,
        isolated=linear,
    )


def _memcached(_: Settings) -> Promise:
    return Promise(
        says="a cache: what it holds may go at any time",
        source="memcached.org: About",
        durable="documented",
    )


def _tenant(_: Settings) -> Promise:
    return Promise(
        says="a router that VRRP moves among its nodes; a load balancer that nothing moves",
        source="Neutron: Distributed and HA routers (l3_ha); Octavia: topology SINGLE",
    )


def _api(settings: Settings) -> Promise:
    """Of an OpenStack API: its rows are Galera's, and RPC casts are delivered at most once."""
    rows = _galera(settings)
    return Promise(
        says=f"rows in Galera ({rows.says}), work handed on by casts",
        source="oslo.messaging: a server acknowledges before it works; " + rows.source,
        durable=rows.durable,
        fresh=rows.fresh,
        settled="documented",
    )


_RULES: Mapping[str, Callable[[Settings], Promise]] = {
    "galera": _galera,
    "rabbitmq": _rabbitmq,
    "redis": _redis,
    "mongodb": _mongodb,
    "memcached": _memcached,
    "tenant": _tenant,
}


def _when(value: Any, holds: Callable[[Any], bool], otherwise: Guarantee) -> Guarantee:
    """Promised if it holds; unknown when nobody said the value."""
    if value is None:
        return "unknown"
    return "promised" if holds(value) else otherwise


def _word(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _fields(made: Promise) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}
