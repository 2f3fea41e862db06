"""What_co was observed about once a second, as spans of time in which it stayed the same."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, Literal, TypeVar

from labctl.chaos.report.record import Observation

What_co = TypeVar("What_co", bound=Hashable, covariant=True)
Part = Literal["part", "odd", "away"]
"""A member takes part, answers something else, or does not answer."""

_LEADS = ("writer", "leader", "master", "primary")
_TAKES_PART = re.compile(r"Primary, Synced|primary|secondary|running|names ", re.IGNORECASE)
_ODD = re.compile(r"non-Primary|Primary, |Donor|Join|no member|HTTP ", re.IGNORECASE)


@dataclass(frozen=True)
class Span(Generic[What_co]):
    """Something that was so from ``start`` to ``end``, in seconds since the run began."""

    start: float
    end: float
    what: What_co


def spans(
    seen: Sequence[Observation], what: Callable[[Observation], What_co], end: float
) -> list[Span[What_co]]:
    """Equal observations in one span.

    Each holds until the next, but for no longer than labctl usually looks away: nobody knows
    what was so in a longer pause.
    """
    steps = [b.t - a.t for a, b in itertools.pairwise(seen)]
    most = max(4 * median(steps), 3.0) if steps else 3.0
    nexts = [o.t for o in seen[1:]] + [end]
    found: list[Span[What_co]] = []
    for observation, until in zip(seen, nexts, strict=True):
        stop, now = min(until, observation.t + most), what(observation)
        if found and found[-1].what == now and found[-1].end == observation.t:
            found[-1] = Span(found[-1].start, stop, now)
        elif stop > observation.t:
            found.append(Span(observation.t, stop, now))
    return found


def holders(seen: Sequence[Observation]) -> list[str]:
    """Nodes that ever had the virtual IP."""
    return sorted({name for o in seen for name in o.vip})


def clusters(seen: Sequence[Observation]) -> dict[str, list[str]]:
    """Every cluster that was seen, and the members that it ever had."""
    found: dict[str, set[str]] = {}
    for observation in seen:
        for name, state in observation.clusters.items():
            found.setdefault(name, set()).update(_members(state))
    return {name: sorted(members) for name, members in sorted(found.items())}


def leader(state: Mapping[str, Any]) -> str:
    """Who leads, by the part it plays; empty for nobody."""
    return next((str(state[key]) for key in _LEADS if state.get(key)), "")


def member(state: Mapping[str, Any], name: str) -> tuple[Part, bool, str]:
    """Whether a member takes part in its cluster, whether it leads it, and what it says itself."""
    said = _members(state).get(name, "")
    leads = leader(state) == name
    if _ODD.match(said) and not said.startswith("Primary, Synced"):
        return "odd", leads, said
    if not _TAKES_PART.match(said):
        return "away", leads, said or "no answer"
    expected = state.get("expected")
    if said.startswith("running, sees ") and isinstance(expected, int):
        view = said.removeprefix("running, sees ").split(", ")
        if 2 * len(view) <= expected:
            return "odd", leads, said
    return "part", leads, said


def _members(state: Mapping[str, Any]) -> dict[str, str]:
    members = state.get("members")
    if isinstance(members, dict):
        return {str(name): str(said) for name, said in members.items()}
    return {str(name): "running" for name in members} if isinstance(members, list) else {}
