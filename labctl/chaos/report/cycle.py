"""A cycle among transactions, drawn: each came before the next, and the last before the first."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from labctl.chaos.report.markup import join, tag
from labctl.chaos.report.record import time_of
from labctl.chaos.report.words import moment, plain

_MOST = 12
"""The most transactions that are drawn."""
_WIDTH, _BOX, _GAP, _LEFT = 620, 30, 44, 40


def cycle(links: Any) -> Markup:
    """The links of a check's ``cycle`` in ``verdict.json`` as a drawing; nothing if it has none."""
    known = [each for each in links if isinstance(each, dict)] if isinstance(links, list) else []
    if not known:
        return Markup("")
    drawn = known[:_MOST]
    step = _BOX + _GAP
    rows = [_row(link, place * step, place + 1 < len(drawn)) for place, link in enumerate(drawn)]
    bottom = (len(drawn) - 1) * step + _BOX
    back = plain(drawn[-1].get("kind", ""), 20)
    middle, edge = _BOX / 2, _LEFT - 6
    around = f"M{_LEFT} {bottom - middle} H12 V{middle} H{edge}"
    head = f"M{edge - 8} {middle - 5} L{edge} {middle} L{edge - 8} {middle + 5}"
    more = f", of which {len(drawn)} are drawn" if len(known) > len(drawn) else ""
    return tag(
        "svg",
        tag("title", f"A cycle of {len(known)} transactions{more}"),
        *rows,
        tag("path", d=around, class_="edge", fill="none", stroke="currentColor"),
        tag("path", d=head, class_="edge", fill="none", stroke="currentColor"),
        tag("text", back, x=16, y=bottom + 16, class_="remark"),
        viewBox=f"0 0 {_LEFT + _WIDTH} {bottom + 24}",
        width=float(_LEFT + _WIDTH),
        height=float(bottom + 24),
        role="img",
        class_="cycle",
    )


def _row(link: dict[str, Any], top: float, leads: bool) -> Markup:
    """A transaction, and the arrow to the next one."""
    at = time_of(link.get("t"))
    when = f"{moment(at)} " if at is not None else ""
    what = f"{when}process {plain(link.get('p', '-'), 12)}: {plain(link.get('value', ''), 64)}"
    x, y = _LEFT + 24.0, top + _BOX
    parts = [
        tag(
            "rect",
            x=float(_LEFT),
            y=top,
            width=float(_WIDTH - 4),
            height=float(_BOX),
            rx=4.0,
            fill="none",
            stroke="currentColor",
        ),
        tag("text", what, x=_LEFT + 8.0, y=top + 20, class_="lane"),
    ]
    if leads:
        head = f"M{x - 5} {y + _GAP - 8} L{x} {y + _GAP} L{x + 5} {y + _GAP - 8}"
        kind = plain(link.get("kind", ""), 20)
        parts += [
            tag("path", d=f"M{x} {y} V{y + _GAP}", class_="edge", stroke="currentColor"),
            tag("path", d=head, class_="edge", fill="none", stroke="currentColor"),
            tag("text", kind, x=x + 10, y=y + 18, class_="group"),
        ]
        parts.append(tag("text", _said(link), x=x + 10, y=y + 34, class_="remark"))
    else:
        parts.append(tag("text", _said(link), x=x + 40, y=y + 16, class_="remark"))
    return tag("g", join(parts))


def _said(link: dict[str, Any]) -> str:
    return plain(link.get("said", ""), 88)
