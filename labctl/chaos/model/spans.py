"""Lengths of time as scenarios write them, and moments that a seed decides. Pure."""

from __future__ import annotations

from random import Random
from typing import Any

from labctl.model.spans import EXAMPLES, OFFSET, SPAN, offset, seconds

__all__ = [
    "MOMENT_SCHEMA",
    "OFFSET",
    "SPAN",
    "drawn",
    "latest",
    "moment",
    "offset",
    "seconds",
    "written",
]

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
            raise ValueError("should be {random: [5s, 20s]} or " + EXAMPLES)
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
