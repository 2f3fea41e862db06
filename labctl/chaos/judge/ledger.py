"""The guarantee ledger: what a store promises with its settings; findings held against it. Pure.

A store's settings are those in force (``settings`` in run.json, by store), then the workload's own
(a client chooses its write concern). What a scenario *claims* overrides both: a lab with a bad
setting, made on purpose, is held against what it pretends to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from labctl.chaos.judge.excuses import CRON, Excuse, outside
from labctl.chaos.model.findings import Check, Finding, Outcome, Standing
from labctl.chaos.model.isolation import LEVELS, Level, forbids
from labctl.workloads.registry import KINDS

Settings = Mapping[str, Any]
Guarantee = Literal["promised", "documented", "none", "unknown"]
"""``documented``: the store's documentation says that this may be lost. ``none``: it says nothing.
``unknown``: the settings that decide it are not known."""

Excuses = Mapping[str, Sequence[Excuse]]
"""Guarantee that is only documented → the times in which what it excuses may have happened; one
that is left out excuses at any time."""


@dataclass(frozen=True)
class Promise:
    """What a store promises for acknowledged operations."""

    says: str
    source: str
    durable: Guarantee = "promised"
    """What was acknowledged is still there at the end."""
    once: Guarantee = "promised"
    """Nothing is there twice."""
    fresh: Guarantee = "none"
    """A read from any member that starts after an acknowledgement sees that write."""
    linearizable: Guarantee = "none"
    isolated: Guarantee = "none"
    """Transactions neither undo nor partly see each other: there are no lost updates."""
    ordered: Guarantee = "promised"
    """Acknowledged writes take effect in the order of time, whatever reads see."""
    isolation: Level = "none"
    """The strongest level of isolation: it lets all that only stronger ones forbid happen."""
    settled: Guarantee = "documented"
    """What was started finishes: nothing stays in a transitional state for ever."""
    held: Guarantee = "none"
    """The virtual IP has one holder even when adverts are blocked or a holder is frozen."""
    window: float | None = None
    """Seconds of writes that one fault may lose if ``durable`` is documented; None: no limit."""
    settings: Settings = field(default_factory=dict)
    """The settings that it follows from, by which the times of excuses are computed."""


def promise(kind: str, way: str, effective: Mapping[str, Settings], own: Settings) -> Promise:
    """What a store promises to a workload that uses it as ``way``.

    ``effective`` are the run's settings by store, ``own`` the workload's, with ``claims``. A store
    without a rule keeps its state in Galera, as every API does.
    """
    store = kind if kind in _RULES else "galera"
    claims = own.get("claims") or {}
    known = KINDS.get(kind, {}).get(way)
    client = dict(known.promised_by) if known else {}
    if way == "read-after-write":
        client["wsrep_sync_wait"] = int(bool(own.get("sync_wait")))
    settings = {**effective.get(store, {}), **client, **own, **claims}
    promised = replace(_RULES.get(kind, _api)(settings), settings=settings)
    if not claims:
        return promised
    claimed = ", ".join(f"{key}={_shown(value)}" for key, value in claims.items())
    return replace(promised, says=f"{promised.says} (the scenario claims {claimed})")


def judged(
    workload: str, finding: Finding, promised: Promise, excuses: Excuses | None = None
) -> Check:
    """Hold a finding against a promise: kept, lost though promised, as documented, ..."""
    outcome, standing, more = _outcome(finding, promised, excuses or {})
    return Check(
        workload=workload,
        check=finding.check,
        outcome=outcome,
        promise=standing,
        why=finding.why + more,
        counts=finding.counts,
        evidence=finding.evidence,
        cycle=finding.cycle,
    )


def mildest(workload: str, finding: Finding, promises: Sequence[tuple[Promise, Excuses]]) -> Check:
    """As :func:`judged`, against the least of what was promised at different times of a run."""
    checks = [judged(workload, finding, promised, excuses) for promised, excuses in promises]
    return min(checks, key=lambda check: check.outcome == "INVALID")


def _outcome(
    finding: Finding, promised: Promise, excuses: Excuses
) -> tuple[Outcome, Standing, str]:
    if finding.broken is None:
        return "UNKNOWN", "unknown", ""
    if not finding.broken or finding.aspect == "nothing":
        return "VALID", "kept", ""
    if finding.aspect == "always":
        return "INVALID", "lost though promised", ""
    guarantee, more = _guarantee(finding, finding.aspect, promised, excuses)
    outcome, standing = _BROKEN[guarantee]
    terms = f"; {promised.says} [{promised.source}]" if promised.says else ""
    return outcome, standing, more + terms


_BROKEN: Mapping[Guarantee, tuple[Outcome, Standing]] = {
    "promised": ("INVALID", "lost though promised"),
    "documented": ("VALID", "lost as documented"),
    "none": ("VALID", "not promised"),
    "unknown": ("UNKNOWN", "unknown"),
}


def _guarantee(
    finding: Finding, aspect: str, promised: Promise, excuses: Excuses
) -> tuple[Guarantee, str]:
    """The guarantee that a broken finding falls under, and a remark for its reason."""
    if aspect in LEVELS:
        kept = forbids(promised.isolation, aspect)
        return ("promised" if kept else "documented"), f"; {promised.isolation} is promised"
    guarantee: Guarantee = getattr(promised, aspect)
    if guarantee != "documented":
        unsure = "; whether that was promised is unknown" if guarantee == "unknown" else ""
        return guarantee, unsure
    if aspect in excuses and (unexcused := _unexcused(finding, excuses[aspect])):
        return unexcused
    if aspect == "durable" and promised.window is not None:
        if not finding.times:
            return "unknown", "; when the lost writes were acknowledged is unknown"
        longest = longest_span(finding.times, promised.window)
        if longest > promised.window + CRON:
            more = f"; within {longest:.1f} s, more than the {promised.window:.0f} s documented"
            return "promised", more
    return guarantee, ""


def _unexcused(finding: Finding, excuses: Sequence[Excuse]) -> tuple[Guarantee, str] | None:
    """What it is instead of documented, if nothing excuses it at its time."""
    if not excuses:
        return "promised", "; what is documented needs a fault, and there was none of that kind"
    left = outside(finding.times, excuses)
    if left:
        more = f"; {len(left)} of {len(finding.times)} at a time that nothing excuses, the first at"
        return "promised", f"{more} {min(left):.1f} s"
    # What has no time at all may be excused, and may not.
    if not finding.times and finding.aspect == "durable":
        return "unknown", "; when it was acknowledged is unknown, so whether that is excused"
    return None


def longest_span(times: Sequence[float], apart: float) -> float:
    """The longest time that a group of moments spans; a gap longer than ``apart`` ends a group.

    Losses further apart than that belong to different faults. All in seconds.
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
    # A read from the member that takes all writes sees them, applied elsewhere or not.
    same = settings.get("through_vip") and writers == 1
    return Promise(
        says=f"innodb_flush_log_at_trx_commit={_shown(flush)}, wsrep_sync_wait={_shown(wait)},"
        f" {_shown(writers)} writing member(s), {'with' if locking else 'without'} locking reads",
        source="MariaDB: InnoDB system variables, wsrep_sync_wait; jepsen.io 2026-03-16",
        # 2 and 0 keep the last second in the page cache or in the process only.
        durable=_when(flush, lambda value: int(value) == 1, "documented"),
        fresh="promised" if same else causal,
        linearizable=causal,
        isolated="promised" if locking and writers == 1 else "documented",
        isolation=_level(settings) if writers == 1 else "none",
    )


