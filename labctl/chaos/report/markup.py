"""HTML and SVG elements as text: whatever is not ``Markup`` already is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable

import markupsafe
from markupsafe import Markup

_VOID = frozenset(("br", "col", "hr", "meta", "circle", "line", "path", "polyline", "rect", "use"))
"""Elements without an end tag: HTML's, and those of SVG where they are empty."""
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that neither HTML nor XML may contain, not even as a reference."""

Content = str | Iterable[str]
Value = str | float | None


def clean(text: object) -> str:
    """Text in which every character that no document may contain has become U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", str(text))


def escape(text: object) -> Markup:
    """Text as markup that shows it; Markup stays as it is."""
    return text if isinstance(text, Markup) else markupsafe.escape(clean(text))


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """All parts in one, each of them and the separator escaped unless it is Markup."""
    return escape(separator).join(map(escape, parts))


def tag(name: str, /, *contents: Content, **attributes: Value) -> Markup:
    """An element. ``class_`` is class, ``_`` in a name is ``-``, an attribute of None is omitted.

    Numbers are written with at most one decimal: a tenth of a pixel.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(each) if isinstance(each, str) else join(each) for each in contents)
    if not inside and name in _VOID:
        return Markup(f"<{name}{written}/>")  # noqa: S704 - all of it is escaped above
    return Markup(f"<{name}{written}>{inside}</{name}>")  # noqa: S704 - as above


def number(value: float) -> str:
    """A coordinate, with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def _attribute(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)
