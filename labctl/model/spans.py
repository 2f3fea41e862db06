"""Durations as documents write them. Pure."""

from __future__ import annotations

import re

SPAN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
"""``40ms``, ``20s``, ``5m``, ``1h30m``."""

OFFSET = r"^-?" + SPAN[1:]
"""A span that may be negative: ``90s``, ``-90s``."""

EXAMPLES = "a duration such as 500ms, 20s, 5m or 1h30m"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Seconds of a span. ValueError with one sentence for anything else."""
    if not isinstance(text, str) or not re.fullmatch(SPAN, text):
        raise ValueError(f"is {text!r}, should be {EXAMPLES}")
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|[smh])", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def offset(text: str) -> float:
    """Seconds of a span, negative after a ``-``. ValueError for anything else."""
    length = seconds(text.removeprefix("-"))
    return -length if text.startswith("-") else length
