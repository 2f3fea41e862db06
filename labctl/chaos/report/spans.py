"""Observations, about one a second, as spans of time in which something stayed the same."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, Literal, TypeVar

from labctl.chaos.report.record import Observation

State_co = TypeVar("State_co", bound=Hashable, covariant=True)
Part = Literal["part", "odd", "away"]
"""A member takes part in its cluster, answers something else, or does not answer."""

_LEADS = ("writer", "leader", "master", "primary")
_TAKES_PART = re.compile(r"Primary, Synced|primary|secondary|running|names ", re.IGNORECASE)
_ODD = re.compile(r"non-Primary|Primary, |Donor|Join|no member|HTTP ", re.IGNORECASE)


@dataclass(frozen=True)
class Span(Generic[State_co]):
    """A state that lasted from ``start`` to ``end``, in seconds since the run began."""

    start: float
    end: float
    what: State_co


def spans(
    seen: Sequence[Observation], what: Callable[[Observation], State_co], end: float
) -> list[Span[State_co]]:
    """Join equal observations into spans.

    An observation holds until the next, but at most for four times the usual interval: what
    happened in a longer pause is unknown.
    """
    steps = [b.t - a.t for a, b in itertools.pairwise(seen)]
    most = max(4 * median(steps), 3.0) if steps else 3.0
    nexts = [o.t for o in seen[1:]] + [end]
    found: list[Span[State_co]] = []
    for observation, until in zip(seen, nexts, strict=True):
        stop, now = min(until, observation.t + most), what(observation)
        if found and found[-1].what == now and found[-1].end == observation.t:
            found[-1] = Span(found[-1].start, stop, now)
        elif stop > observation.t:
            found.append(Span(observation.t, stop, now))
    return found


def holders(seen: Sequence[Observation]) -> list[str]:
    """Nodes that held the virtual IP at any time."""
    return sorted({name for o in seen for name in o.vip})


def clusters(seen: Sequence[Observation]) -> dict[str, list[str]]:
    """Every cluster observed, and all members that it had at any time."""
    found: dict[str, set[str]] = {}
    for observation in seen:
        for name, state in observation.clusters.items():
            found.setdefault(name, set()).update(_members(state))
    return {name: sorted(members) for name, members in sorted(found.items())}


def leader(state: Mapping[str, Any]) -> str:
    """The leader, whatever its role is called; empty if there is none."""
    return next((str(state[key]) for key in _LEADS if state.get(key)), "")


def member(state: Mapping[str, Any], name: str) -> tuple[Part, bool, str]:
    """Whether a member takes part in its cluster, whether it leads it, and its own report."""
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
