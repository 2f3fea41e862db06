"""Counters: a number that is incremented."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from tests.mutation.stores import INCOMPLETE, Mutant, Simulated
from tests.mutation.world import Row, Run, Step


class Count:
    """A number on the master."""

    harmless = ()

    def __init__(self, *_: Any) -> None:
        self._count = 0

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        yield "incr", None, ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        self._count += 1
        return self._count

    def finals(self, nodes: Sequence[str]) -> Any:
        return {"master": [self._count]}

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        return iter(())


def too_low(run: Run, name: str, _: Random) -> object:
    run.finals[name]["master"][0] -= 40
    return True


def too_high(run: Run, name: str, _: Random) -> object:
    run.finals[name]["master"][0] += 500
    return True


def nothing(run: Run, name: str, _: Random) -> object:
    run.finals[name]["master"] = [0]
    return True


def unread(run: Run, name: str, _: Random) -> object:
    run.finals[name]["master"] = None
    return True


def same_answer(run: Run, name: str, dice: Random) -> object:
    rows = run.events("ok", workload=name)[5:60]
    at = dice.randrange(1, len(rows))
    rows[at]["value"] = rows[at - 1]["value"]
    return True


def backwards(run: Run, name: str, dice: Random) -> object:
    """From a moment on it counts from an earlier number again."""
    rows = run.events("ok", workload=name)
    at = dice.randrange(20, 60)
    for row in rows[at:]:
        row["value"] -= 15
    run.finals[name]["master"][0] -= 15
    return True


def the_future(run: Run, name: str, dice: Random) -> object:
    dice.choice(run.events("ok", workload=name)[10:60])["value"] += 100000
    return True


_WHEN = "the checker of counters does not say when a count was lost: UNKNOWN"
MUTANTS = (
    Mutant("the counter is too low", too_low, missed=_WHEN),
    Mutant("the counter is too high", too_high),
    Mutant("the counter is zero", nothing, missed=_WHEN),
    Mutant("the counter was not read", unread, INCOMPLETE),
    Mutant("an answer twice", same_answer),
    Mutant("it counts back", backwards),
    Mutant("an answer from the future", the_future),
)


def _make(random: Random, settings: Mapping[str, Any]) -> Count:
    return Count()


SIMULATED = (Simulated("redis", "counter", _make, MUTANTS, "redis-master"),)
