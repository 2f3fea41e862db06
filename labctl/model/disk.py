"""A service whose volumes can have a size of their own, so that they can be full. Pure data.

A service that is known to run so declares the setting ``disk``; where a topology gives it a size,
each volume of its instances is a file system of that size in memory. A container beside each
instance, its disk, keeps them mounted, so that what is on them outlives the instance and its
node's power, and goes with the lab.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.model.sizes import size_bytes

SETTING = "disk"
LEAST = 64 << 20
"""Bytes: no store begins with less."""


def size(settings: Mapping[str, Any]) -> int:
    """Bytes of each volume of a service with these settings in force; 0: the engine's own disk."""
    said = settings.get(SETTING)
    return size_bytes(said) if said is not None else 0


def problem(value: object) -> str | None:
    """What a setting should be that is no size; None when it is one."""
    try:
        fits = value is None or (isinstance(value, str) and size_bytes(value) >= LEAST)
    except ValueError:
        fits = False
    return None if fits else "a size such as 256M, of at least 64M"
