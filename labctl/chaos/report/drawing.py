"""The building blocks of the picture: rows, bars with a tooltip, labels, headings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from labctl.chaos.report.axis import TimeAxis
from labctl.chaos.report.markup import join, tag

LABEL_GAP = 10
_LETTER = 6.3
"""Approximate width of a letter in pixels: system fonts differ."""


@dataclass(frozen=True)
class Row:
    """A part of the picture, ``height`` pixels high, drawn from 0 downwards."""

    markup: Markup
    height: float


def stack(rows: Iterable[Row], top: float = 0.0) -> Row:
    """Rows one below the other."""
    parts, y = [], top
    for row in rows:
        parts.append(tag("g", row.markup, transform=f"translate(0 {y:.1f})"))
        y += row.height
    return Row(join(parts), y)


def heading(text: str, axis: TimeAxis, remark: str = "") -> Row:
    """The title of a group of rows, with a line across."""
    line = tag("line", class_="rule", x1=8, x2=axis.right, y1=10, y2=10)
    title = tag("text", text, class_="group", x=8, y=28)
    said = tag("text", remark, class_="remark", x=axis.left, y=28) if remark else Markup("")
    return Row(join((line, title, said)), 36)


def label(text: str, axis: TimeAxis, y: float, class_: str = "lane") -> Markup:
    """A row's name, left of the axis."""
    shown = text if len(text) <= 25 else text[:24] + "…"
    return tag("text", shown, class_=class_, x=axis.left - LABEL_GAP, y=y, text_anchor="end")


def bar(axis: TimeAxis, start: float, end: float, y: float, height: float, **more: str) -> Markup:
    """A span of time; ``tip`` is its tooltip, ``class_`` its CSS class."""
    x = axis.x(start)
    width = max(axis.x(end) - x, 1.5)
    tip = more.pop("tip", "")
    inside = (tag("title", tip),) if tip else ()
    return tag("rect", *inside, x=x, y=y, width=width, height=height, **more)


class Room:
    """The free space of a line of texts: one that would overlap another is left out."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float]] = []

    def take(self, left: float, right: float) -> bool:
        """Whether the space between two pixels is free; if so, it is taken."""
        free = all(right <= begin or end <= left for begin, end in self._taken)
        if free:
            self._taken.append((left, right))
        return free


def width_of(text: str) -> float:
    """The approximate width of a text in pixels."""
    return _LETTER * len(text)
