"""Many runs on one page: the newest of each scenario in a lab, for people, CI and pull requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from labctl.chaos.folder import layout as files
from labctl.chaos.folder.runs import Row
from labctl.chaos.report.markup import join, tag
from labctl.chaos.report.page import document
from labctl.chaos.report.plain import cell, xml
from labctl.chaos.report.record import Data, time_of
from labctl.chaos.report.verdicts import STANDINGS, badge, outcome_of, share
from labctl.chaos.report.words import SIGNS, count, plain, seconds
from labctl.documents.reader import read_yaml
from labctl.errors import InputError

HTML, JUNIT, SUMMARY = "chaos.html", "chaos.xml", "chaos.md"
_ORDER = ("INVALID", "UNKNOWN", "VALID")
"""The worst first."""
_NO_ROW = "other"
"""The group of scenarios that are for no row of the table and no limit."""


@dataclass(frozen=True)
class Entry:
    """The newest run of a scenario, and what its folder says."""

    row: Row
    description: str
    group: str
    """The first row of the table, or limit, that the scenario is for."""
    verdict: Data

    @property
    def outcome(self) -> str:
        """Its outcome; UNKNOWN if it has not been judged."""
        return self.row["outcome"] or "UNKNOWN"

    @property
    def counts_as(self) -> str:
        """Its outcome; VALID if it is INVALID as its scenario expects, which is a pass."""
        return "VALID" if self.row["expected"] and self.outcome == "INVALID" else self.outcome

    @property
    def budgets(self) -> list[Data]:
        """Its budgets with a measurement."""
        return [b for b in _dicts(self.verdict.get("budgets")) if time_of(b.get("measured"))]

    @property
    def longest(self) -> Data | None:
        """The budget that was used up the most."""
        return max(self.budgets, key=_used, default=None)

    @property
    def standings(self) -> Counter[str]:
        """Its promises: standing → number of checks."""
        return Counter(str(check.get("promise")) for check in _dicts(self.verdict.get("checks")))


def entries(found: Iterable[Row]) -> list[Entry]:
    """The newest run of each scenario, by row of the table, then by name."""
    newest = {row["scenario"]: row for row in found}
    return sorted(map(_entry, newest.values()), key=lambda e: (e.group, e.row["scenario"]))


def made(lab: str, found: Sequence[Entry]) -> Mapping[str, str]:
    """The files of an overview, name → text; their directory is next to that of the lab's runs."""
    return {HTML: html(lab, found), JUNIT: junit(lab, found), SUMMARY: summary(lab, found)}


def html(lab: str, found: Sequence[Entry]) -> str:
    """The page."""
    worst = _worst(found)
    counts = Counter(entry.outcome for entry in found)
    head = tag(
        "header",
        tag("p", "labctl chaos", class_="kicker"),
        tag("h1", f"What survives in lab {lab}"),
        tag(
            "div",
            tag("p", tag("span", SIGNS[worst], aria_hidden="true"), " ", worst, class_="word"),
            tag("p", _said(found), class_="why"),
            class_=f"outcome {worst.lower()}",
        ),
        tag("ul", *map(_square, found), class_="squares"),
        class_="top",
    )
    groups: dict[str, list[Entry]] = {}
    for entry in found:
        groups.setdefault(entry.group, []).append(entry)
    tables = [
        join((tag("h2", group), tag("div", _table(own), class_="wide")))
        for group, own in groups.items()
    ]
    title = f"{lab}: " + ", ".join(f"{counts[o]} {o}" for o in _ORDER if counts[o])
    return document(title, tag("main", head, *tables))


def junit(lab: str, found: Sequence[Entry]) -> str:
    """JUnit XML with a test for each scenario; INVALID is a failure, UNKNOWN an error.

    INVALID that its scenario expects is a pass.
    """
    kinds = {"INVALID": "failure", "UNKNOWN": "error"}
    tests = [
        tag(
            "testcase",
            *(
                [tag(kinds[entry.outcome], message=entry.row["why"], type=entry.outcome)]
                if entry.counts_as in kinds
                else []
            ),
            classname=f"chaos.{lab}",
            name=entry.row["scenario"],
            time=f"{entry.row['seconds'] or 0.0:.1f}",
        )
        for entry in found
    ]
    return xml(lab, tests, [entry.counts_as for entry in found], _length(found))


