"""Levels of isolation, each with the anomalies that it is the weakest to forbid. Pure.

After Adya ("Weak Consistency", 1999), for transactions that read and write single items by key;
with no predicates there are no phantoms, so repeatable read is serializable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Level = Literal[
    "none", "read committed", "snapshot isolation", "serializable", "strict serializable"
]
"""From the weakest to the strongest: what one forbids, all after it forbid too."""

LEVELS: tuple[Level, ...] = get_args(Level)

ANOMALIES: Mapping[str, tuple[Level, str]] = {
    "G0": ("read committed", "write cycle: transactions overwrite each other's writes"),
    "G1b": ("read committed", "intermediate read: of a write that its transaction overwrote"),
    "G1c": ("read committed", "circular information flow: transactions see each other's writes"),
    "dirty update": ("read committed", "an acknowledged write builds on one that was undone"),
    "internal": ("snapshot isolation", "a transaction does not see what it read or wrote before"),
    "lost update": ("snapshot isolation", "several transactions changed the same version"),
    "G-single": ("snapshot isolation", "read skew: a transaction sees part of another"),
    "G-nonadjacent": ("snapshot isolation", "transactions see different snapshots"),
    "G2-item": ("serializable", "write skew: transactions miss each other's writes"),
}
"""Anomaly → the weakest level that forbids it, and what it is."""


def forbids(level: Level, weakest: Level) -> bool:
    """Whether a level forbids what ``weakest`` is the weakest to forbid."""
    return LEVELS.index(level) >= LEVELS.index(weakest)
