"""A service whose clock can be set apart from the machine's, by libfaketime. Pure data.

A service that is known to run under libfaketime declares the setting ``fake_clock``; where a
topology says true, its instances run in the image of that name with ``-clock`` behind it, which has
the library, and read how far they are off from a file.
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
    # The loader puts the machine's own directory of libraries for $LIB.
    "LD_PRELOAD": "/usr/$LIB/faketime/libfaketimeMT.so.1",
    "FAKETIME_TIMESTAMP_FILE": FILE,
    # Read again in each new second.
    "FAKETIME_CACHE_DURATION": "0",
    # A clock that is set moves no timer.
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}


def faked(settings: Mapping[str, Any]) -> bool:
    """Whether a service with these settings in force runs under libfaketime."""
    return settings.get(SETTING) is True


def image(role: str) -> str:
    """The image role that is the same with libfaketime."""
    return f"{role}-clock"


def content(seconds: float) -> bytes:
    """What the file says for a clock that is off by so much."""
    return f"{seconds:+g}\n".encode()
