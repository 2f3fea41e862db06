"""Changes of the lab: as lanes of the picture, and as a section of the page."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from labctl.chaos.report.axis import TimeAxis
from labctl.chaos.report.drawing import Row, bar, heading, label, width_of
from labctl.chaos.report.markup import join, tag
from labctl.chaos.report.record import Change, Record, Window, time_of
from labctl.chaos.report.verdicts import outcome_of
from labctl.chaos.report.words import SIGNS, count, moment, plain, seconds

_CHANGE, _THIN = 26, 14
_MOST_LANES, _MOST_ROWS = 24, 200


def lanes(record: Record, axis: TimeAxis) -> Iterator[Row]:
    """A row for every change, and a lane for every instance that it took down or brought."""
    if not record.changes:
        return
    windows: dict[str, list[Window]] = {}
    for change in record.changes:
        for window in change.windows:
            windows.setdefault(window.name, []).append(window)
    more = len(windows) - _MOST_LANES
    remark = "and the planned outage of each instance"
    yield heading("Changes", axis, remark + (f"; {more} more below" if more > 0 else ""))
    for change in record.changes:
        yield Row(_change(change, axis), _CHANGE)
    for name, its in list(windows.items())[:_MOST_LANES]:
        bars = (_window(window, axis) for window in its)
        yield Row(join((label(name, axis, 10), *bars)), _THIN)


def _change(change: Change, axis: TimeAxis) -> Markup:
    began, ended = change.began, change.ended
    if began is None:
        until, class_, tip = change.asked, "missed", f"{change.said}: was not made"
    else:
        until, class_ = axis.length if ended is None else ended, "change"
        end = "never ended" if ended is None else f"ended at {moment(ended)}"
        tip = f"{change.said}: began at {moment(began)}, {end}"
    since = change.asked if began is None else began
    parts = [bar(axis, since, until, 3, 17, class_=class_, rx="3", tip=tip)]
    left, right = axis.x(since), axis.x(until)
    if began is not None and width_of(change.said) + 12 < right - left:
        parts.append(tag("text", change.said, class_="on", x=left + 7, y=15.5))
    elif right + 8 + width_of(change.said) < axis.right:
        parts.append(tag("text", change.said, class_="beside", x=right + 7, y=15.5))
    else:
        x = left - 7
        parts.append(tag("text", change.said, class_="beside", x=x, y=15.5, text_anchor="end"))
    return tag("a", join(parts), href=f"#change-{change.index}")


def _window(window: Window, axis: TimeAxis) -> Markup:
    until = axis.length if window.ended is None else window.ended
    tip = f"{window.name} is {window.what}: {moment(window.began)} to {moment(until)}"
    tip += f" ({seconds(until - window.began)})"
    class_ = "window new" if window.what == "new" else "window"
    return bar(axis, window.began, until, 1, 10, class_=class_, tip=tip)


def section(record: Record) -> Markup:
    """Every change: when, what its clients missed meanwhile, and each instance's window."""
    items = (_item(change, record) for change in record.changes)
    return tag("ol", *items, class_="faults") if record.changes else Markup("")


def _item(change: Change, record: Record) -> Markup:
    began, ended = change.began, change.ended
    facts = {"asked": moment(change.asked), "began": moment(began) if began else "never"}
    if began is not None:
        facts["ended"] = "never" if ended is None else f"{moment(ended)}, {_took(began, ended)}"
    facts |= dict(_away(change, record))
    if change.error:
        facts["why not"] = plain(change.error, 600)
    if change.left:
        facts["not done"] = plain(", ".join(change.left), 400)
    if change.notes:
        facts["notes"] = plain("; ".join(change.notes), 600)
    told = [join((tag("dt", key), tag("dd", value))) for key, value in facts.items()]
    title = tag("h4", tag("i", class_="key change"), " ", change.said)
    class_ = "fault missed" if change.error else "fault"
    return tag(
        "li", title, tag("dl", *told), _table(change), class_=class_, id=f"change-{change.index}"
    )


def _took(began: float, ended: float) -> str:
    return f"after {seconds(ended - began)}"


def _away(change: Change, record: Record) -> Iterator[tuple[str, str]]:
    """How long each kind of client was without an answer meanwhile."""
    for budget in record.budgets:
        if budget.get("fault") == change.index:
            measured, bound = time_of(budget.get("measured")), time_of(budget.get("bound"))
            said = "not measured" if measured is None else f"{seconds(measured)} without an answer"
            sign = SIGNS[outcome_of(budget)]
            name = plain(budget.get("name", ""), 40)
            yield f"clients of {name}", f"{sign} {said}, {seconds(bound)} allowed"


def _table(change: Change) -> Markup:
    if not change.windows:
        return Markup("")
    head = tag("tr", *(tag("th", t, scope="col") for t in ("instance", "was", "from", "for")))
    rows = [
        tag(
            "tr",
            tag("th", window.name, scope="row"),
            tag("td", window.what),
            tag("td", moment(window.began)),
            tag("td", "-" if window.ended is None else seconds(window.ended - window.began)),
        )
        for window in change.windows[:_MOST_ROWS]
    ]
    title = count(len(change.windows), "instance or node", "instances and nodes")
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    return tag("details", tag("summary", title), tag("div", table, class_="wide"))
