"""Faults, virtual IP, clusters and instances as lanes over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from markupsafe import Markup

from labctl.chaos.report import spans
from labctl.chaos.report.axis import TimeAxis
from labctl.chaos.report.drawing import Room, Row, bar, heading, label, width_of
from labctl.chaos.report.markup import join, tag
from labctl.chaos.report.record import Fault, Observation, Record
from labctl.chaos.report.words import count, moment, names, seconds

_FAULT, _LANE, _THIN = 26, 18, 14
_MOST_FAULTS, _MOST_UNREADY = 40, 14


def faults(record: Record, axis: TimeAxis) -> Iterator[Row]:
    """A row for every fault: asked, bites, healed."""
    shown = record.faults[:_MOST_FAULTS]
    more = len(record.faults) - len(shown)
    yield heading("Faults", axis, f"the first {len(shown)}; {more} more below" if more else "")
    if not shown:
        yield Row(tag("text", "none recorded", class_="remark", x=axis.left, y=12), _LANE)
    for fault in shown:
        yield Row(_fault(fault, axis), _FAULT)


def bands(record: Record, axis: TimeAxis, top: float, bottom: float) -> Markup:
    """The times in which a fault bites, behind everything."""
    return join(
        bar(axis, f.bites, _healed(f, axis), top, bottom - top, class_="band")
        for f in record.faults
        if f.bites is not None
    )


def virtual_ip(record: Record, axis: TimeAxis) -> Iterator[Row]:
    """A lane for each node that held the virtual IP, and one for times of no or several holders."""
    seen = record.observations
    nodes = spans.holders(seen)
    if not seen:
        return
    yield heading("Virtual IP", axis, "who holds it, as labctl observed it")
    for node in nodes:
        held = (s for s in spans.spans(seen, _holding(node), axis.length) if s.what[0])
        held_marks = (
            (
                span,
                "double" if span.what[1] else "held",
                f"{node} holds it{' and so does another' if span.what[1] else ''}",
            )
            for span in held
        )
        bars = _bars(axis, held_marks, 2, 12)
        yield Row(join((label(node, axis, 12), _ground(axis, 2, 12), *bars)), _LANE)
    wrong = [s for s in spans.spans(seen, lambda o: len(o.vip), axis.length) if s.what != 1]
    if wrong:
        room = Room()
        marks = (_wrong(span, axis, room) for span in sorted(wrong, key=_twice_first))
        yield Row(join((label("not exactly one", axis, 13), *marks)), 24)


def clusters(record: Record, axis: TimeAxis) -> Iterator[Row]:
    """A group for every cluster, a lane for every member."""
    seen = record.observations
    known = spans.clusters(seen)
    if not known:
        return
    yield heading("Clusters", axis, "as their members report")
    for cluster, members in known.items():
        for member in members:
            states = spans.spans(seen, _as_member(cluster, member), axis.length)
            marks = (
                (
                    span,
                    "leads" if span.what[1] and span.what[0] == "part" else span.what[0],
                    f"{cluster} on {member}: {span.what[2]}{', leads' if span.what[1] else ''}",
                )
                for span in states
            )
            bars = _bars(axis, marks, 1, 10)
            yield Row(join((label(f"{cluster}  {member}", axis, 10), *bars)), _THIN)
        yield Row(Markup(""), 6)


def unready(record: Record, axis: TimeAxis) -> Iterator[Row]:
    """A lane for each instance that did not answer, those away longest first."""
    seen = record.observations
    away = {
        name: [s for s in spans.spans(seen, _away(name), axis.length) if s.what]
        for name in {name for o in seen for name in o.unready}
    }
    if not away:
        return
    ordered = sorted(away, key=lambda n: (-sum(s.end - s.start for s in away[n]), n))
    more = len(ordered) - _MOST_UNREADY
    also = f", and {more} more for a shorter time" if more > 0 else ""
    yield heading("Not ready", axis, count(len(ordered), "instance") + also)
    for name in ordered[:_MOST_UNREADY]:
        bars = _bars(axis, ((s, "away", f"{name} is not ready") for s in away[name]), 1, 10)
        yield Row(join((label(name, axis, 10), *bars)), _THIN)


def _bars(
    axis: TimeAxis, marks: Iterable[tuple[spans.Span[Any], str, str]], y: float, height: float
) -> Iterator[Markup]:
    """Spans as bars, each with its CSS class and what its tooltip says."""
    for span, class_, said in marks:
        tip = _tip(said, span)
        yield bar(axis, span.start, span.end, y, height, class_=class_, tip=tip)


def _holding(node: str) -> Callable[[Observation], tuple[bool, bool]]:
    """Whether a node holds the virtual IP, and whether another one does too."""
    return lambda seen: (node in seen.vip, len(seen.vip) > 1)


def _as_member(cluster: str, name: str) -> Callable[[Observation], tuple[spans.Part, bool, str]]:
    return lambda seen: spans.member(seen.clusters.get(cluster, {}), name)


def _away(instance: str) -> Callable[[Observation], bool]:
    return lambda seen: instance in seen.unready


def _fault(fault: Fault, axis: TimeAxis) -> Markup:
    bites = fault.bites
    until = _healed(fault, axis)
    tip = f"{fault.said}: asked at {moment(fault.asked)}, "
    tip += f"bites from {moment(bites)}" if bites is not None else "did not bite"
    tip += f", healed at {moment(fault.healed)}" if fault.healed is not None else ", never healed"
    parts = [label(names(fault.targets, 2) or "-", axis, 15)]
    if bites is None:
        parts.append(bar(axis, fault.asked, until, 3, 17, class_="missed", rx="3", tip=tip))
    else:
        parts.append(bar(axis, fault.asked, bites, 9, 5, class_=f"asked {fault.family}"))
        parts.append(bar(axis, bites, until, 3, 17, class_=fault.family, rx="3", tip=tip))
    text = fault.said if bites is not None else f"{fault.said} — did not bite"
    left, right = axis.x(fault.asked), axis.x(until)
    if bites is not None and width_of(text) + 12 < right - axis.x(bites):
        parts.append(tag("text", text, class_="on", x=axis.x(bites) + 7, y=15.5))
    elif right + 8 + width_of(text) < axis.right:
        parts.append(tag("text", text, class_="beside", x=right + 7, y=15.5))
    else:
        parts.append(tag("text", text, class_="beside", x=left - 7, y=15.5, text_anchor="end"))
    return tag("a", join(parts), href=f"#fault-{fault.index}")


def _wrong(span: spans.Span[int], axis: TimeAxis, room: Room) -> Markup:
    what, class_ = ("no holder", "none") if span.what == 0 else (f"{span.what} at once", "double")
    text = f"{what}, {seconds(span.end - span.start)}"
    x, end = axis.x(span.start), "start"
    if x + width_of(text) > axis.right:
        x, end = axis.x(span.end), "end"
    mark = bar(axis, span.start, span.end, 2, 6, class_=class_, tip=_tip(what, span))
    left = x if end == "start" else x - width_of(text)
    if not room.take(left, left + width_of(text)):
        return mark
    return join((mark, tag("text", text, class_="small", x=x, y=19, text_anchor=end)))


def _twice_first(span: spans.Span[int]) -> int:
    """Order in which spells get their texts: two holders at once before none."""
    return -span.what


def _ground(axis: TimeAxis, y: float, height: float) -> Markup:
    return tag(
        "rect", class_="ground", x=axis.left, y=y, width=axis.right - axis.left, height=height
    )


def _healed(fault: Fault, axis: TimeAxis) -> float:
    if fault.healed is not None:
        return fault.healed
    return axis.length if fault.bites is not None else fault.asked


def _tip(what: str, span: spans.Span[object]) -> str:
    length = seconds(span.end - span.start)
    return f"{what}: {moment(span.start)} to {moment(span.end)} ({length})"


def legend(found: Sequence[Fault]) -> list[tuple[str, str]]:
    """CSS class and name of each kind of fault in the run."""
    return [(name, name) for name in sorted({fault.family for fault in found})]
