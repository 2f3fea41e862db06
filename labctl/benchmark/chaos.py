"""The figures of chaos, cost and accuracy, as a document for machines and as rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from labctl.benchmark import bites, checking, pace
from labctl.chaos.folder import runs

Document = dict[str, Any]
Row = tuple[str, str, str]
"""What, figure, remark."""


def fault(trials: Sequence[bites.Trial]) -> Document:
    """Minimum, median and maximum over trials, seconds; ``skew`` is None for a single target."""
    apart = [trial.skew for trial in trials if trial.skew is not None]
    return {
        "made": _spread([trial.made for trial in trials]),
        "bites": _spread([trial.bites for trial in trials]),
        "skew": _spread(apart) if apart else None,
        "healed": _spread([trial.healed for trial in trials]),
        "trials": len(trials),
    }


def client(workload: str, found: Sequence[pace.Pace]) -> Document:
    """The rates tried, and the highest (operations a second) at which the client kept up."""
    return {
        "workload": workload,
        "highest": pace.highest(found),
        "rates": [
            {key: round(value, 4) for key, value in asdict(each).items()} | {"kept": each.kept}
            for each in found
        ],
    }


def checkers(found: Mapping[str, checking.Checked]) -> Document:
    """CPU-seconds of each checker, and what it found wrong."""
    return {
        name: {"operations": each.operations, "cpu": round(each.cpu, 2), "broken": [*each.broken]}
        for name, each in found.items()
    }


def lengths(scenarios: Sequence[str], took: Mapping[str, runs.Length]) -> Document:
    """How long the library takes, by the recorded runs of its scenarios."""
    known = {name: took[name] for name in scenarios if name in took}
    return {
        "scenarios": len(scenarios),
        "seconds": round(sum(each["seconds"] for each in known.values()), 1),
        "took": dict(known),
    }


def rows(document: Document) -> Iterator[Row]:
    """The figures as rows of the benchmark's table."""
    for name, figures in document.get("faults", {}).items():
        remark = f"until proved; made in {figures['made']['median']:.2f}"
        if figures["skew"] is not None:
            remark += f", targets at most {1000 * figures['skew']['max']:.0f} ms apart"
        yield f"fault: {name}", _said(figures["bites"]), remark
        yield "  healed", _said(figures["healed"]), "including the proof that nothing is left"
    if document.get("client"):
        yield from _client_rows(document["client"])
    for name, figures in document["checkers"].items():
        broken = f"WRONG: {', '.join(figures['broken'])}" if figures["broken"] else ""
        yield f"checker: {name}", f"{figures['cpu']:.2f} CPU-s", broken or _of(figures)
    yield _library_row(document["library"])


def _client_rows(figures: Document) -> Iterator[Row]:
    highest = figures["highest"]
    said = "none" if highest is None else f"{highest:.0f} operations/s"
    yield (
        "client measures the lab up to",
        said,
        f"{figures['workload']}; at higher rates the client itself is late",
    )
    for each in figures["rates"]:
        late = f"late {each['late']} times, {each['most']:.2f} s at most"
        took = f"median {1000 * each['took']:.1f} ms"
        yield f"  asked {each['rate']:.0f}/s", f"{each['reached']:.0f}/s", f"{late}; {took}"


def _of(figures: Document) -> str:
    return f"{figures['operations']} operations"


def _library_row(figures: Document) -> Row:
    known, whole = len(figures["took"]), figures["scenarios"]
    length = f"{figures['seconds'] / 60:.1f} min" if known else "-"
    return "the library's runs", length, f"{known} of {whole} scenarios were run here; medians"


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "min": round(min(values), 4),
        "median": round(median(values), 4),
        "max": round(max(values), 4),
    }


def _said(spread: Mapping[str, float]) -> str:
    return f"{spread['min']:.2f} / {spread['median']:.2f} / {spread['max']:.2f} s"
