"""Registers: few keys that are read, written, and compared and set; and reads after writes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from labctl.workloads.keys import key_of
from tests.mutation.stores import INCOMPLETE, WRONG, Mutant, Simulated, unread
from tests.mutation.world import RefusedError, Row, Run, Step


class Keys:
    """Key → value."""

    harmless = ("read",)

    def __init__(self, random: Random, settings: Mapping[str, Any], place: str = "") -> None:
        self._random, self._settings, self._place = random, settings, place
        self._there: dict[int, int] = {}
        self._seen: dict[int, int] = {}

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        key = key_of(number, self._settings)
        old = self._seen.get(key)
        choice = self._random.choice(
            ("read", "write", "cas") if old is not None else ("read", "write")
        )
        if choice == "read":
            yield "read", [key, None], ""
        elif choice == "write":
            yield "write", [key, number], ""
        else:
            yield "cas", [key, [old, number]], ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        key, asked = value
        if f == "write":
            self._there[key] = self._seen[key] = asked
        elif f == "cas":
            if self._there.get(key) != asked[0]:
                self._seen.pop(key, None)
                raise RefusedError(f"the value is not {asked[0]}")
            self._there[key] = self._seen[key] = asked[1]
        elif self._there.get(key) is not None:
            self._seen[key] = self._there[key]
        return [key, self._there.get(key)] if f == "read" else [key, asked]

    def finals(self, nodes: Sequence[str]) -> Any:
        rows = [[key, value] for key, value in self._there.items()]
        return {
            name: [list(row) for row in rows] for name in ([self._place] if self._place else nodes)
        }

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        return iter(())


class Follow(Keys):
    """Each worker writes its own key and reads it on every member."""

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        done = yield "write", [worker, number], ""
        if done is not None:
            for member in ("c1", "c2", "c3"):
                yield "read", [worker, None], member


def _reads(run: Run, name: str) -> list[Row]:
    return [r for r in run.events("ok", f="read", workload=name) if r["value"][1] is not None]


def nobody_wrote(run: Run, name: str, dice: Random) -> object:
    row = dice.choice(_reads(run, name)[3:])
    row["value"] = [row["value"][0], 987654]
    return True


def always_null(run: Run, name: str, _: Random) -> object:
    for row in run.events("ok", f="read", workload=name):
        row["value"] = [row["value"][0], None]
    return True


def of_another_key(run: Run, name: str, dice: Random) -> object:
    rows = _reads(run, name)
    row = dice.choice(rows[5:])
    others = [r["value"][1] for r in rows if r["value"][0] != row["value"][0]]
    if not others:
        return False
    row["value"] = [row["value"][0], dice.choice(others)]
    return True


def from_the_future(run: Run, name: str, _: Random) -> object:
    """A read of what is written only later."""
    for row in _reads(run, name):
        later = [
            r["value"][1]
            for r in run.events("ok", f="write", workload=name)
            if r["value"][0] == row["value"][0] and r["t"] > row["t"] + 2
        ]
        if later:
            row["value"] = [row["value"][0], later[0]]
            return True
    return False


def of_a_failed_write(run: Run, name: str, dice: Random) -> object:
    keys = {row["value"][0] for row in _reads(run, name)}
    failed = [r for r in run.events("fail", f="write", workload=name) if r["value"][0] in keys]
    for no in failed:
        later = [
            r for r in _reads(run, name) if r["value"][0] == no["value"][0] and r["t"] > no["t"]
        ]
        if later:
            dice.choice(later)["value"] = [no["value"][0], no["value"][1]]
            return True
    return False


def older_at_the_end(run: Run, name: str, dice: Random) -> object:
    for places in run.finals[name].values():
        for place in places:
            older = [
                r["value"][1] if r["f"] == "write" else r["value"][1][1]
                for r in run.events("ok", workload=name)
                if r["f"] in ("write", "cas") and r["value"][0] == place[0]
            ][:1]
            if older and older[0] != place[1]:
                place[1] = older[0]
    del dice
    return True


def no_keys_at_the_end(run: Run, name: str, _: Random) -> object:
    for place in run.finals[name]:
        run.finals[name][place] = []
    return True


def a_member_has_none(run: Run, name: str, dice: Random) -> object:
    if len(run.finals[name]) < 2:
        return False
    run.finals[name][dice.choice(sorted(run.finals[name]))] = []
    return True


def stale(run: Run, name: str, _: Random) -> object:
    """A read of an old value, long after another was acknowledged."""
    seen: dict[Any, Any] = {}
    for row in run.history:
        if row["w"] != name or row["type"] != "ok" or row["f"] not in ("read", "write"):
            continue
        key, value = row["value"]
        first = seen.setdefault(key, (value, row["t"]))
        if row["f"] == "read" and value != first[0] and row["t"] > first[1] + 3:
            row["value"] = [key, first[0]]
            return True
    return False


COMMON = (
    Mutant("a read of what nobody wrote", nobody_wrote),
    Mutant("reads are always null", always_null),
    Mutant("a read of another key's value", of_another_key),
    Mutant("a read of the future", from_the_future),
    Mutant("a read of a failed write", of_a_failed_write),
    Mutant("older at the end", older_at_the_end),
    Mutant("no keys at the end", no_keys_at_the_end),
    Mutant("a member has no keys", a_member_has_none),
    Mutant("a member was not read", unread, INCOMPLETE),
)


def _each(random: Random, settings: Mapping[str, Any]) -> Keys:
    return Keys(random, settings)


def _primary(random: Random, settings: Mapping[str, Any]) -> Keys:
    return Keys(random, settings, "primary")


def _follow(random: Random, settings: Mapping[str, Any]) -> Follow:
    return Follow(random, settings)


SIMULATED = (
    Simulated("galera", "register", _each, COMMON, "galera-writer"),
    Simulated("galera", "read-after-write", _follow, COMMON, "galera-writer"),
    Simulated(
        "mongodb",
        "register",
        _primary,
        (*COMMON, Mutant("a stale read", stale, WRONG)),
        "mongo-primary",
    ),
)
