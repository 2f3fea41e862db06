"""Services whose clock can differ from the machine's, by libfaketime. Pure data.

A service that is known to run under libfaketime declares the setting ``fake_clock``; where a
topology sets it to true, its instances run in their image's variant with the suffix ``-clock``,
which has the library, and read their clock's offset from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTING = "fake_clock"
FILE = "/etc/labctl/clock"
"""Holds the offset in seconds, with its sign."""
CACHED = 1.0
"""Seconds until a running process has read the file again."""

ENVIRONMENT: Mapping[str, str] = {
    # The loader replaces $LIB by the machine's own library directory.
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1",
    "FAKETIME_TIMESTAMP_FILE": FILE,
    # Read the file again in each new second.
    "FAKETIME_CACHE_DURATION": "0",
    # Setting a clock does not affect timers.
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


def faked(settings: Mapping[str, Any]) -> bool:
    """Whether a service with these settings in force runs under libfaketime."""
    return settings.get(SETTING) is True


def image(role: str) -> str:
    """The variant of an image role that has libfaketime."""
    return f"{role}-clock"


def content(seconds: float) -> bytes:
    """The file's content for a clock that is off by so many seconds."""
    return f"{seconds:+g}\n".encode()
