"""Services whose volumes can have a fixed size, so that they can fill up. Pure data.

A service that is known to work that way declares the setting ``disk``; where a topology gives it a
size, each volume of its instances is a file system of that size in memory. A container beside each
instance, its disk, keeps them mounted, so that their content survives the end of the instance and
of its node, and is removed with the lab.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.model.sizes import size_bytes

SETTING = "disk"
LEAST = 64 << 20
"""Bytes: no store starts with less."""


def size(settings: Mapping[str, Any]) -> int:
    """Bytes of each volume of a service with these settings; 0: it is on the engine's disk."""
    said = settings.get(SETTING)
    return size_bytes(said) if said is not None else 0


def problem(value: object) -> str | None:
    """What the setting should be, if ``value`` is not a valid size; else None."""
    try:
        fits = value is None or (isinstance(value, str) and size_bytes(value) >= LEAST)
    except ValueError:
        fits = False
    return None if fits else "a size such as 256M, of at least 64M"
