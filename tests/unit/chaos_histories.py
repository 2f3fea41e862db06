"""Histories in a few words, for the tests of what judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labctl.chaos.folder.history import Operation
from labctl.chaos.judge.explained import Explained, Explanation
from labctl.chaos.judge.served import served
from labctl.chaos.model.findings import Finding


def op(
    process: int,
    f: str,
    asked: Any,
    began: float,
    ended: float | None,
    end: str = "ok",
    answer: Any = None,
    at: str | None = None,
) -> Operation:
    """An operation; without an end it is ``info``, and an answer is what was asked if not said."""
    known = end if ended is not None else "info"
    said = asked if answer is None and known == "ok" else answer
    return Operation("w", process, f, asked, began, ended, known, said, "", at)  # type: ignore[arg-type]


def adds(ends: Mapping[int, str]) -> list[Operation]:
    """Additions of numbers one after another, by how each ended."""
    return [op(0, "add", n, float(n), n + 0.5, end) for n, end in ends.items()]


def named(findings: Sequence[Finding]) -> dict[str, Finding]:
    """Findings by their check."""
    return {finding.check: finding for finding in findings}


def broken(findings: Sequence[Finding]) -> list[str]:
    """The checks that something was found by."""
    return [finding.check for finding in findings if finding.broken]


SET = {"name": "w", "kind": "galera", "as": "set", "rate": 1}


def explained(*spells: tuple[float, float]) -> Explained:
    """Faults that explain any silence to their heal and a minute after it."""
    return Explained(
        [Explanation(n, begin, end, end + 60, None) for n, (begin, end) in enumerate(spells)]
    )


def errors(history: Sequence[Operation], *faults: tuple[float, float], lags: Any = ()) -> Finding:
    """How a set was served while such faults were in force."""
    return served(history, SET, explained(*faults), lags=lags, faults=faults)[0]
