"""The ranges that a fault's figures must be in, for documents and for faults. Pure."""

from __future__ import annotations

LEAST_CPUS, MOST_CPUS = 0.01, 64.0
LEAST_MEMORY = 8 << 20
"""Bytes: engines refuse less than 6 MiB."""
SHORTEST_DELAY, LONGEST_DELAY = 0.01, 10.0
"""Seconds: pings on a busy machine may not detect less."""
LEAST_OFFSET, MOST_OFFSET = 5.0, 366 * 86400.0
"""Seconds that a clock may be off."""


def delay_problem(by: float, jitter: float) -> str | None:
    """What is wrong with a delay (in seconds), in one sentence; None when nothing is."""
    if not SHORTEST_DELAY <= by <= LONGEST_DELAY:
        return f"a delay is between 10 ms and 10 s, not {by * 1000:g} ms"
    if jitter > by / 2:
        return "a jitter is at most half of the delay, else the delay could not be detected"
    return None


def clock_problem(by: float) -> str | None:
    """What is wrong with a clock's offset in seconds, in one sentence; None when nothing is."""
    if not LEAST_OFFSET <= abs(by) <= MOST_OFFSET:
        return f"a clock is off by between 5 s and 366 days, not by {by:+g} s"
    return None
