"""Sizes as documents write them: ``256M``. Pure, and no document in it."""

from __future__ import annotations

import re

PATTERN = r"^[1-9][0-9]*[KMG]$"

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_bytes(size: str) -> int:
    """Bytes of a size such as ``256M``; units are powers of 1024."""
    if re.fullmatch(PATTERN, size) is None:
        raise ValueError(f"{size!r} is no size such as 256M")
    return int(size[:-1]) * _UNITS[size[-1]]
