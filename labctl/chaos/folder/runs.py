"""The recorded runs: scenario, start, duration and outcome of each, read from their folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any, TypedDict, TypeVar, get_args

from labctl.chaos.folder import layout as files
from labctl.chaos.model.findings import Outcome
from labctl.errors import InputError
from labctl.state import paths
from labctl.state.store import RUNS

Kind = TypeVar("Kind", dict[str, Any], list[Any])


class Row(TypedDict):
    """A run. ``seconds`` is None if it was killed, ``outcome`` if it has not been judged."""

    run: str
    lab: str
    scenario: str
    seed: int | None
    began: str
    seconds: float | None
    faults: int
    changes: int
    outcome: Outcome | None
    expected: bool | None
    """Whether the outcome is the one that its scenario expects."""
    why: str
    folder: str


class Length(TypedDict):
    """How long a scenario takes: the median of its complete runs in seconds, and their number."""

    seconds: float
    runs: int


def rows(lab: str | None = None) -> list[Row]:
    """The runs of a lab, or of all labs including removed ones, oldest first.

    A damaged run is listed too; its ``why`` says what is damaged.
    """
    found = [path.parent for path in (paths.home() / "labs").glob(f"*/{RUNS}/*/{files.RUN}")]
    return [
        _row(folder)
        for folder in sorted(found, key=lambda folder: folder.name)
        if lab in (None, folder.parents[1].name)
    ]


def lengths(found: Iterable[Row]) -> dict[str, Length]:
    """Scenario → how long its runs took; those that were cut short do not count."""
    took: dict[str, list[float]] = {}
    for row in found:
        # A run that never started because the lab was not steady has neither.
        if row["seconds"] is not None and (row["faults"] or row["changes"]):
            took.setdefault(row["scenario"], []).append(row["seconds"])
    return {
        name: {"seconds": round(median(each), 1), "runs": len(each)}
        for name, each in sorted(took.items())
    }


def _row(folder: Path) -> Row:
    run, damage = _document(folder, files.RUN, {})
    timeline, _ = _document(folder, files.TIMELINE, [])
    changes, _ = _document(folder, files.CHANGES, [])
    verdict, _ = _document(folder, files.VERDICT, {})
    outcome, seconds = verdict.get("outcome"), run.get("seconds")
    expected = verdict.get("expected")
    judged = "cut short" if not run.get("ended") else "not judged yet"
    return {
        "run": folder.name,
        "lab": folder.parents[1].name,
        "scenario": str(run.get("scenario") or "-"),
        "seed": run.get("seed"),
        "began": str(run.get("began") or ""),
        "seconds": seconds if isinstance(seconds, float) else None,
        "faults": len(timeline),
        "changes": len(changes),
        "outcome": outcome if outcome in get_args(Outcome) else None,
        "expected": expected.get("met") if isinstance(expected, dict) else None,
        "why": damage or str(verdict.get("why") or run.get("cut_short") or judged),
        "folder": str(folder),
    }


def _document(folder: Path, name: str, empty: Kind) -> tuple[Kind, str]:
    """A file's data, or ``empty`` if it is not of that type; and what is wrong with the file."""
    if not (folder / name).exists():
        return empty, ""
    try:
        data = files.read_json(folder, name)
    except InputError as error:
        return empty, str(error)
    return (data, "") if isinstance(data, type(empty)) else (empty, f"{name} is damaged")
