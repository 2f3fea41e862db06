"""HTML and SVG as text: whatever is not made here is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_ALONE = frozenset(("br", "col", "hr", "meta", "circle", "line", "path", "polyline", "rect", "use"))
"""Elements without an end tag, of HTML, and of SVG where they are empty."""
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What neither HTML nor XML may contain, not even as a reference."""


class Safe(str):
    """Text that is markup already."""

    __slots__ = ()


Inside = str | Iterable[str]
Value = str | float | None


def clean(text: object) -> str:
    """Text without the characters that no document may contain; each becomes U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", str(text))


def escape(text: object) -> Safe:
    """Text as markup that shows it; Safe text stays as it is."""
    return text if isinstance(text, Safe) else Safe(html.escape(clean(text)))


def join(parts: Iterable[str], between: str = "") -> Safe:
    """One text of several, each escaped unless it is Safe."""
    return Safe(escape(between).join(escape(part) for part in parts))


def tag(name: str, /, *inside: Inside, **attributes: Value) -> Safe:
    """An element. ``class_`` is class, ``_`` in a name is ``-``; what is None is left out.

    Numbers are written with at most one decimal: a tenth of a pixel.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_written(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = "".join(escape(i) if isinstance(i, str) else join(i) for i in inside)
    if not content and name in _ALONE:
        return Safe(f"<{name}{said}/>")
    return Safe(f"<{name}{said}>{content}</{name}>")


def number(value: float) -> str:
    """A coordinate: one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def _written(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)
