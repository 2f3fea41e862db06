"""labctl's observations, about one a second, as spells in which something held. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labctl.chaos.checks.windows import Spell

Observation = Mapping[str, Any]
"""A line of observations.jsonl."""


def spells(
    observations: Sequence[Observation], holds: Callable[[Observation], bool], least: int = 1
) -> list[Spell]:
    """The spells in which something holds: from the first such observation to the next other one.

    So a spell may be longer than the truth by up to an interval between observations. One that
    holds to the last observation ends with it. Spells of fewer than ``least`` observations are left
    out.
    """
    found: list[Spell] = []
    run: list[float] = []
    for observation in observations:
        if holds(observation):
            run.append(observation["t"])
            continue
        if len(run) >= least:
            found.append((run[0], observation["t"]))
        run = []
    if len(run) >= least:
        found.append((run[0], run[-1]))
    return found


def outside(spell: Spell, faults: Sequence[Spell]) -> float:
    """Seconds of a spell after the last fault that overlaps it; all of it if there is none."""
    begin, end = spell
    for first, last in sorted(faults):
        if first <= end and last > begin:
            begin = max(begin, min(last, end))
    return end - begin


def cluster(observation: Observation, kind: str) -> Mapping[str, Any]:
    """What was observed of a kind of cluster; empty when it was not asked."""
    found = observation.get("clusters", {}).get(kind)
    return found if isinstance(found, Mapping) else {}
