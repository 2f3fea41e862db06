"""The run on one time axis: an inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from labctl.chaos.folder.history import Operation, by_workload
from labctl.chaos.report import changes, lanes, latency
from labctl.chaos.report.axis import TimeAxis
from labctl.chaos.report.drawing import Row, heading, stack
from labctl.chaos.report.markup import join, tag
from labctl.chaos.report.record import Record
from labctl.chaos.report.words import seconds

WIDTH = 1200
_LEFT, _RIGHT, _TOP, _BOTTOM = 186, 1188, 22, 26


def picture(record: Record, marked: Mapping[int, Operation]) -> Markup:
    """Everything that happened; ``marked`` are the operations that checks refer to."""
    axis = TimeAxis(record.length, _LEFT, _RIGHT)
    rows = stack(_rows(record, axis, list(marked.values())), _TOP)
    height = rows.height + _BOTTOM
    return tag(
        "svg",
        tag("title", f"What happened in {record.title}, over {seconds(record.length)}"),
        tag("desc", _described(record)),
        _patterns(),
        lanes.bands(record, axis, _TOP, rows.height),
        _time(axis, rows.height),
        rows.markup,
        xmlns=None,
        class_="picture",
        viewBox=f"0 0 {WIDTH} {height:.0f}",
        role="img",
        aria_label=f"Timeline of {record.title}",
    )


def _rows(record: Record, axis: TimeAxis, marked: Sequence[Operation]) -> Iterator[Row]:
    if record.faults or not record.changes:
        yield from lanes.faults(record, axis)
    yield from changes.lanes(record, axis)
    yield from lanes.virtual_ip(record, axis)
    yield from lanes.clusters(record, axis)
    yield from lanes.unready(record, axis)
    groups = by_workload(record.operations)
    if groups:
        yield heading(
            "Clients",
            axis,
            "latency of what was acknowledged (dots, or median and 95 % band); errors below; "
            "grey: nothing acknowledged",
        )
    up = latency.scale(record.operations)
    for name, found in sorted(groups.items()):
        own = [operation for operation in marked if operation.workload == name]
        yield latency.workload(found, axis, up, record.lags, own)


def _time(axis: TimeAxis, bottom: float) -> Markup:
    parts = []
    for t in axis.ticks():
        x = axis.x(t)
        parts.append(tag("line", class_="time", x1=x, x2=x, y1=_TOP, y2=bottom))
        for y in (15, bottom + 17):
            text = axis.label(t, axis.length)
            parts.append(tag("text", text, class_="tick", x=x, y=y, text_anchor="middle"))
    return join(parts)


def _patterns() -> Markup:
    """Hatchings, to tell states apart without colours."""
    stripes = [
        tag(
            "pattern",
            tag("rect", class_=f"{name}-ground", width=6, height=6),
            tag("line", class_=f"{name}-line", x1=0, x2=0, y1=0, y2=6),
            id=f"hatch-{name}",
            width="6",
            height="6",
            patternUnits="userSpaceOnUse",
            patternTransform="rotate(45)",
        )
        for name in ("away", "double", "missed", "odd")
    ]
    return tag("defs", *stripes)


def _described(record: Record) -> str:
    told = [
        f"{fault.said} at {seconds(fault.asked)}"
        + ("" if fault.bites is not None else " did not bite")
        for fault in record.faults[:20]
    ]
    said = f"Outcome {record.outcome}: {record.why}. Faults: {'; '.join(told) or 'none'}."
    made = [f"{each.said} at {seconds(each.asked)}" for each in record.changes]
    return f"{said} Changes: {'; '.join(made)}." if made else said
