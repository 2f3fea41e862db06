"""Sections of the page with judgements: checks with their evidence, the ledger, the budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from labctl.chaos.folder.history import Operation
from labctl.chaos.report.cycle import cycle
from labctl.chaos.report.markup import join, tag
from labctl.chaos.report.record import Change, Data, Fault, Record, time_of
from labctl.chaos.report.words import SIGNS, moment, names, plain, seconds

STANDINGS = ("kept", "lost though promised", "lost as documented", "not promised", "unknown")
"""The standings of promises, in the order of the page."""

Concerned = Mapping[tuple[int, int], Operation]
"""(Index of a check, index of its evidence) → the operation it is about."""


def outcome_of(data: Data) -> str:
    """The outcome of a check or budget; UNKNOWN if it is none."""
    said = data.get("outcome")
    return said if isinstance(said, str) and said in SIGNS else "UNKNOWN"


def badge(outcome: str) -> Markup:
    """An outcome with its sign, readable without colours."""
    return tag("span", f"{SIGNS[outcome]} {outcome}", class_=f"badge {outcome.lower()}")


def checks(record: Record, concerned: Concerned) -> Markup:
    """The checks by workload, with their evidence."""
    groups: dict[str, list[Markup]] = {}
    for place, check in enumerate(record.checks):
        card = _check(place, check, concerned)
        groups.setdefault(str(check.get("workload") or "lab"), []).append(card)
    return join(
        tag("section", tag("h3", name), *cards, class_="workload") for name, cards in groups.items()
    ) or tag("p", "Nothing was checked.", class_="quiet")


def ledger(record: Record) -> Markup:
    """The promises: a row for each check, a column for each standing."""
    if not record.checks:
        return tag("p", "No promise was checked.", class_="quiet")
    kept = [str(check.get("promise")) for check in record.checks]
    sums = [
        tag("li", tag("b", str(kept.count(name))), f" {name}", class_=_slug(name))
        for name in STANDINGS
    ]
    head = tag("tr", *(tag("th", text, scope="col") for text in ("workload", "check", *STANDINGS)))
    rows = []
    for check in record.checks:
        standing = str(check.get("promise"))
        standing = standing if standing in STANDINGS else "unknown"
        marks = [
            tag("td", tag("span", "●", title=name), class_=f"mark {_slug(name)}")
            if name == standing
            else tag("td", class_="mark")
            for name in STANDINGS
        ]
        first = tag("th", plain(check.get("workload", "")), scope="row")
        rows.append(tag("tr", first, tag("td", plain(check.get("check", ""))), *marks))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="ledger")
    return join((tag("ul", *sums, class_="sums"), tag("div", table, class_="wide")))


def budgets(record: Record) -> Markup:
    """Every budget: the bound with its timers above the measurement, on one scale."""
    known = record.budgets
    if not known:
        return tag("p", "No budget applied to this run.", class_="quiet")
    figures = [time_of(b.get(key)) or 0.0 for b in known for key in ("bound", "measured")]
    scale = max([*figures, 0.001])
    return join(_budget(budget, record, scale) for budget in known)


def _check(place: int, check: Data, concerned: Concerned) -> Markup:
    outcome = outcome_of(check)
    counts = check.get("counts")
    told = counts.items() if isinstance(counts, dict) else ()
    chips = [tag("li", tag("b", _figure(value)), f" {plain(name, 40)}") for name, value in told]
    pieces = check.get("evidence")
    found = (
        [piece for piece in pieces if isinstance(piece, dict)] if isinstance(pieces, list) else []
    )
    rows = [_piece(piece, concerned.get((place, at))) for at, piece in enumerate(found)]
    return tag(
        "article",
        tag(
            "header",
            badge(outcome),
            tag("h4", plain(check.get("check", "check"))),
            tag("span", plain(check.get("promise", "unknown")), class_="promise"),
        ),
        tag("p", plain(check.get("why", ""), 600)),
        tag("ul", *chips, class_="counts") if chips else Markup(""),
        cycle(check.get("cycle")),
        tag("ol", *rows, class_="evidence") if rows else Markup(""),
        class_=f"check {outcome.lower()}",
        id=f"check-{place}",
    )


def _piece(piece: Data, operation: Operation | None) -> Markup:
    said = plain(piece.get("said", ""), 300)
    what = " ".join(filter(None, (str(piece.get("f") or ""), _value(piece.get("value")))))
    at = time_of(piece.get("t"))
    link = tag("a", what or "operation", href=f"#op-{operation.number}") if operation else None
    shown = link or (tag("code", what) if what else Markup(""))
    when = tag("span", moment(at), class_="when") if at is not None else Markup("")
    return tag("li", when, " ", shown, " ", tag("span", said))


def _budget(budget: Data, record: Record, scale: float) -> Markup:
    outcome = outcome_of(budget)
    bound, measured = time_of(budget.get("bound")) or 0.0, time_of(budget.get("measured"))
    parts = budget.get("parts")
    timers = [p for p in parts if isinstance(p, dict)] if isinstance(parts, list) else []
    cause = _cause(record.cause(budget.get("fault")))
    dominant = str(budget.get("dominant") or "")
    taken = f"{seconds(measured)} measured" if measured is not None else "not measured"
    bar = tag("i", class_=f"bar {outcome.lower()}", style=_width(measured or 0.0, scale))
    return tag(
        "article",
        tag("header", badge(outcome), tag("h4", plain(budget.get("name", ""))), cause),
        tag(
            "div",
            tag("div", *_segments(timers, dominant, bound, scale), class_="track"),
            tag("span", f"{seconds(bound)} allowed"),
            tag("div", bar, class_="track"),
            tag("span", taken),
            class_="bars",
            role="img",
            aria_label=f"{seconds(bound)} allowed, {taken}",
        ),
        tag("p", plain(budget.get("why", ""), 600)),
        tag("ul", *(_timer(timer, dominant) for timer in timers), class_="timers"),
        class_=f"budget {outcome.lower()}",
    )


def _cause(step: Fault | Change | None) -> Markup:
    """A link to the fault or change that a budget belongs to."""
    if step is None:
        return Markup("")
    if isinstance(step, Change):
        return tag("a", step.said, href=f"#change-{step.index}", class_="cause")
    return tag("a", step.said, href=f"#fault-{step.index}", class_=f"cause {step.family}")


def _segments(timers: Sequence[Data], dominant: str, bound: float, scale: float) -> list[Markup]:
    """The bound as a bar of its timers; as one piece if they are unknown."""
    found = [
        tag(
            "i",
            class_="bar dominant" if timer.get("timer") == dominant else "bar part",
            style=_width(time_of(timer.get("seconds")) or 0.0, scale),
            title=plain(timer.get("timer", "")),
        )
        for timer in timers
    ]
    return found or [tag("i", class_="bar part", style=_width(bound, scale))]


def _timer(timer: Data, dominant: str) -> Markup:
    name = plain(timer.get("timer", ""))
    leads = name == dominant
    said = f" {name}" + (" — the dominant timer" if leads else "")
    figure = seconds(time_of(timer.get("seconds")))
    return tag("li", tag("b", figure), said, class_="leading" if leads else None)


def _width(value: float, scale: float) -> str:
    return share(value / scale)


def share(part: float) -> str:
    """The style of a bar that fills this part of its track; 1 is all of it."""
    return f"width:{min(100.0, max(0.0, 100 * part)):.2f}%"


def _figure(value: Any) -> str:
    return (
        f"{value:,}".replace(",", "\N{THIN SPACE}") if isinstance(value, int) else plain(value, 40)
    )


def _value(value: Any) -> str:
    return "" if value is None else plain(value, 80)


def _slug(name: str) -> str:
    return name.replace(" ", "-")


def targets(fault: Fault) -> str:
    """The targets of a fault, at most a dozen."""
    return names(fault.targets, 12) or "none"
