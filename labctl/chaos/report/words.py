"""Figures and outcomes, formatted for people."""

from __future__ import annotations

import json
from typing import Any

SIGNS = {"VALID": "✓", "INVALID": "✗", "UNKNOWN": "?"}
"""The sign of each outcome, so that colour is never the only cue."""

KEPT = {
    "lost": "nothing lost",
    "duplicated": "nothing twice",
    "unexpected": "nothing unexpected",
    "recovered": "unknown ends resolved",
    "stale": "no stale reads",
    "lost update": "no lost updates",
    "serializable": "transactions in some order",
    "total conserved": "the total of accounts",
    "accounts": "all accounts",
    "snapshots": "what snapshots add up to",
    "linearizable": "linearizability",
    "members agree": "members agree",
    "two primaries": "never two primaries",
    "negative": "no negative balances",
    "reordered": "order",
    "order": "each publisher's order",
    "leaderless": "queues had leaders",
    "consumers": "consumers served",
    "holders": "one holder of the virtual IP",
    "client's holders": "one holder for the client",
    "stays dead": "nothing restarted by itself",
    "answers": "unchanged answers",
    "age": "no outdated measures",
    "latency": "answers in time",
    "orphans": "no orphans",
    "doubles": "no doubles",
    "stuck": "nothing stuck",
    "errors": "served at every moment",
    "clients": "no client left behind",
    "recovery": "latency as before",
    "member away": "no member left unprompted",
    "not ready": "nothing else was hit",
    "changed": "changes complete",
    "majority": "majorities kept",
    "steady": "steady again",
}
"""Check → what it found to be in order: the check itself is named after what may go wrong."""


def seconds(value: float | None) -> str:
    """A duration: ``12 ms``, ``1.24 s``, ``3 min 05 s``; ``-`` for None."""
    if value is None:
        return "-"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 9.995:
        return f"{value:.2f} s"
    if value < 119.95:
        return f"{value:.1f} s"
    # Rounded first, or 599.7 s were 9 min 60 s.
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s"


def moment(value: float | None) -> str:
    """A moment of a run, in seconds since it began; ``-`` for None."""
    return "-" if value is None else f"{value:.2f} s"


def count(value: int, one: str, more: str | None = None) -> str:
    """``1 operation``, ``2 operations``."""
    return f"{value:,} {one if value == 1 else more or one + 's'}".replace(",", "\N{THIN SPACE}")


def plain(value: Any, most: int = 160) -> str:
    """Any value on one line of at most ``most`` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def names(values: object, most: int = 6) -> str:
    """A list of names, the first ``most`` of them."""
    if not isinstance(values, list | tuple):
        return plain(values)
    shown = ", ".join(plain(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