def _level(settings: Settings) -> Level:
    """The isolation of one writing member's transactions.

    Repeatable read, InnoDB's usual level, reads a snapshot and changes the newest version, which is
    no snapshot isolation, but with ``innodb_snapshot_isolation``. Transactions that lock whatever
    they read (``FOR UPDATE``) are serializable by two-phase locking.
    """
    if settings.get("lock_reads"):
        causal = bool(int(settings.get("wsrep_sync_wait") or 0) & 1)
        return "strict serializable" if causal else "serializable"
    return "snapshot isolation" if settings.get("innodb_snapshot_isolation") else "read committed"


def _rabbitmq(settings: Settings) -> Promise:
    kind, confirms = settings.get("queue_type"), settings.get("confirms", True)
    durable = _when(kind, lambda value: value == "quorum", "documented")
    return Promise(
        says=f"{_shown(kind)} queue, publisher confirms {'on' if confirms else 'off'}",
        source="rabbitmq.com: Quorum Queues, Consumer Acknowledgements and Publisher Confirms",
        durable=durable if confirms else "none",
        once="documented",
    )


def _redis(settings: Settings) -> Promise:
    least = settings.get("min_replicas_to_write")
    lag = settings.get("min_replicas_max_lag", 10)
    # 0 in either of them turns the limit off.
    bounded = least is not None and int(least) > 0 and float(lag) > 0
    return Promise(
        says=f"asynchronous replication, min-replicas-to-write {_shown(least)}"
        + (f" within {_shown(lag)} s" if bounded else ""),
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
        says=f"write concern {_shown(write)}, {'journalled' if journal else 'not journalled'},"
        f" read concern {_shown(read)}",
        source="mongodb.com manual: Write Concern, Read Concern, Rollbacks",
        durable=majority if journal or majority != "promised" else "documented",
        fresh=linear,
        linearizable=linear,
        isolated=linear,
    )


def _memcached(_: Settings) -> Promise:
    return Promise(
        says="a cache: what it holds may be evicted at any time",
        source="memcached.org: About",
        durable="documented",
    )


def _tenant(_: Settings) -> Promise:
    return Promise(
        says="a router that VRRP moves between nodes; a load balancer that nothing moves",
        source="Neutron: Distributed and HA routers (l3_ha); Octavia: topology SINGLE",
    )


def _api(settings: Settings) -> Promise:
    """An OpenStack API: its rows are in Galera, and RPC casts are delivered at most once."""
    rows = _galera(settings)
    return Promise(
        says=f"rows in Galera ({rows.says}), work passed on by RPC casts",
        source="oslo.messaging: a server acknowledges before it does the work; " + rows.source,
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
    """Promised if the value satisfies ``holds``; unknown if it is None."""
    if value is None:
        return "unknown"
    return "promised" if holds(value) else otherwise


def _shown(value: Any) -> str:
    return "unknown" if value is None else str(value)
