"""The smallest part of a recorded timeline that is still INVALID, by delta debugging. Pure.

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2), 2002:
ddmin, with a bounded number of runs, because each takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from labctl.chaos.document.changes import VERBS
from labctl.chaos.model.findings import Outcome
from labctl.chaos.model.spans import latest, seconds, written
from labctl.errors import InputError

Entry = Mapping[str, Any]
"""A fault of timeline.json."""
Timeline = tuple[Entry, ...]
Judge = Callable[[Timeline], Outcome]
"""Runs a timeline; returns the outcome."""

MOST_RUNS = 30
_TAIL = 30.0
"""Seconds that a run needs besides its faults and its tail."""


@dataclass(frozen=True)
class Shrunk:
    """The faults that are left, the number of runs, and whether none of them can be left out."""

    timeline: Timeline
    runs: int
    minimal: bool


def shrink(timeline: Sequence[Entry], judge: Judge, *, most: int = MOST_RUNS) -> Shrunk:
    """Find the faults without which the verdict is no longer INVALID, in at most ``most`` runs.

    A part whose outcome is UNKNOWN proves nothing and is not pursued. InputError when the whole
    timeline, run again, is not INVALID: what cannot be reproduced cannot be shrunk.
    """
    trials = _Trials(judge, most)
    left = tuple(timeline)
    if not trials.fails(left):
        raise InputError(
            "the whole timeline, run again, is not INVALID: there is nothing to shrink; repeat it "
            "with `labctl chaos replay`, as the outcome may depend on chance"
        )
    if trials.fails(()):
        # It fails without any fault.
        return Shrunk((), trials.runs, minimal=True)
    pieces = 2
    while len(left) >= 2 and not trials.exhausted:
        smaller = _smaller(left, pieces, trials)
        if smaller is not None:
            left, pieces = smaller
        elif pieces < len(left):
            pieces = min(len(left), 2 * pieces)
        else:
            break
    return Shrunk(left, trials.runs, minimal=not trials.exhausted)


def smallest(
    scenario: Mapping[str, Any], timeline: Sequence[Entry], began: float = 0.0
) -> dict[str, Any]:
    """The scenario document with these faults as its timeline, and the shortest limit for them.

    ``began`` is when the run's workloads had started, from which a scenario counts; seconds. What
    the seed chose is written as the run chose it; parts stay parts.
    """
    lines = [line for entry in timeline for line in steps(entry, began)]
    # What changes the lab is no fault, and stays.
    lines += [dict(step) for step in scenario.get("timeline", ()) if set(step) & set(VERBS)]
    end = max((_end(each) for each in lines), default=0.0)
    tail = seconds(scenario.get("tail", "10s"))
    steady = seconds(scenario.get("steady", {}).get("within", "180s"))
    limit = min(seconds(scenario.get("limit", "5m")), end + tail + steady + _TAIL)
    name = str(scenario["name"])
    return {
        **scenario,
        "name": f"{name[:22].rstrip('-')}-shrunk",
        "timeline": lines,
        "limit": written(max(limit, end + tail)),
    }


def steps(entry: Entry, began: float = 0.0) -> list[dict[str, Any]]:
    """A recorded fault as lines of a scenario's timeline: one, but for a ring (see ``_apart``)."""
    spec = {key: value for key, value in entry["spec"].items() if key not in _WHEN}
    target = spec.get("target")
    if target is not None and not isinstance(target, str):
        targets = list(entry["targets"])
        spec["target"] = targets[0] if len(targets) == 1 else targets
    asked, lasts = float(entry["asked"]), _lasts(entry)
    base: dict[str, Any] = {"at": written(max(asked - began, 0.0)), "fault": entry["fault"]}
    end = {} if lasts is None else {"for": written(max(lasts, 0.001))}
    chosen = _chosen_groups(entry)
    if not chosen:
        return [{**base, **spec, **end}]
    kept = {key: value for key, value in spec.items() if key not in _WHOSE}
    return [{**base, **kept, "groups": groups, **end} for groups in chosen]


_WHEN = ("at", "for", "every", "times", "one_of", "fault")
_WHOSE = ("shape", "of", "groups", "isolate")
"""Keys of a cut that say who is parted from whom."""


def _lasts(entry: Entry) -> float | None:
    """Seconds, as the scenario said; as it was healed where that was the end of the run."""
    planned, healed = entry.get("lasts"), entry.get("healed")
    if entry["traits"]["over"]:
        return None
    if planned is not None:
        return float(planned)
    return None if healed is None else float(healed) - float(entry["asked"])


def _chosen_groups(entry: Entry) -> list[list[list[str]]]:
    """The groups of each cut that parts the nodes as the run did; none if nothing was chosen."""
    spec, resolved = entry["spec"], entry["resolved"]
    named = [spec.get("isolate", []), *spec.get("groups", [])]
    by_chance = "shape" in spec or any(_is_choice(target) for target in named)
    if not by_chance or not resolved:
        return []
    if resolved["groups"]:
        return [[list(group) for group in resolved["groups"]]]
    return _apart(resolved["pairs"])


def _is_choice(target: Any) -> bool:
    each = target if isinstance(target, list) else [target]
    return any(isinstance(one, dict) for one in each)


def _apart(pairs: Sequence[Sequence[str]]) -> list[list[list[str]]]:
    """A ring as cuts of groups: each node is cut from those it does not hear, every pair once."""
    others: dict[str, list[str]] = {}
    for one, other in pairs:
        others.setdefault(one, []).append(other)
    return [[[one], apart] for one, apart in others.items()]


def _end(line: Mapping[str, Any]) -> float:
    return latest(line["at"]) + seconds(line.get("for", "0s"))


def _smaller(left: Timeline, pieces: int, trials: _Trials) -> tuple[Timeline, int] | None:
    """A part that fails alone, or the rest without a part; and how many pieces to try next."""
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
    """The runs so far; no timeline is run twice."""

    def __init__(self, judge: Judge, most: int) -> None:
        self._judge, self._most = judge, most
        self._known: dict[tuple[int, ...], bool] = {}
        self.runs = 0
        self.exhausted = False
        """Whether a run was needed when none was left."""

    @property
    def spent(self) -> bool:
        """Whether all runs have been used up."""
        return self.runs >= self._most

    def fails(self, timeline: Timeline) -> bool:
        """Whether a timeline is INVALID; False, too, when no run is left to find out."""
        key = tuple(entry["index"] for entry in timeline)
        if key not in self._known:
            if self.spent:
                self.exhausted = True
                return False
            self.runs += 1
            self._known[key] = self._judge(timeline) == "INVALID"
        return self._known[key]
