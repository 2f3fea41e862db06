"""What a client saw, and how long nobody answered it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_ENDS_WELL = 1.0
"""Seconds: one late answer at the end of a series is no outage."""


@dataclass(frozen=True)
class Sample:
    """One question: monotonic seconds when it was asked and when it was over, and its success."""

    began: float
    ended: float
    ok: bool


@dataclass(frozen=True)
class Gap:
    """The longest time between two successes that follow each other, in seconds."""

    seconds: float
    asked: int
    failed: int
    disturbed: float
    """From the first failed question to the last: what answers, but not always, is no gap."""


def parse(lines: Iterable[str]) -> list[Sample]:
    """Samples of the asker's lines ``began ended ok``; a line that was cut short is left out."""
    rows = (line.split() for line in lines)
    return [Sample(float(r[0]), float(r[1]), r[2] == "1") for r in rows if len(r) == 3]


def gap(samples: Sequence[Sample]) -> Gap | None:
    """The gap in a series; None when nobody answered any more in its last second.

    Counted between the moments of the answers, so a series without a fault has a gap of about
    the asking interval.
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
