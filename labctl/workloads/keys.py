"""The keys of an operation: a few are in use at a time, each for a bounded number of operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from labctl.workloads.model import Operation

KEYS: Mapping[str, Any] = {"keys": 5, "per_key": 100}
"""So many keys at a time, each left for another after so many operations."""
REGISTER = (
    "``read``: [key, null] → [key, value]; ``write``: [key, value]; ``cas``: [key, [old, new]], "
    "which fails when the old value is another"
)
"""What the operations of registers mean."""


def key_of(number: int, config: Mapping[str, Any]) -> int:
    """The key of an operation: ``keys`` are in use until each has had ``per_key`` operations."""
    keys, per_key = int(config["keys"]), int(config["per_key"])
    return number // (keys * per_key) * keys + number % keys


def register_steps(
    number: int, config: Mapping[str, Any], random: Random, seen: Mapping[int, int | None]
) -> Iterator[Operation]:
    """A read, a write of a unique value, or a compare-and-set of the value seen last."""
    key = key_of(number, config)
    old = seen.get(key)
    choice = random.choice(("read", "write", "cas") if old is not None else ("read", "write"))
    if choice == "read":
        yield Operation("read", [key, None], harmless=True)
    elif choice == "write":
        yield Operation("write", [key, number])
    else:
        yield Operation("cas", [key, [old, number]])
