"""What operations are about: keys, each for a bounded number of them, and parts of a set."""

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


ADDS = "``add``: number → number; ``read``: [low, high] → the numbers there from low to high"
"""What the operations of sets mean."""
_PART = 100
"""The most numbers that a read of a set asks for: a history keeps what it answers."""
_EVERY = 10


def key_of(number: int, config: Mapping[str, Any]) -> int:
    """The key of an operation: ``keys`` are in use until each has had ``per_key`` operations."""
    keys, per_key = int(config["keys"]), int(config["per_key"])
    return number // (keys * per_key) * keys + number % keys


def looks(number: int) -> bool:
    """Whether a write is followed by a read of what is there: a tenth are.

    Only if it was acknowledged: reads that are answered alone would hide that writes are not.
    """
    return number % _EVERY == _EVERY - 1


def part_of(number: int, random: Random) -> list[int]:
    """The numbers, from and to, that a read of a set asks for: the newest, or any others."""
    last = number if random.random() < 0.5 else random.randint(0, number)
    return [max(0, last - _PART + 1), last]


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
