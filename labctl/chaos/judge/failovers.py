"""The budgets of a recorded run: every failover's bound beside what its clients saw. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from labctl.chaos.judge.budgets import Bound, away, expected, judged
from labctl.chaos.model.findings import Budget, Part
from labctl.chaos.model.spans import seconds

Data = Mapping[str, Any]

_PLAYERS = {"galera": "writer", "redis": "master", "mongodb": "primary"}
_NO_FAILOVER = {("rabbitmq", "classic"), ("tenant", "balanced")}
"""What lives on one node is away as long as that is, or until somebody moves it."""
_TIMEOUT, _RATE = 5.0, 1.0
"""Seconds and operations a second, where a workload says none."""
_TURNS = {"vip": 2, "tenant": 2}
"""Kind → how many questions its clients ask in turn; each of them has its own silence."""
_READS = ("read",)


class Event(Protocol):
    """A line of a history."""

    @property
    def t(self) -> float:
        """Seconds since the run began."""

    @property
    def workload(self) -> str:
        """Which workload."""

    @property
    def type(self) -> str:
        """``ok``: acknowledged."""

    @property
    def f(self) -> str:
        """Which operation."""


class Run(Protocol):
    """A run as it was recorded (see ``record.Record``)."""

    @property
    def run(self) -> Data:
        """run.json, whose ``settings`` hold the ``timers``."""

    @property
    def scenario(self) -> Data:
        """scenario.yml."""

    @property
    def timeline(self) -> Sequence[Data]:
        """timeline.json."""

    @property
    def events(self) -> Sequence[Event]:
        """The history."""

    @property
    def observations(self) -> Sequence[Data]:
        """observations.jsonl."""

    @property
    def end(self) -> float:
        """The last moment of which anything is known."""


def budgets(run: Run) -> list[Budget]:
    """For each fault that bit, and each thing that a workload measures: bound and measured.

    Empty when the run kept no timers. Where faults overlap, bounds add up.
    """
    numbers = run.run.get("settings", {}).get("timers", {})
    caps = run.scenario.get("expect", {}).get("budgets", {})
    bitten = [entry for entry in run.timeline if entry.get("bites") is not None]
    found: list[Budget] = []
    if not numbers:
        return found
    played = {entry["index"]: players(run, entry) for entry in bitten}
    for name in dict.fromkeys(workload["kind"] for workload in run.scenario["workloads"]):
        watching = list(_watching(run.scenario, name))
        if not watching:
            continue
        cap = seconds(caps[name]) if name in caps else None
        client = _client(watching)
        bounds = {
            entry["index"]: bound
            for entry in bitten
            if (bound := expected(entry, numbers, played[entry["index"]], client).get(name))
        }
        questions = [each for one in watching for each in _questions(run, one["name"])]
        for entry in bitten:
            bound = _together(entry, bitten, bounds, run.end)
            if bound is None and cap is not None:
                # No timer says how long; the scenario does.
                bound = Bound((Part("said by the scenario", cap),))
            if bound is not None:
                measured = _measured(entry, questions, run.end)
                found.append(judged(name, entry["index"], bound, measured, cap))
    return found


def players(run: Run, entry: Data) -> dict[str, str]:
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


def _watching(scenario: Data, name: str) -> Iterator[Data]:
    for workload in scenario["workloads"]:
        if workload["kind"] == name and (name, workload["as"]) not in _NO_FAILOVER:
            yield workload


def _client(workloads: Sequence[Data]) -> float:
    """How long a client may be busy with one answer, and how long until it asks again."""
    return max(
        float(each.get("settings", {}).get("timeout", _TIMEOUT))
        + _TURNS.get(each["kind"], 1) / (each.get("rate") or _RATE)
        for each in workloads
    )


def _together(
    entry: Data, others: Sequence[Data], bounds: Mapping[int, Bound], end: float
) -> Bound | None:
    """A fault's bound, and those of others whose time it shares; None when it has none."""
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


def _measured(
    entry: Data, questions: Sequence[tuple[list[float], float]], end: float
) -> float | None:
    """The longest silence of any question; None when none was acknowledged before the fault."""
    until = _healed(entry, end)
    silences = [away(acknowledged, entry["bites"], until, last) for acknowledged, last in questions]
    return max((silence for silence in silences if silence is not None), default=None)


def _questions(run: Run, name: str) -> Iterator[tuple[list[float], float]]:
    """When each kind of question of a workload was acknowledged, and when its client ended.

    A ping does not stand for a connection, nor a read for a write. An API's things are asked for
    too seldom to tell these apart. What a consumer takes was published before: it answers for
    nobody now.
    """
    mine = [event for event in run.events if event.workload == name]
    end = max((event.t for event in mine), default=run.end)
    kinds = {each["name"]: each["kind"] for each in run.scenario["workloads"]}
    found: dict[str, list[float]] = {}
    for event in mine:
        if event.type == "ok" and event.f != "dequeue":
            found.setdefault(_question(kinds[name], event.f), []).append(event.t)
    for acknowledged in found.values():
        yield acknowledged, end


def _question(kind: str, f: str) -> str:
    if kind in _TURNS:
        return f
    return "read" if kind != "api" and f in _READS else "change"


def _healed(entry: Data, end: float) -> float:
    healed = entry.get("healed")
    return end if healed is None else float(healed)
