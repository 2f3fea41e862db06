"""The summary at the top of the page: what was done, kept and lost, and what was away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup

from labctl.chaos.report.markup import tag
from labctl.chaos.report.record import Change, Data, Fault, Record, time_of
from labctl.chaos.report.verdicts import STANDINGS, outcome_of
from labctl.chaos.report.words import KEPT, SIGNS, moment, plain, seconds

_MOST = 5
"""Lines of a card; the sections below it have all."""
_KEPT, _UNKNOWN = STANDINGS[0], STANDINGS[-1]


def glance(record: Record) -> Markup:
    """One card each; cards with nothing to say are left out, except that about losses."""
    standings = {name: list(_by_workload(record, name)) for name in STANDINGS}
    lost = [
        (f"{who}: {', '.join(checks)}", name)
        for name in STANDINGS
        if name not in (_KEPT, _UNKNOWN)
        for who, checks in standings[name]
    ]
    cards = [
        _card(
            "Done",
            "changes" if record.changes and not record.faults else "faults",
            _done(record),
            record.description,
        ),
        _card("Kept", "ledger", _kept(standings[_KEPT])),
        _card("Lost or broken", "verdicts", _marked(lost), "" if lost else _nothing(record)),
        _card("Unknown", "verdicts", _unknown(record, standings[_UNKNOWN])),
        _card("Away", "budgets", map(_away, record.budgets)),
    ]
    return tag("div", *(card for card in cards if card), class_="glance")


def _card(title: str, section: str, lines: Iterable[str | Markup], said: str = "") -> Markup:
    shown = list(lines)
    if not shown and not said:
        return Markup("")
    more = len(shown) - _MOST
    items = [tag("li", line) for line in shown[:_MOST]]
    if more > 0:
        items.append(tag("li", tag("a", f"and {more} more", href=f"#{section}")))
    return tag(
        "div",
        tag("h2", tag("a", title, href=f"#{section}")),
        tag("p", said) if said else Markup(""),
        tag("ul", *items) if items else Markup(""),
    )


def _nothing(record: Record) -> str:
    """That there is no loss, unless nothing was checked."""
    return "nothing of what was checked" if record.checks else "unknown: nothing was checked"


def _done(record: Record) -> list[str]:
    made = [_fault(fault) for fault in record.faults]
    made += [_change(change) for change in record.changes]
    return made or ["no fault was made"]


def _change(change: Change) -> str:
    if change.began is None or change.ended is None:
        return f"{change.said}: did not come to its end"
    return f"{change.said} at {moment(change.began)}, in {seconds(change.ended - change.began)}"


def _fault(fault: Fault) -> str:
    if fault.bites is None:
        return f"{fault.said}: did not bite"
    lasted = f" for {seconds(fault.healed - fault.bites)}" if fault.healed is not None else ""
    return f"{fault.said} at {moment(fault.bites)}{lasted}"


def _kept(standings: Sequence[tuple[str, list[str]]]) -> list[str]:
    """What was kept, and for which workloads: often the same for many."""
    # The most important come first.
    found: dict[str, list[str]] = {kept: [] for kept in KEPT.values()}
    for who, checks in standings:
        for check in checks:
            found.setdefault(KEPT.get(check, check), []).append(who)
    return [f"{kept}: {', '.join(by)}" for kept, by in found.items() if by]


def _by_workload(record: Record, standing: str) -> Iterator[tuple[str, list[str]]]:
    """Workloads, and their checks with this standing."""
    found: dict[str, list[str]] = {}
    for check in record.checks:
        said = str(check.get("promise"))
        if (said if said in STANDINGS else _UNKNOWN) == standing:
            checks = found.setdefault(plain(check.get("workload") or "lab", 40), [])
            checks.append(plain(check.get("check") or "check", 40))
    for who, checks in found.items():
        yield who, list(dict.fromkeys(checks))


def _marked(lost: Sequence[tuple[str, str]]) -> Iterator[Markup]:
    for text, standing in lost:
        yield tag("span", f"{text} ", tag("b", standing, class_=standing.replace(" ", "-")))


def _unknown(record: Record, checks: Sequence[tuple[str, list[str]]]) -> list[str]:
    toothless = [f"{f.said}: did not bite" for f in record.faults if f.bites is None]
    unmeasured = [
        f"how long {plain(budget.get('name', ''), 40)} was away"
        for budget in record.budgets
        if outcome_of(budget) == "UNKNOWN"
    ]
    return [*(f"{who}: {', '.join(names)}" for who, names in checks), *toothless, *unmeasured]


def _away(budget: Data) -> str:
    measured, bound = time_of(budget.get("measured")), time_of(budget.get("bound"))
    taken = "not measured" if measured is None else seconds(measured)
    name = plain(budget.get("name", ""), 40)
    return f"{SIGNS[outcome_of(budget)]} {name}: {taken}, {seconds(bound)} allowed"
