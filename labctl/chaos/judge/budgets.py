"""The budgets of a recorded run: each failover's bound against what its clients measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labctl.chaos.checks.windows import Spell, overlap
from labctl.chaos.judge.bounds import Bound
from labctl.chaos.judge.explained import SCENARIO, Explainer, Explanation, silences, sort_of
from labctl.chaos.judge.record import Data, Record
from labctl.chaos.model.findings import Budget, Outcome, Part
from labctl.chaos.model.spans import seconds


def of_run(run: Record) -> list[Budget]:
    """Bound and measurement for each fault that bit and each thing that a workload measures.

    Empty when the run recorded no timers. For the silence that left least, the bounds of all
    faults that it overlaps add up.
    """
    explainer = Explainer(run)
    caps = (run.scenario.get("expect") or {}).get("budgets") or {}
    found: dict[tuple[str, int], Budget] = {}
    if not explainer.numbers:
        return []
    bitten = {entry["index"] for entry in run.timeline if entry.get("bites") is not None}
    for workload in run.scenario.get("workloads", ()):
        kind = str(workload["kind"])
        cap = seconds(caps[kind]) if kind in caps else None
        explained = explainer.of(workload).explanations
        heard = list(series(run, workload))
        for mine in explained:
            if mine.bound is None or mine.fault not in bitten:
                continue
            made = [
                compare(kind, mine.fault, bound, measured, cap)
                for measured, bound in _measured(mine, explained, heard)
            ]
            key = (kind, mine.fault)
            found[key] = max([*made, *([found[key]] if key in found else [])], key=_used)
    return sorted(found.values(), key=lambda budget: budget.fault)


def _used(budget: Budget) -> float:
    """By how much a measurement is above its bound; what was not measured comes last."""
    return float("-inf") if budget.measured is None else budget.measured - budget.bound


def compare(
    name: str, fault: int, bound: Bound, measured: float | None, cap: float | None = None
) -> Budget:
    """What was measured against its bound; ``cap`` is what the scenario allows at most, seconds."""
    parts, dominant, limit = bound.parts, bound.dominant, bound.seconds
    if cap is not None and cap < limit:
        parts, dominant, limit = (Part(SCENARIO, cap),), SCENARIO, cap
    outcome, why = _outcome(name, limit, dominant, measured)
    return Budget(name, fault, limit, parts, dominant, measured, outcome, why)


def _outcome(name: str, bound: float, dominant: str, measured: float | None) -> tuple[Outcome, str]:
    if measured is None:
        return (
            "UNKNOWN",
            f"{name}: nothing was acknowledged before the fault, so nothing was measured",
        )
    said = f"{name} was away for {measured:.2f} s, {bound:.2f} s are allowed ({dominant})"
    return ("INVALID" if measured > bound else "VALID"), said


def _measured(
    mine: Explanation,
    others: Sequence[Explanation],
    heard: Sequence[tuple[list[float], float]],
) -> Iterator[tuple[float | None, Bound]]:
    """Each silence that meets a fault, with its bound; None if nothing was acknowledged before."""
    assert mine.bound is not None  # noqa: S101 - none is asked for
    begun = False
    for times, end in heard:
        if min(times) > mine.began:
            continue
        begun = True
        for spell in silences(times, end):
            if mine.meets(spell):
                yield spell[1] - spell[0], _together(mine, others, spell)
    if not begun:
        yield None, mine.bound


def _together(mine: Explanation, others: Sequence[Explanation], spell: Spell) -> Bound:
    """The bounds of all faults that a silence overlaps, and the time in it that has no bound."""
    assert mine.bound is not None  # noqa: S101 - none is asked for
    parts = list(mine.bound.parts)
    for other in others:
        if other is mine or not other.meets(spell):
            continue
        if other.bound is not None:
            said = f"and fault {other.fault}: {other.bound.dominant}"
            parts.append(Part(said, other.bound.seconds))
        else:
            said = f"and fault {other.fault}: until it is healed"
            parts.append(Part(said, overlap(spell, [other.spell])))
    return Bound(tuple(parts))


def series(run: Record, workload: Data) -> Iterator[tuple[list[float], float]]:
    """When each sort of operation of a workload was acknowledged, and when its client ended.

    What a consumer takes was published before: it does not count.
    """
    kind, name = str(workload["kind"]), str(workload["name"])
    mine = [event for event in run.events if event.workload == name]
    end = max((event.t for event in mine), default=run.end)
    found: dict[str, list[float]] = {}
    for event in mine:
        if event.type == "ok" and event.f != "dequeue":
            found.setdefault(sort_of(kind, event.f), []).append(event.t)
    for acknowledged in found.values():
        yield acknowledged, end
