"""Lengths of time as scenarios write them, and moments that a seed decides. Pure."""

from __future__ import annotations

import re
from random import Random
from typing import Any

SPAN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
"""``40ms``, ``20s``, ``5m``, ``1h30m``."""

OFFSET = r"^-?" + SPAN[1:]
"""A span, or one backward: ``90s``, ``-90s``."""

MOMENT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": SPAN},
        {
            "type": "object",
            "properties": {
                "random": {
                    "type": "array",
                    "items": {"type": "string", "pattern": SPAN},
                    "minItems": 2,
                    "maxItems": 2,
                }
            },
            "required": ["random"],
            "additionalProperties": False,
        },
    ]
}

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_EXAMPLES = "a duration such as 500ms, 20s, 5m or 1h30m"


def seconds(text: str) -> float:
    """Seconds of a span. ValueError, one sentence, for anything else."""
    if not isinstance(text, str) or not re.fullmatch(SPAN, text):
        raise ValueError(f"is {text!r}, should be {_EXAMPLES}")
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|[smh])", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def offset(text: str) -> float:
    """Seconds of a span, or less than none of one with a ``-`` before it. ValueError else."""
    length = seconds(text.removeprefix("-"))
    return -length if text.startswith("-") else length


def written(length: float) -> str:
    """A length in seconds as a scenario writes it, to the millisecond: ``12.5s``."""
    milliseconds = round(length * 1000)
    if milliseconds % 1000 and milliseconds < 1000:
        return f"{milliseconds}ms"
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") + "s" if rest else f"{whole}s"


def moment(value: Any) -> Any:
    """``value`` when it is a span or ``{random: [from, to]}``. ValueError, one sentence."""
    if isinstance(value, dict):
        limits = value.get("random")
        if list(value) != ["random"] or not isinstance(limits, list) or len(limits) != 2:
            raise ValueError("should be {random: [5s, 20s]} or " + _EXAMPLES)
        if not seconds(limits[0]) < seconds(limits[1]):
            raise ValueError(f"random: {limits[0]} should be less than {limits[1]}")
        return value
    seconds(value)
    return value


def latest(value: Any) -> float:
    """The latest that a moment can be, in seconds."""
    return seconds(value["random"][1] if isinstance(value, dict) else value)


def drawn(value: Any, random: Random) -> float:
    """A moment in seconds, to the millisecond; drawn where it is random."""
    if isinstance(value, dict):
        low, high = map(seconds, value["random"])
        return round(random.uniform(low, high), 3)
    return seconds(value)
