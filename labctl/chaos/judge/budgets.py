"""The budgets of a recorded run: each failover's bound against what its clients measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from labctl.chaos.judge.bounds import Bound, bounds_after
from labctl.chaos.judge.record import Data, Record
from labctl.chaos.model.findings import Budget, Outcome, Part
from labctl.chaos.model.spans import seconds

_PLAYERS = {"galera": "writer", "redis": "master", "mongodb": "primary"}
_NO_FAILOVER = {("rabbitmq", "classic"), ("tenant", "balanced")}
"""Workloads on something that lives on one node, and is away with it until somebody moves it."""
_TIMEOUT, _RATE = 5.0, 1.0
"""Seconds, and operations a second, of a workload that sets neither."""
_ALTERNATING = {"vip": 2, "tenant": 2}
"""Kind → number of operations that its clients alternate between; each is measured by itself."""
_SCENARIO = "limit of the scenario"


def of_run(run: Record) -> list[Budget]:
    """Bound and measurement for each fault that bit and each thing that a workload measures.

    Empty when the run recorded no timers. The bounds of faults that overlap add up.
    """
    numbers = run.run.get("settings", {}).get("timers", {})
    caps = run.scenario.get("expect", {}).get("budgets", {})
    bitten = [entry for entry in run.timeline if entry.get("bites") is not None]
    found: list[Budget] = []
    if not numbers:
        return found
    played = {entry["index"]: players(run, entry) for entry in bitten}
    for name in dict.fromkeys(workload["kind"] for workload in run.scenario["workloads"]):
        watched = list(watching(run.scenario, name))
        if not watched:
            continue
        cap = seconds(caps[name]) if name in caps else None
        client = client_waits(watched)
        bounds = {
            entry["index"]: bound
            for entry in bitten
            if (bound := bounds_after(entry, numbers, played[entry["index"]], client).get(name))
        }
        acknowledged = [each for one in watched for each in series(run, one["name"])]
        for entry in bitten:
            bound = _together(entry, bitten, bounds, run.end)
            if bound is None and cap is not None:
                # The scenario bounds what no timer does.
                bound = Bound((Part(_SCENARIO, cap),))
            if bound is not None:
                measured = _measured(entry, acknowledged, run.end)
                found.append(compare(name, entry["index"], bound, measured, cap))
    return found


def players(run: Record, entry: Data) -> dict[str, str]:
    """Who held the virtual IP and led each cluster when a fault was asked for."""
    seen = [each for each in run.observations if each["t"] <= entry["asked"]]
    if not seen:
        return {}
    last = seen[-1]
    found = {
        kind: node
        for kind, key in _PLAYERS.items()
        if isinstance(node := last.get("clusters", {}).get(kind, {}).get(key), str)
    }
    holders = last.get("vip", [])
    return {**found, "vip": holders[0]} if len(holders) == 1 else found


def compare(
    name: str, fault: int, bound: Bound, measured: float | None, cap: float | None = None
) -> Budget:
    """What was measured against its bound; ``cap`` is what the scenario allows at most, seconds."""
    parts, dominant, limit = bound.parts, bound.dominant, bound.seconds
    if cap is not None and cap < limit:
        parts, dominant, limit = (Part(_SCENARIO, cap),), _SCENARIO, cap
    outcome, why = _outcome(name, limit, dominant, measured)
    return Budget(name, fault, limit, parts, dominant, measured, outcome, why)


def longest_silence(
    acknowledged: Sequence[float], since: float, until: float, end: float
) -> float | None:
    """The longest time without an acknowledgement that overlaps ``since`` to ``until``; seconds.

    ``acknowledged`` are the moments of acknowledgements, ``end`` is when the client stopped. None
    when nothing was acknowledged before ``since``: the service was not there to be lost.
    """
    times = sorted(acknowledged)
    if not times or times[0] > since:
        return None
    windows = [*pairwise(times), (times[-1], max(end, times[-1]))]
    return max(
        (after - before for before, after in windows if before < until and after > since),
        default=0.0,
    )


def _outcome(name: str, bound: float, dominant: str, measured: float | None) -> tuple[Outcome, str]:
    if measured is None:
        return (
            "UNKNOWN",
            f"{name}: nothing was acknowledged before the fault, so nothing was measured",
        )
    said = f"{name} was away for {measured:.2f} s, {bound:.2f} s are allowed ({dominant})"
    return ("INVALID" if measured > bound else "VALID"), said


def watching(scenario: Data, name: str) -> Iterator[Data]:
    """The workloads that measure how long something is away."""
    for workload in scenario["workloads"]:
        if workload["kind"] == name and (name, workload["as"]) not in _NO_FAILOVER:
            yield workload


def client_waits(workloads: Sequence[Data]) -> float:
    """Seconds that a client may wait for one answer, and then until it asks the same again."""
    return max(
        float(each.get("settings", {}).get("timeout", _TIMEOUT))
        + _ALTERNATING.get(each["kind"], 1) / (each.get("rate") or _RATE)
        for each in workloads
    )


def _together(
    entry: Data, others: Sequence[Data], bounds: Mapping[int, Bound], end: float
) -> Bound | None:
    """A fault's bound, plus those of faults that overlap it; None when it has none."""
    if entry["index"] not in bounds:
        return None
    since, until = entry["bites"], _healed(entry, end)
    parts = list(bounds[entry["index"]].parts)
    for other in others:
        bound = bounds.get(other["index"])
        if bound is None or other is entry:
            continue
        if other["bites"] < until and _healed(other, end) + bound.seconds > since:
            parts.append(Part(f"and fault {other['index']}: {bound.dominant}", bound.seconds))
    return Bound(tuple(parts))


def _measured(entry: Data, series: Sequence[tuple[list[float], float]], end: float) -> float | None:
    """The longest silence of any series; None when none had begun before the fault."""
    until = _healed(entry, end)
    silences = [
        longest_silence(acknowledged, entry["bites"], until, last) for acknowledged, last in series
    ]
    return max((silence for silence in silences if silence is not None), default=None)


def series(run: Record, name: str) -> Iterator[tuple[list[float], float]]:
    """When each sort of operation of a workload was acknowledged, and when its client ended.

    A ping that succeeds says nothing about connections, nor a read about writes. An API is called
    too seldom to tell these apart. What a consumer takes was published before: it does not count.
    """
    mine = [event for event in run.events if event.workload == name]
    end = max((event.t for event in mine), default=run.end)
    kinds = {each["name"]: each["kind"] for each in run.scenario["workloads"]}
    found: dict[str, list[float]] = {}
    for event in mine:
        if event.type == "ok" and event.f != "dequeue":
            found.setdefault(_sort(kinds[name], event.f), []).append(event.t)
    for acknowledged in found.values():
        yield acknowledged, end


def _sort(kind: str, f: str) -> str:
    if kind in _ALTERNATING:
        return f
    return "read" if kind != "api" and f == "read" else "change"


def _healed(entry: Data, end: float) -> float:
    healed = entry.get("healed")
    return end if healed is None else float(healed)
