"""The smallest part of a recorded timeline that is still INVALID, by delta debugging. Pure.

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002:
ddmin, with a bounded number of runs, for each is minutes long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labctl.chaos.model.findings import Outcome
from labctl.chaos.model.spans import seconds, written
from labctl.errors import InputError

Entry = Mapping[str, Any]
"""A fault of timeline.json."""
Timeline = tuple[Entry, ...]
Judge = Callable[[Timeline], Outcome]
"""Runs a timeline and says what came out."""

MOST_RUNS = 30
_TAIL = 30.0
"""Seconds that a run needs beside its faults and its tail."""


@dataclass(frozen=True)
class Shrunk:
    """What is left: the faults, how many runs that took, and whether none can be left out."""

    timeline: Timeline
    runs: int
    minimal: bool


def shrink(timeline: Sequence[Entry], judge: Judge, *, most: int = MOST_RUNS) -> Shrunk:
    """Faults without which the verdict is no longer INVALID, in at most ``most`` runs.

    UNKNOWN is not INVALID: such a part proves nothing and is not gone on with. InputError when
    the whole timeline, run again, is not INVALID: what cannot be repeated cannot be shrunk.
    """
    trials = _Trials(judge, most)
    left = tuple(timeline)
    if not trials.fails(left):
        raise InputError(
            "the whole timeline, run again, is not INVALID: there is nothing to shrink; "
            "repeat it with `labctl chaos replay`, it may depend on chance"
        )
    if trials.fails(()):
        # It needs no fault at all.
        return Shrunk((), trials.runs, minimal=True)
    pieces = 2
    while len(left) >= 2 and not trials.refused:
        smaller = _smaller(left, pieces, trials)
        if smaller is not None:
            left, pieces = smaller
        elif pieces < len(left):
            pieces = min(len(left), 2 * pieces)
        else:
            break
    return Shrunk(left, trials.runs, minimal=not trials.refused)


def smallest(
    scenario: Mapping[str, Any], timeline: Sequence[Entry], began: float = 0.0
) -> dict[str, Any]:
    """The scenario document with these faults in place of its timeline; the shortest limit.

    ``began`` is when the run's workloads had begun, from which a scenario counts; seconds. Who was
    chosen by chance is named as the run chose; parts stay parts.
    """
    steps = [step(entry, began) for entry in timeline]
    end = max((_end(each) for each in steps), default=0.0)
    tail = seconds(scenario.get("tail", "10s"))
    steady = seconds(scenario.get("steady", {}).get("within", "180s"))
    limit = min(seconds(scenario.get("limit", "5m")), end + tail + steady + _TAIL)
    name = str(scenario["name"])
    return {
        **scenario,
        "name": f"{name[:22].rstrip('-')}-shrunk",
        "timeline": steps,
        "limit": written(max(limit, end + tail)),
    }


def step(entry: Entry, began: float = 0.0) -> dict[str, Any]:
    """A recorded fault as a line of a scenario's timeline."""
    spec = {key: value for key, value in entry["spec"].items() if key not in _WHEN}
    target = spec.get("target")
    if target is not None and not isinstance(target, str):
        targets = list(entry["targets"])
        spec["target"] = targets[0] if len(targets) == 1 else targets
    if "shape" in spec:
        spec = {key: value for key, value in spec.items() if key not in ("shape", "of")}
        spec["groups"] = [list(group) for group in entry["resolved"]["groups"]]
    lasts = entry.get("healed")
    begun = float(entry["asked"])
    at = written(max(begun - began, 0.0))
    made: dict[str, Any] = {"at": at, "fault": entry["fault"], **spec}
    if lasts is not None and not entry["traits"]["over"]:
        made["for"] = written(max(float(lasts) - begun, 0.001))
    return made


_WHEN = ("at", "for", "every", "times", "one_of", "fault")


def _end(step: Mapping[str, Any]) -> float:
    return seconds(step["at"]) + seconds(step.get("for", "0s"))


def _smaller(left: Timeline, pieces: int, trials: _Trials) -> tuple[Timeline, int] | None:
    """A part that fails alone, or what fails without a part, and into how many to cut it next."""
    parts = _cut(left, pieces)
    for part in parts:
        if trials.fails(part):
            return part, 2
    if pieces == 2:
        # Each half is the other's complement.
        return None
    for index in range(len(parts)):
        rest = tuple(e for i, part in enumerate(parts) if i != index for e in part)
        if trials.fails(rest):
            return rest, max(pieces - 1, 2)
    return None


def _cut(whole: Timeline, pieces: int) -> list[Timeline]:
    edges = [len(whole) * number // pieces for number in range(pieces + 1)]
    return [whole[a:b] for a, b in pairwise(edges)]


class _Trials:
    """Runs that were made; the same timeline is not run twice."""

    def __init__(self, judge: Judge, most: int) -> None:
        self._judge, self._most = judge, most
        self._known: dict[tuple[int, ...], bool] = {}
        self.runs = 0
        self.refused = False
        """Whether a run was left out because there were enough."""

    @property
    def spent(self) -> bool:
        """Whether no run is left."""
        return self.runs >= self._most

    def fails(self, timeline: Timeline) -> bool:
        """Whether a timeline is INVALID; False, too, when no run is left to ask."""
        key = tuple(entry["index"] for entry in timeline)
        if key not in self._known:
            if self.spent:
                self.refused = True
                return False
            self.runs += 1
            self._known[key] = self._judge(timeline) == "INVALID"
        return self._known[key]
