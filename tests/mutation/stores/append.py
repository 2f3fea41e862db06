"""Lists that transactions append to."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from labctl.workloads.keys import key_of
from tests.mutation.stores import INCOMPLETE, STALE, Mutant, Simulated, unread
from tests.mutation.world import Row, Run, Step


class Lists:
    """Key → list, on every member."""

    harmless = ()

    def __init__(self, random: Random, settings: Mapping[str, Any]) -> None:
        self._random, self._settings = random, settings
        self._there: dict[int, list[int]] = {}

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        keys = self._settings["keys"]
        own = key_of(number, self._settings)
        other = own - own % keys + self._random.randrange(keys)
        parts: list[list[Any]] = [["append", own, number], ["r", other, None]]
        self._random.shuffle(parts)
        yield "txn", parts, ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        done: list[list[Any]] = []
        for kind, key, item in value:
            if kind == "append":
                self._there.setdefault(key, []).append(item)
                done.append([kind, key, item])
            else:
                done.append([kind, key, list(self._there.get(key, []))])
        return done

    def finals(self, nodes: Sequence[str]) -> Any:
        return {n: {str(k): list(v) for k, v in self._there.items()} for n in nodes}

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        return iter(())


def _reads(run: Run, name: str, least: int = 3) -> list[list[Any]]:
    """The parts that read a list of so many."""
    return [
        part
        for row in run.events("ok", f="txn", workload=name)
        for part in row["value"]
        if part[0] == "r" and len(part[2]) >= least
    ]


def _some(run: Run, name: str, dice: Random) -> tuple[str, Any]:
    row = dice.choice(run.events("ok", f="txn", workload=name)[3:40])
    part = next(part for part in row["value"] if part[0] == "append")
    return str(part[1]), part[2]


def lost(run: Run, name: str, dice: Random) -> object:
    key, item = _some(run, name, dice)
    for book in run.finals[name].values():
        book[key].remove(item)
    return True


def lost_from_a_list(run: Run, name: str, dice: Random) -> object:
    """The end of a list."""
    key = dice.choice(sorted(next(iter(run.finals[name].values()))))
    for book in run.finals[name].values():
        del book[key][len(book[key]) // 2 :]
    return True


def swapped(run: Run, name: str, dice: Random) -> object:
    part = dice.choice(_reads(run, name))
    part[2][0], part[2][1] = part[2][1], part[2][0]
    return True


def swapped_at_the_end(run: Run, name: str, dice: Random) -> object:
    book = run.finals[name][dice.choice(sorted(run.finals[name]))]
    values = max(book.values(), key=len)
    values[0], values[1] = values[1], values[0]
    return True


def twice(run: Run, name: str, dice: Random) -> object:
    part = dice.choice(_reads(run, name))
    part[2].append(part[2][0])
    return True


def strange(run: Run, name: str, dice: Random) -> object:
    dice.choice(_reads(run, name))[2].append(987654)
    return True


def hole(run: Run, name: str, dice: Random) -> object:
    """A read that misses one in the middle."""
    del dice.choice(_reads(run, name, 4))[2][1]
    return True


def a_member_lacks_one(run: Run, name: str, dice: Random) -> object:
    book = run.finals[name][dice.choice(sorted(run.finals[name]))]
    max(book.values(), key=len).pop()
    return True


def a_member_is_empty(run: Run, name: str, dice: Random) -> object:
    run.finals[name][dice.choice(sorted(run.finals[name]))] = {}
    return True


def refused_and_there(run: Run, name: str, dice: Random) -> object:
    rows = run.events("fail", f="txn", workload=name)
    if not rows:
        return False
    part = next(p for p in dice.choice(rows)["value"] if p[0] == "append")
    for book in run.finals[name].values():
        book.setdefault(str(part[1]), []).append(part[2])
    return True


def from_the_future(run: Run, name: str, _: Random) -> object:
    """A read has what is appended only seconds later."""
    asked = {
        part[2]: row["t"]
        for row in run.events("invoke", f="txn", workload=name)
        for part in row["value"]
        if part[0] == "append"
    }
    whole = next(iter(run.finals[name].values()))
    for row in run.events("ok", f="txn", workload=name):
        for part in row["value"]:
            final = whole.get(str(part[1]), [])
            if part[0] == "r" and len(final) > len(part[2]) + 3:
                coming = final[: len(part[2]) + 3]
                if asked.get(coming[-1], 0) > row["t"] + 1:
                    part[2] = coming
                    return True
    return False


def own_append_unseen(run: Run, name: str, _: Random) -> object:
    """A transaction does not read what it appended itself before."""
    for row in run.events("ok", f="txn", workload=name):
        first, second = row["value"]
        if first[0] == "append" and second[0] == "r" and first[1] == second[1]:
            second[2] = [each for each in second[2] if each != first[2]]
            return True
    return False


def stale(run: Run, name: str, _: Random) -> object:
    """A read of the empty list, long after others saw more."""
    seen: dict[Any, float] = {}
    for row in run.events("ok", f="txn", workload=name):
        for part in row["value"]:
            if part[0] == "r" and part[2] and row["t"] > seen.setdefault(part[1], row["t"]) + 4:
                part[2] = part[2][:1]
                return True
    return False


MUTANTS = (
    Mutant("lost: one", lost),
    Mutant("lost: half a list", lost_from_a_list),
    Mutant("two swapped in a read", swapped),
    Mutant("two swapped on a member", swapped_at_the_end),
    Mutant("twice in a read", twice),
    Mutant("in a read though nobody asked", strange),
    Mutant("a hole in a read", hole),
    Mutant("a member lacks one", a_member_lacks_one),
    Mutant("a member is empty", a_member_is_empty),
    Mutant("a member was not read", unread, INCOMPLETE),
    Mutant("there though refused", refused_and_there),
    Mutant("a read of the future", from_the_future),
    Mutant("its own append is not read", own_append_unseen),
    Mutant("a stale read", stale, missed=STALE),
)


def _make(random: Random, settings: Mapping[str, Any]) -> Lists:
    return Lists(random, settings)


SIMULATED = (Simulated("galera", "append", _make, MUTANTS, "galera-writer"),)
