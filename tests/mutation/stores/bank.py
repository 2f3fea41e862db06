"""Banks: transfers between accounts."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from tests.mutation.stores import INCOMPLETE, STALE, Mutant, Simulated, unread
from tests.mutation.world import RefusedError, Row, Run, Step


class Books:
    """Account → balance, on every member."""

    harmless = ("read",)

    def __init__(self, random: Random, settings: Mapping[str, Any]) -> None:
        self._random, self._accounts = random, settings["accounts"]
        self._there = dict.fromkeys(range(self._accounts), settings["balance"])

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        if number % 3 == 0:
            yield "read", None, ""
            return
        giver, taker = self._random.sample(range(self._accounts), 2)
        yield "transfer", {"from": giver, "to": taker, "amount": self._random.randint(1, 5)}, ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        if f == "read":
            return {str(account): balance for account, balance in self._there.items()}
        if self._there[value["from"]] < value["amount"]:
            raise RefusedError("too poor")
        self._there[value["from"]] -= value["amount"]
        self._there[value["to"]] += value["amount"]
        return value

    def finals(self, nodes: Sequence[str]) -> Any:
        return {name: {str(a): b for a, b in self._there.items()} for name in nodes}

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        return iter(())


def _reads(run: Run, name: str) -> list[Row]:
    return run.events("ok", f="read", workload=name)


def one_more(run: Run, name: str, dice: Random) -> object:
    dice.choice(_reads(run, name))["value"]["0"] += 1
    return True


def transfers_are_gone(run: Run, name: str, _: Random) -> object:
    """All of them: the accounts have what they had in the beginning."""
    for book in run.finals[name].values():
        for account in book:
            book[account] = 100
    return True


def a_transfer_is_done_again(run: Run, name: str, dice: Random) -> object:
    """More often than transfers of unknown end could account for."""
    value = dice.choice(run.events("ok", f="transfer", workload=name)[:30])["value"]
    unknown = sum(r["value"]["amount"] for r in run.events("info", f="transfer", workload=name))
    for book in run.finals[name].values():
        book[str(value["from"])] -= unknown + value["amount"]
        book[str(value["to"])] += unknown + value["amount"]
    return True


def below_zero(run: Run, name: str, dice: Random) -> object:
    book = dice.choice(_reads(run, name))["value"]
    book["1"] += book["0"] + 1
    book["0"] = -1
    return True


def a_member_differs(run: Run, name: str, dice: Random) -> object:
    book = run.finals[name][dice.choice(sorted(run.finals[name]))]
    book["0"] += 1
    book["1"] -= 1
    return True


def a_member_is_empty(run: Run, name: str, dice: Random) -> object:
    run.finals[name][dice.choice(sorted(run.finals[name]))] = {}
    return True


def a_member_is_null(run: Run, name: str, dice: Random) -> object:
    book = run.finals[name][dice.choice(sorted(run.finals[name]))]
    for account in book:
        book[account] = None
    return True


def a_member_lacks_an_account(run: Run, name: str, dice: Random) -> object:
    del run.finals[name][dice.choice(sorted(run.finals[name]))]["3"]
    return True


def all_lack_an_account(run: Run, name: str, _: Random) -> object:
    for book in run.finals[name].values():
        book["1"] += book.pop("3")
    return True


def empty_reads(run: Run, name: str, _: Random) -> object:
    for row in _reads(run, name):
        row["value"] = {}
    return True


def one_empty_read(run: Run, name: str, dice: Random) -> object:
    dice.choice(_reads(run, name))["value"] = {}
    return True


def a_read_lacks_an_account(run: Run, name: str, dice: Random) -> object:
    book = dice.choice(_reads(run, name))["value"]
    book["1"] += book.pop("3")
    return True


def stale(run: Run, name: str, _: Random) -> object:
    """A snapshot of the beginning, late."""
    rows = _reads(run, name)
    rows[len(rows) // 2]["value"] = dict(rows[0]["value"])
    return True


def swapped(run: Run, name: str, dice: Random) -> object:
    """Two snapshots that are far apart."""
    rows = _reads(run, name)
    at = dice.randrange(len(rows) // 2)
    one, two = rows[at], rows[at + len(rows) // 3]
    if one["value"] == two["value"]:
        return False
    one["value"], two["value"] = two["value"], one["value"]
    return True


def two_accounts_swapped(run: Run, name: str, dice: Random) -> object:
    """The total is right, and nothing else."""
    books = [row["value"] for row in _reads(run, name) if row["value"]["0"] != row["value"]["1"]]
    book = dice.choice(books)
    book["0"], book["1"] = book["1"], book["0"]
    return True


MUTANTS = (
    Mutant("a snapshot has one more", one_more),
    Mutant("the transfers are gone", transfers_are_gone),
    Mutant("a transfer is done again", a_transfer_is_done_again),
    Mutant("an account is below zero", below_zero),
    Mutant("a member differs", a_member_differs),
    Mutant("a member is empty", a_member_is_empty),
    Mutant("a member is full of NULL", a_member_is_null),
    Mutant("a member lacks an account", a_member_lacks_an_account),
    Mutant("all members lack an account", all_lack_an_account),
    Mutant("a member was not read", unread, INCOMPLETE),
    Mutant("all reads are empty", empty_reads),
    Mutant("a read is empty", one_empty_read),
    Mutant("a read lacks an account", a_read_lacks_an_account),
    Mutant("a stale snapshot", stale, missed=STALE),
    Mutant("two snapshots swapped", swapped),
    Mutant("two accounts swapped", two_accounts_swapped),
)


def _make(random: Random, settings: Mapping[str, Any]) -> Books:
    return Books(random, settings)


SIMULATED = (Simulated("galera", "bank", _make, MUTANTS, "galera-writer"),)
