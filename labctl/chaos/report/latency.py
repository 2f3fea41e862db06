"""A workload over time: latency on a logarithmic scale, errors, and gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from labctl.chaos.folder.history import End, Operation
from labctl.chaos.report.axis import LogAxis, TimeAxis, decades
from labctl.chaos.report.bins import POINTS, Bin, bins, quantile
from labctl.chaos.report.drawing import Room, Row, bar, width_of
from labctl.chaos.report.markup import join, number, tag
from labctl.chaos.report.operations import gaps
from labctl.chaos.report.words import moment, plain, seconds

_MOST_BINS, _LEAST_BINS, _EACH = 330, 100, 6
"""Slices: as many as can be told apart, fewer if few operations would make the curve jagged."""
_TOP, _HIGH, _ERRORS, _FOOT = 14, 76, 20, 18
_MOST_GAPS = 12
_LOW = 0.02
"""Share of operations that may be faster than where the scale begins: they are of no interest."""


def scale(found: Iterable[Operation]) -> LogAxis:
    """One scale for all workloads, to compare them."""
    took = sorted(o.seconds for o in found if o.end == "ok" and o.seconds)
    low, high = (quantile(took, _LOW), took[-1]) if took else (0.001, 0.1)
    return decades(low, high, _TOP, _TOP + _HIGH)


def workload(
    found: Sequence[Operation],
    axis: TimeAxis,
    up: LogAxis,
    lags: Sequence[tuple[float, float]],
    marked: Iterable[Operation],
) -> Row:
    """One workload's row; ``marked`` operations, which a check refers to, are linked."""
    many = min(max(len(found) // _EACH, _LEAST_BINS), _MOST_BINS)
    slices, width = bins(found, axis.length, many), axis.length / many
    base = up.bottom + 6 + _ERRORS
    few = sum(o.end == "ok" for o in found) <= POINTS
    parts = [
        _words(found[0].workload, found, up),
        _grid(axis, up),
        *(_lag(lag, axis, up) for lag in lags),
        *_gaps(found, axis, up),
        _points(found, axis, up) if few else _band(slices, width, axis, up),
        _errors(slices, width, axis, base),
        *(_mark(operation, axis) for operation in marked),
    ]
    return Row(join(parts), base + _FOOT)


def _words(name: str, found: Sequence[Operation], up: LogAxis) -> Markup:
    ends = [o.end for o in found]
    y = up.top + 10
    shown = name if len(name) <= 18 else name[:17] + "…"
    # Above the scale's topmost figure, which it would overlap.
    lines = [tag("text", tag("title", name), shown, class_="workload", x=8, y=up.top - 2)]
    kinds: tuple[tuple[End, str], ...] = (("ok", "ok"), ("fail", "fail"), ("info", "unknown"))
    for place, (end, what) in enumerate(kinds):
        many = ends.count(end)
        words = f"{many} {what}"
        at = y + 15 + 15 * place
        lines.append(tag("rect", class_=f"key {end}", x=8, y=at - 8, width=8, height=8, rx=2))
        lines.append(tag("text", words, class_="small", x=21, y=at))
    return join(lines)


def _grid(axis: TimeAxis, up: LogAxis) -> Markup:
    lines = []
    for value in up.ticks():
        y = up.y(value)
        lines.append(tag("line", class_="grid", x1=axis.left, x2=axis.right, y1=y, y2=y))
        text = f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"
        lines.append(
            tag("text", text, class_="tick", x=axis.left - 8, y=y + 3.5, text_anchor="end")
        )
    return join(lines)


def _points(found: Sequence[Operation], axis: TimeAxis, up: LogAxis) -> Markup:
    """A dot for each acknowledgement, as one path: a dot is a line of length 0 with round ends."""
    dots = "".join(
        f"M{number(axis.x(o.ended))} {number(up.y(o.seconds))}h0"
        for o in found
        if o.end == "ok" and o.ended is not None and o.seconds is not None
    )
    return tag("path", class_="dots", d=dots) if dots else Markup("")


def _band(slices: Sequence[Bin], width: float, axis: TimeAxis, up: LogAxis) -> Markup:
    """The median as a line, the 95th percentile above it as a band; interrupted by gaps."""
    runs: list[list[Bin]] = []
    for each in (s for s in slices if s.p50 is not None):
        if runs and each.start - runs[-1][-1].start < 2.5 * width:
            runs[-1].append(each)
        else:
            runs.append([each])
    parts = []
    for run in runs:
        # From the start of the first slice to the end of the last: so a single one is visible.
        ends = [run[0].start, *(s.start + width / 2 for s in run), run[-1].start + width]
        xs, shown = [axis.x(t) for t in ends], [run[0], *run, run[-1]]
        middle = [(x, up.y(s.p50 or 0)) for x, s in zip(xs, shown, strict=True)]
        high = [(x, up.y(s.p95 or 0)) for x, s in zip(xs, shown, strict=True)]
        parts.append(tag("path", class_="p95", d=_path([*middle, *reversed(high)]) + "Z"))
        parts.append(tag("path", class_="p50", d=_path(middle)))
    return join(parts)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def _errors(slices: Sequence[Bin], width: float, axis: TimeAxis, base: float) -> Markup:
    """Failed and unknown operations of each slice, stacked; the highest fills the strip."""
    wrong = [s for s in slices if s.fail or s.info]
    most = max((s.fail + s.info for s in wrong), default=1)
    parts = [tag("line", class_="grid", x1=axis.left, x2=axis.right, y1=base, y2=base)]
    for each in wrong:
        y = base
        for end, many in (("fail", each.fail), ("info", each.info)):
            if many:
                high = max(_ERRORS * many / most, 2.5)
                y -= high
                tip = f"{many} {'failed' if end == 'fail' else 'unknown'} at {moment(each.start)}"
                part = bar(axis, each.start, each.start + width, y, high, class_=end, tip=tip)
                parts.append(part)
    said = f"errors, max {most}" if wrong else "no errors"
    parts.append(tag("text", said, class_="tick", x=axis.left - 8, y=base, text_anchor="end"))
    return join(parts)


def _gaps(found: Sequence[Operation], axis: TimeAxis, up: LogAxis) -> Iterable[Markup]:
    # The longest come first, so they get their labels.
    room = Room()
    for gap in gaps(found)[:_MOST_GAPS]:
        tip = f"no acknowledgement for {seconds(gap.seconds)} from {moment(gap.start)}"
        yield bar(axis, gap.start, gap.end, up.top, up.bottom - up.top, class_="gap", tip=tip)
        text = seconds(gap.seconds)
        middle = (axis.x(gap.start) + axis.x(gap.end)) / 2
        fits = width_of(text) < axis.x(gap.end) - axis.x(gap.start)
        y = up.top + 42 if fits else up.top - 3
        half = width_of(text) / 2 + 2
        if room.take(middle - half, middle + half):
            yield tag("text", text, class_="gaplabel", x=middle, y=y, text_anchor="middle")


def _lag(lag: tuple[float, float], axis: TimeAxis, up: LogAxis) -> Markup:
    begin, end = lag
    tip = f"the client itself did not run for {seconds(end - begin)}"
    return bar(axis, begin, end, up.top, up.bottom - up.top, class_="lag", tip=tip)


def _mark(operation: Operation, axis: TimeAxis) -> Markup:
    x = axis.x(operation.began)
    said = plain(operation.value, 60)
    tip = f"{operation.f} {said} at {moment(operation.began)}: a check refers to it"
    shape = tag("path", tag("title", tip), class_="mark", d=f"M{number(x)} 1l5 5l-5 5l-5-5z")
    return tag("a", shape, href=f"#op-{operation.number}")
