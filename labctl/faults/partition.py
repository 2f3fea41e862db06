"""Partitions: each node drops, at layer 2 and in its own namespace, frames of those cut from it.

One nftables table for each fault, so that overlapping cuts combine and heal separately, and one
atomic transaction for each node. Frames are dropped on ingress at both sides and never on egress:
a frame dropped on egress is reported to its sender as ENOBUFS, and TCP then retries twice a second
instead of backing off, unlike with a severed cable. The lease is the timeout of the set's elements:
the kernel drops them when it ends, even if labctl and its guardian are gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.faults import kinds, reach
from labctl.faults.kind import Seen
from labctl.faults.model import Fault, Station, names
from labctl.faults.wire import TABLE_PREFIX, counts, heard, removal, ruleset, table
from labctl.host.parallel import timed_together, together


def handlers(rules: Callable[[Fault], Sequence[str]]) -> dict[str, Any]:
    """The handlers of a kind that applies nftables rules to frames: all but ``had_effect``."""

    def make(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
        return {"moments": install(engine, fault, rules(fault), time.time())}

    def undo(engine: Engine, fault: Fault, _: Sequence[Fault]) -> None:
        uninstall(engine, fault)

    def renew(engine: Engine, fault: Fault, _: Sequence[Fault], station: Station) -> None:
        install(engine, fault, rules(fault), time.time(), [station.node])

    return {
        "make": make,
        "undo": undo,
        "gone": gone,
        "renew": renew,
        "is_present": is_there,
        "sweep": sweep,
    }


def install(
    engine: Engine,
    fault: Fault,
    rules: Sequence[str],
    now: float,
    nodes: Collection[str] | None = None,
) -> dict[str, float]:
    """Install its rules on all its running nodes (or on ``nodes``) for the rest of its lease.

    Returns node → seconds until its transaction was done; ``now`` is in seconds since the epoch.
    """
    left = fault.due - now
    if left <= 0:
        return {}
    deaf, still_heard = fault.deaf(), heard(fault)
    chosen = [
        station
        for station in reach.running(engine, fault)
        if station.node in {*deaf, *still_heard} and (nodes is None or station.node in nodes)
    ]

    def apply(station: Station) -> None:
        text = ruleset(
            table(fault),
            [fault.station(node).mac for node in deaf.get(station.node, ())],
            [fault.station(node).mac for node in still_heard.get(station.node, ())],
            left,
            rules,
        )
        run_nft(engine, station.holder, text)

    return timed_together(apply, chosen, lambda station: station.node)


def uninstall(engine: Engine, fault: Fault) -> None:
    """Remove a fault's table from every running node; no-op if absent."""
    text = removal(table(fault))
    together(lambda s: run_nft(engine, s.holder, text), reach.running(engine, fault))


def parted(fault: Fault) -> frozenset[frozenset[str]]:
    """Pairs of nodes between which a network fault acts, at least one way."""
    deaf = fault.deaf().items()
    return frozenset(frozenset((node, speaker)) for node, those in deaf for speaker in those)


def had_effect(engine: Engine, fault: Fault, others: Sequence[Fault]) -> dict[str, object]:
    """Prove a cut: no answers across it, frames dropped in each direction, answers elsewhere.

    ``others`` are the other faults in force. LabError with a sentence when this does not hold.
    """
    stations = reach.running(engine, fault)
    mine, all_severed = kinds.severed([fault]), kinds.severed([fault, *others])
    if not any(pair <= {station.node for station in stations} for pair in mine):
        raise LabError(f"{fault.title} had no effect: no two of the nodes it parts are running")
    answered = reach.ping(engine, stations, all_severed)
    for asker in stations:
        for other in stations:
            pair = frozenset((asker.node, other.node))
            got = other.node in answered.get(asker.node, ())
            if got and pair in mine:
                raise LabError(f"{fault.title} had no effect: {other.node} answers {asker.node}")
            if not got and len(pair) == 2 and pair not in all_severed:
                raise LabError(
                    f"{fault.title} cuts too much: {other.node} does not answer {asker.node}"
                )
    dropped = _dropped(engine, fault, stations)
    return {"answered": {node: sorted(those) for node, those in answered.items()}, **dropped}


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> dict[str, object]:
    """Prove that nothing is left of a cut: no table, and its nodes answer each other."""
    stations = reach.running(engine, fault)
    for station, tables in zip(
        stations, together(lambda s: tables_of(engine, s.holder), stations), strict=True
    ):
        if table(fault) in tables:
            raise LabError(f"{station.node} still has the nftables table {table(fault)}")
    still = kinds.severed(others)
    answered = reach.ping(engine, stations, still)
    for pair in parted(fault) - still:
        for asker, other in (sorted(pair), sorted(pair, reverse=True)):
            if asker in answered and other in answered and other not in answered[asker]:
                raise LabError(f"{fault.title} is healed, but {other} does not answer {asker}")
    return {"answered": {node: sorted(those) for node, those in answered.items()}}


