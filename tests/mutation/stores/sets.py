"""Sets: numbers that are added."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from tests.mutation.stores import INCOMPLETE, Mutant, Simulated, unread
from tests.mutation.world import Row, Run, Step


class Numbers:
    """Numbers, on every member or at one place."""

    harmless = ()

    def __init__(self, place: str = "") -> None:
        self._place, self._there = place, list[int]()

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        yield "add", number, ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        self._there.append(value)
        return value

    def finals(self, nodes: Sequence[str]) -> Any:
        return {name: list(self._there) for name in ([self._place] if self._place else nodes)}

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        return iter(())


def calm(run: Run, name: str, f: str = "add") -> list[Row]:
    """Acknowledgements long before the first fault, or of all if there is none."""
    first = min((row["began"] for row in run.timeline), default=1e9)
    return [row for row in run.events("ok", f=f, workload=name) if row["t"] < first - 14]


def gone(run: Run, name: str, dice: Random) -> object:
    row = dice.choice(calm(run, name))
    for values in run.finals[name].values():
        values.remove(row["value"])
    return True


def gone_in_a_row(run: Run, name: str, dice: Random) -> object:
    rows = calm(run, name)
    at = dice.randrange(len(rows) - 10)
    for values in run.finals[name].values():
        for row in rows[at : at + 8]:
            values.remove(row["value"])
    return True


def gone_everywhere(run: Run, name: str, _: Random) -> object:
    for values in run.finals[name].values():
        values.clear()
    return True


def every_eleventh_second(run: Run, name: str, _: Random) -> object:
    """One now and then, from the beginning to the end."""
    rows, last = run.events("ok", f="add", workload=name), -99.0
    for row in rows:
        if row["t"] >= last + 11:
            last = row["t"]
            for values in run.finals[name].values():
                values.remove(row["value"])
    return True


def after_the_end(run: Run, name: str, _: Random) -> object:
    """The last ones, long after the heal."""
    for row in run.events("ok", f="add", workload=name)[-3:]:
        for values in run.finals[name].values():
            values.remove(row["value"])
    return True


def on_one_member(run: Run, name: str, dice: Random) -> object:
    if len(run.finals[name]) < 2:
        return False
    values = run.finals[name][dice.choice(sorted(run.finals[name]))]
    values.remove(dice.choice(calm(run, name))["value"])
    return True


def emptied(run: Run, name: str, dice: Random) -> object:
    if len(run.finals[name]) < 2:
        return False
    run.finals[name][dice.choice(sorted(run.finals[name]))] = []
    return True


def unread_with_a_reason(run: Run, name: str, dice: Random) -> object:
    run.finals[name][dice.choice(sorted(run.finals[name]))] = {"error": "no connection"}
    return True


def nobody_asked(run: Run, name: str, dice: Random) -> object:
    values = dice.choice(list(run.finals[name].values()))
    values.append(987654)
    return True


def refused_and_there(run: Run, name: str, dice: Random) -> object:
    rows = run.events("fail", f="add", workload=name)
    if not rows:
        return False
    for values in run.finals[name].values():
        values.append(dice.choice(rows)["value"])
    return True


def twice(run: Run, name: str, dice: Random) -> object:
    for values in run.finals[name].values():
        values.append(dice.choice(calm(run, name))["value"])
    return True


def a_string(run: Run, name: str, dice: Random) -> object:
    """The right numbers as text are not the right numbers."""
    for values in run.finals[name].values():
        at = dice.randrange(5)
        values[at] = str(values[at])
    return True


MUTANTS = (
    Mutant("lost: one", gone),
    Mutant("lost: eight in a row", gone_in_a_row),
    Mutant("lost: all", gone_everywhere),
    Mutant("lost: one each eleven seconds", every_eleventh_second),
    Mutant("lost: the last ones", after_the_end),
    Mutant("a member lacks one", on_one_member),
    Mutant("a member is empty", emptied),
    Mutant("a member was not read", unread, INCOMPLETE),
    Mutant("a member was not read, and why", unread_with_a_reason, INCOMPLETE),
    Mutant("there though nobody asked", nobody_asked),
    Mutant("there though refused", refused_and_there),
    Mutant("there twice", twice),
    Mutant("there as text", a_string),
)


def _each(random: Random, settings: Mapping[str, Any]) -> Numbers:
    return Numbers()


def _master(random: Random, settings: Mapping[str, Any]) -> Numbers:
    return Numbers("master")


SIMULATED = (
    Simulated("galera", "set", _each, MUTANTS, "galera-writer"),
    Simulated("mongodb", "majority", _master, MUTANTS, "mongo-primary"),
    Simulated("mongodb", "w1", _master, MUTANTS, "mongo-primary"),
    Simulated("redis", "set", _master, MUTANTS, "redis-master"),
)
