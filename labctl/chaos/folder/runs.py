"""The runs that there are: what each was of, when, how long, and what came out. Reads folders."""

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
    """A run. ``seconds`` is None when it was killed, ``outcome`` when nobody has judged it."""

    run: str
    lab: str
    scenario: str
    seed: int | None
    began: str
    seconds: float | None
    faults: int
    outcome: Outcome | None
    expected: bool | None
    """Whether it came out as its scenario says."""
    why: str
    folder: str


class Length(TypedDict):
    """How long a scenario takes: seconds, the median of its whole runs, and how many these are."""

    seconds: float
    runs: int


def rows(lab: str | None = None) -> list[Row]:
    """The runs of a lab, or of all labs that ever were, the oldest first.

    What is damaged of a run is said in ``why``; no run is left out for that.
    """
    found = [path.parent for path in (paths.home() / "labs").glob(f"*/{RUNS}/*/{files.RUN}")]
    return [
        _row(folder)
        for folder in sorted(found, key=lambda folder: folder.name)
        if lab in (None, folder.parents[1].name)
    ]


def lengths(found: Iterable[Row]) -> dict[str, Length]:
    """Scenario → how long its runs took, those left out that were cut short of their end."""
    took: dict[str, list[float]] = {}
    for row in found:
        # A run that was not begun, for the lab was not steady, has no fault in its timeline.
        if row["seconds"] is not None and row["faults"]:
            took.setdefault(row["scenario"], []).append(row["seconds"])
    return {
        name: {"seconds": round(median(each), 1), "runs": len(each)}
        for name, each in sorted(took.items())
    }


def _row(folder: Path) -> Row:
    run, damage = _document(folder, files.RUN, {})
    timeline, _ = _document(folder, files.TIMELINE, [])
    verdict, _ = _document(folder, files.VERDICT, {})
    outcome, seconds = verdict.get("outcome"), run.get("seconds")
    expected = verdict.get("expected")
    judged = "cut short" if not run.get("ended") else "nobody has judged it"
    return {
        "run": folder.name,
        "lab": folder.parents[1].name,
        "scenario": str(run.get("scenario") or "-"),
        "seed": run.get("seed"),
        "began": str(run.get("began") or ""),
        "seconds": seconds if isinstance(seconds, float) else None,
        "faults": len(timeline),
        "outcome": outcome if outcome in get_args(Outcome) else None,
        "expected": expected.get("met") if isinstance(expected, dict) else None,
        "why": damage or str(verdict.get("why") or run.get("cut_short") or judged),
        "folder": str(folder),
    }


def _document(folder: Path, name: str, empty: Kind) -> tuple[Kind, str]:
    """A file's data when it is of the kind of ``empty``, else that, and what is wrong with it."""
    if not (folder / name).exists():
        return empty, ""
    try:
        data = files.read_json(folder, name)
    except InputError as error:
        return empty, str(error)
    return (data, "") if isinstance(data, type(empty)) else (empty, f"{name} is damaged")
