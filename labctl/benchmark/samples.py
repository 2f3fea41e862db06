"""What a client saw, and the longest time without an answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_ENDS_WELL = 1.0
"""Seconds: one late answer at the end of a series is no outage."""


@dataclass(frozen=True)
class Sample:
    """One request: when it began and ended, in monotonic seconds, and whether it succeeded."""

    began: float
    ended: float
    ok: bool


@dataclass(frozen=True)
class Gap:
    """The longest time between two consecutive successes, in seconds."""

    seconds: float
    asked: int
    failed: int
    disturbed: float
    """From the first failed request to the last; with successes in between it is not a gap."""


def parse(lines: Iterable[str]) -> list[Sample]:
    """Parse the lines ``began ended ok`` of the asker; a truncated line is left out."""
    rows = (line.split() for line in lines)
    return [Sample(float(r[0]), float(r[1]), r[2] == "1") for r in rows if len(r) == 3]


def gap(samples: Sequence[Sample]) -> Gap | None:
    """The gap in a series; None when there was no answer in its last second.

    Measured between answers, so a series without a fault has a gap of about the interval between
    requests.
    """
    answers = sorted(sample.ended for sample in samples if sample.ok)
    end = max((sample.ended for sample in samples), default=0.0)
    if len(answers) < 2 or end - answers[-1] > _ENDS_WELL:
        return None
    failed = sorted(sample.began for sample in samples if not sample.ok)
    return Gap(
        seconds=max(after - before for before, after in pairwise(answers)),
        asked=len(samples),
        failed=len(failed),
        disturbed=failed[-1] - failed[0] if failed else 0.0,
    )
