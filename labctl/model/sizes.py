"""Sizes as documents write them: ``256M``. Pure."""

from __future__ import annotations

import re

PATTERN = r"^[1-9][0-9]*[KMG]$"

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_bytes(size: str) -> int:
    """Bytes of a size such as ``256M``, units being powers of 1024. ValueError if it is not one."""
    if re.fullmatch(PATTERN, size) is None:
        raise ValueError(f"{size!r} is not a size such as 256M")
    return int(size[:-1]) * _UNITS[size[-1]]