def summary(lab: str, found: Sequence[Entry]) -> str:
    """Markdown for a pull request: a row for each scenario, the worst first."""
    rows = [
        f"| {entry.outcome} | {cell(entry.row['scenario'])} | {cell(_away(entry))} "
        f"| {cell(entry.row['why'])} |"
        for entry in sorted(found, key=lambda entry: _ORDER.index(entry.outcome))
    ]
    lines = [
        f"### What survives in lab {cell(lab)}: {_worst(found)}",
        "",
        cell(_said(found)),
        "",
        "| outcome | scenario | away | why |",
        "|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _entry(row: Row) -> Entry:
    folder = Path(row["folder"])
    scenario, verdict = _scenario(folder), _verdict(folder)
    rows = scenario.get("row")
    first = next(iter(rows), _NO_ROW) if isinstance(rows, list) else _NO_ROW
    return Entry(row, plain(scenario.get("description", ""), 300), plain(first), verdict)


def _scenario(folder: Path) -> Data:
    try:
        data = read_yaml(folder / files.SCENARIO)
    except InputError:
        return {}
    return data if isinstance(data, dict) else {}


def _verdict(folder: Path) -> Data:
    try:
        data = files.read_json(folder, files.VERDICT)
    except InputError:
        return {}
    return data if isinstance(data, dict) else {}


def _dicts(value: Any) -> list[Data]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _used(budget: Data) -> float:
    """The share of the bound that was used up."""
    return (time_of(budget.get("measured")) or 0.0) / max(time_of(budget.get("bound")) or 0.0, 1e-9)


def _worst(found: Sequence[Entry]) -> str:
    """The worst outcome; UNKNOWN if there is no run, which proves nothing."""
    outcomes = {entry.counts_as for entry in found} or {"UNKNOWN"}
    return next(outcome for outcome in _ORDER if outcome in outcomes)


def _length(found: Sequence[Entry]) -> float:
    return sum(entry.row["seconds"] or 0.0 for entry in found)


def _said(found: Sequence[Entry]) -> str:
    outcomes = Counter(entry.outcome for entry in found)
    each = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in _ORDER if outcomes[outcome])
    caught = sum(entry.counts_as != entry.outcome for entry in found)
    each += f" ({caught} INVALID as expected)" if caught else ""
    told = f"{count(len(found), 'scenario')}, the newest run of each: {each or 'none'}"
    lost = [entry for entry in found if entry.outcome == "VALID" and _lost(entry)]
    if lost:
        told += f"; in {len(lost)} of the VALID runs something was lost that was not promised"
    return f"{told}. {seconds(_length(found))} in all"


def _lost(entry: Entry) -> bool:
    return bool(entry.standings["lost as documented"] + entry.standings["not promised"])


def _square(entry: Entry) -> Markup:
    """A small square with the outcome's sign, linked to the scenario's row."""
    name = entry.row["scenario"]
    sign = tag("a", SIGNS[entry.outcome], href=f"#{name}", title=f"{name}: {entry.outcome}")
    return tag("li", sign, class_=entry.outcome.lower())


def _table(found: Sequence[Entry]) -> Markup:
    heads = (
        "outcome",
        "scenario",
        "away: measured, of what its timers allow",
        "promises",
        "length",
    )
    head = tag("tr", *(tag("th", text, scope="col") for text in heads))
    return tag("table", tag("thead", head), tag("tbody", *map(_row, found)), class_="overview")


def _row(entry: Entry) -> Markup:
    row = entry.row
    link = tag("a", row["scenario"], href=f"../runs/{row['run']}/report.html")
    why = tag("p", row["why"], class_="because") if entry.outcome != "VALID" else Markup("")
    return tag(
        "tr",
        tag("td", badge(entry.outcome)),
        tag("th", link, tag("p", entry.description, class_="quiet"), why, scope="row"),
        tag("td", _bar(entry)),
        tag("td", *_promises(entry)),
        tag("td", seconds(row["seconds"]), class_="figure"),
        id=row["scenario"],
    )


def _bar(entry: Entry) -> Markup:
    budget = entry.longest
    if budget is None:
        return Markup("")
    filled = tag("i", class_=f"bar {outcome_of(budget).lower()}", style=share(_used(budget)))
    return join((tag("div", filled, class_="track"), tag("p", _away(entry), class_="quiet")))


def _away(entry: Entry) -> str:
    budget = entry.longest
    if budget is None:
        return "-"
    measured, bound = time_of(budget.get("measured")), time_of(budget.get("bound"))
    name = plain(budget.get("name", ""))
    return f"{name} {seconds(measured)} of {seconds(bound)}, {_timer(budget)}"


def _timer(budget: Data) -> str:
    """The lab's longest timer; the client's if there is none."""
    parts = _dicts(budget.get("parts"))
    own = [part for part in parts if not str(part.get("timer")).startswith("client: ")] or parts
    longest = max(own, key=lambda part: time_of(part.get("seconds")) or 0.0, default=budget)
    return plain(longest.get("timer") or budget.get("dominant", ""))


def _promises(entry: Entry) -> list[Markup]:
    standings = entry.standings
    return [
        tag("p", f"{standings[name]} {name}", class_=name.replace(" ", "-"))
        for name in STANDINGS
        if standings[name]
    ]
