"""What was killed stays dead until it is healed: nothing in a lab restarts by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labctl.chaos.checks.finding import counted, kept
from labctl.chaos.checks.observed import Observation, spells
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("stays dead",)

_HEALING = 15.0
"""Seconds that healing may take, if its start was not recorded."""


def check(
    observations: Sequence[Observation], timeline: Sequence[Mapping[str, Any]]
) -> Finding | None:
    """Find instances that were not ready after a fault, and ready again before it was healed.

    None if no instance was seen dead. Faults on the same node at the same time are left out:
    healing one of them starts the other's targets.
    """
    looked = [o for o in observations if "unready" in o]
    back: list[Evidence] = []
    dead: set[str] = set()
    for fault in timeline:
        if fault.get("bites") is None or not fault["traits"]["stays_dead"]:
            continue
        if any(_meet(fault, other) for other in timeline if other is not fault):
            continue
        seen = [o for o in looked if fault["bites"] < o["t"] < _begins_to_heal(fault, looked)]
        for name in sorted(_missing(seen, fault.get("targets", ()))):
            dead.add(name)
            first = next(o["t"] for o in seen if name in o["unready"])
            later = [o for o in seen if o["t"] > first]
            # A single observation may fall into the moment of a change.
            for begin, _ in spells(later, lambda o, name=name: name not in o["unready"], least=2):  # type: ignore[misc]
                back.append(Evidence(f"{name} was ready again", begin))
    if not dead:
        return None
    counts = {"dead": len(dead), "back": len(back)}
    if not back:
        return kept("stays dead", f"{len(dead)} instances stayed dead until healed", **counts)
    names = {piece.said.partition(" ")[0] for piece in back}
    why = counted(names, "came back before they were healed")
    return Finding("stays dead", True, why, "always", counts, back)


def _missing(seen: Sequence[Observation], targets: Sequence[str]) -> set[str]:
    """Instances of the targets that were not ready in some observation."""
    unready = {name for observation in seen for name in observation["unready"]}
    return {n for n in unready if any(n == t or n.startswith(f"{t}/") for t in targets)}


def _begins_to_heal(fault: Mapping[str, Any], looked: Sequence[Observation]) -> float:
    """When healing begins; times in seconds since the run began."""
    healed = fault.get("healed")
    latest = float(looked[-1]["t"] if healed is None else healed)
    if fault.get("lasts") is None:
        return latest - (_HEALING if healed is not None else 0.0)
    return min(latest, float(fault["asked"] + fault["lasts"]))


def _meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two faults have a node in common at the same time."""
    if other.get("bites") is None or not set(_nodes(one)) & set(_nodes(other)):
        return False
    first, last = one["bites"], one.get("healed")
    begins, ends = other["bites"], other.get("healed")
    return (last is None or begins < last) and (ends is None or first < ends)


def _nodes(fault: Mapping[str, Any]) -> Iterator[str]:
    for target in fault.get("targets", ()):
        yield target.partition("/")[0]