def is_there(engine: Engine, station: Station, fault: Fault) -> bool:
    """Whether a running node still has a fault's table: a new namespace has none."""
    return table(fault) in tables_of(engine, station.holder)


def sweep(engine: Engine, stations: Sequence[Station], faults: Sequence[Fault]) -> list[str]:
    """Remove from running nodes the tables that none of these faults owns; return their names."""
    owned = {table(fault) for fault in faults}

    def clear(station: Station) -> list[str]:
        found = [name for name in tables_of(engine, station.holder) if name not in owned]
        if found:
            text = "".join(map(removal, found))
            run_nft(engine, station.holder, text)
        return found

    return sorted({name for found in together(clear, stations) for name in found})


def tables_of(engine: Engine, holder: str) -> list[str]:
    """The names of the faults' tables in a node's namespace."""
    result = engine.exec(holder, ["nft", "-j", "list", "tables", "netdev"], timeout=10)
    if result.code != 0:
        raise LabError(f"nft in {holder} cannot list its tables: {result.stderr.strip()}")
    listed = (
        item.get("table", {}).get("name", "") for item in json.loads(result.stdout)["nftables"]
    )
    return [name for name in listed if name.startswith(TABLE_PREFIX)]


def _dropped(engine: Engine, fault: Fault, stations: Sequence[Station]) -> dict[str, object]:
    """Frames that each node dropped and (one-way) still heard; LabError where there are none."""
    deaf, still_heard = fault.deaf(), heard(fault)
    present = {station.node for station in stations}
    concerned = [s for s in stations if s.node in {*deaf, *still_heard}]
    counted = together(lambda s: counts(listing(engine, s.holder, fault)), concerned)
    frames_of = {station.node: count for station, count in zip(concerned, counted, strict=True)}
    rows: dict[str, dict[str, dict[str, int]]] = {"dropped": {}, "heard": {}}
    for label, kind, pairs in (("dropped", "deaf", deaf), ("heard", "heard", still_heard)):
        for listener, speakers in pairs.items():
            for speaker in sorted(present & set(speakers)) if listener in present else ():
                frames = frames_of[listener].get(kind, {}).get(fault.station(speaker).mac, 0)
                if frames == 0:
                    raise LabError(
                        f"{fault.title} is not proved: {listener} {label} no frame of {speaker}"
                    )
                rows[label].setdefault(listener, {})[speaker] = frames
    return {label: found for label, found in rows.items() if found}


def listing(engine: Engine, holder: str, fault: Fault) -> str:
    """A fault's table on a node, as nft's JSON; LabError when it is not there."""
    command = ["nft", "-j", "list", "table", "netdev", table(fault)]
    result = engine.exec(holder, command, timeout=10)
    if result.code != 0:
        raise LabError(f"the {fault.kind} had no effect: {holder} has no table {table(fault)}")
    return result.stdout


def run_nft(engine: Engine, holder: str, text: str) -> None:
    """Run a transaction in a node's namespace; LabError when it is refused."""
    result = engine.exec(holder, ["nft", "-f", "-"], stdin=text.encode(), timeout=10)
    if result.code != 0:
        raise LabError(
            f"nft in {holder} refused the fault ({names(result.stderr.strip().splitlines()[:1])}); "
            "the kernel of the engine's machine needs nf_tables with netdev ingress"
        )
