"""Print lists of scenarios and runs: a table on a terminal, a line for each in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from labctl.cli import show
from labctl.model.service import PROFILES

if TYPE_CHECKING:
    from labctl.chaos.document.scenario import ScenarioDoc
    from labctl.chaos.folder.runs import Row
    from labctl.chaos.run.campaign import Result

COLOURS = {"VALID": "green", "INVALID": "red", "UNKNOWN": "yellow"}


def scenarios(docs: Sequence[ScenarioDoc]) -> None:
    """Print each scenario with the rows or limits that it is for, by the profile that it needs."""
    if not show.out().is_terminal:
        for doc in docs:
            told = (doc.name, doc.needs.profile, doc.description, "; ".join(doc.row), doc.limit)
            sys.stdout.write("\t".join(told) + "\n")
        return
    for profile in PROFILES:
        own = [doc for doc in docs if doc.needs.profile == profile]
        if own:
            title = f"{len(own)} for profile {profile} or larger"
            show.out().print(Text(title, style="bold"))
            show.table(
                ["  scenario", "row or limit", "what"],
                [(f"  {doc.name}", _rows(doc.row), doc.description) for doc in own],
            )


def runs(found: Sequence[Row]) -> None:
    """Print each run, the newest last: next to the prompt."""
    show.table(
        ["run", "lab", "scenario", "length", "outcome"],
        [
            (
                row["run"],
                row["lab"],
                row["scenario"],
                "-" if row["seconds"] is None else f"{row['seconds']:.0f} s",
                _outcome(row),
            )
            for row in found
        ],
    )


def results(found: Sequence[Result], left_out: Mapping[str, str]) -> None:
    """Print the outcome of each scenario of a campaign, and why others were left out."""
    rows = [
        (
            each.scenario,
            each.run or "-",
            "-" if each.seconds is None else f"{each.seconds:.0f} s",
            Text(each.outcome, style=COLOURS[each.outcome]) if each.outcome else Text("-"),
            each.why,
        )
        for each in found
    ]
    rows += [(name, "-", "-", Text("left out", style="dim"), why) for name, why in left_out.items()]
    show.table(["scenario", "run", "length", "outcome", "why"], rows)


def _rows(rows: Sequence[str]) -> str:
    """The first row and how many more: the document has them all."""
    return "".join(rows[:1]) + (f" +{len(rows) - 1}" if len(rows) > 1 else "")


def _outcome(row: Row) -> Text:
    outcome = row["outcome"]
    if outcome is None:
        return Text(row["why"], style="dim")
    expected = {True: "", False: ", not as expected", None: ""}[row["expected"]]
    if outcome == "INVALID" and row["expected"]:
        expected = ", as expected"
    return Text(outcome + expected, style=COLOURS[outcome])
