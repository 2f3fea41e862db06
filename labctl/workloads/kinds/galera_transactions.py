"""Galera, several statements in a transaction: a bank, and lists that are appended to."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from labctl.workloads.entry import Entry
from labctl.workloads.keys import key_of
from labctl.workloads.model import Done, Operation, RefusedError
from labctl.workloads.sql import SERVICES, Table, place

_PARTS = 4
"""The most parts of a transaction on lists; every element is a number of its own."""
_APPENDS = 0.4
"""The share of appends among all parts but the first."""


class Bank(Table):
    """Accounts between which money is moved; their total never changes.

    The settings ``locking`` and ``spread`` can be such that it is not: updates of several members
    that do not lock what they read may be lost.
    """

    def fill(self, cursor: Any) -> None:
        """Give every account its ``balance``."""
        accounts = [(k, self.config["balance"]) for k in range(self.config["accounts"])]
        cursor.executemany(f"INSERT INTO {self.name} VALUES (%s, %s)", accounts)  # noqa: S608

    def session(self, worker: int, random: Random) -> _Teller:
        """A teller."""
        members = list(self.config["members"])
        spread = self.config["spread"]
        return _Teller(self, random, members[worker % len(members)] if spread else "")

    def final(self) -> dict[str, dict[str, int]]:
        """Account → balance on each member."""
        return {m: {str(k): v for k, v in rows} for m, rows in self.rows().items()}


class Append(Table):
    """Lists as comma-separated text by key; a transaction appends to some and reads some.

    With the setting ``lock_reads`` it locks what it reads, so that transactions are serializable.
    """

    columns = "k INT PRIMARY KEY, v TEXT NOT NULL"

    def session(self, worker: int, random: Random) -> _Lister:  # noqa: ARG002
        """A writer and reader of lists."""
        return _Lister(self, random)

    def final(self) -> dict[str, dict[str, list[int]]]:
        """Key → list on each member."""
        return {m: {str(k): _listed(v) for k, v in rows} for m, rows in self.rows().items()}


class _Session:
    def __init__(self, table: Table, random: Random, member: str = "") -> None:
        self.table, self.config, self.random = table.name, table.config, random
        self.server, self.at = table.server(member), member

    def close(self) -> None:
        self.server.close()


class _Teller(_Session):
    def steps(self, number: int) -> Iterator[Operation]:
        if number % 3 == 0:
            yield Operation("read", at=self.at, harmless=True)
            return
        giver, taker = self.random.sample(range(self.config["accounts"]), 2)
        amount = self.random.randint(1, 5)
        yield Operation("transfer", {"from": giver, "to": taker, "amount": amount}, self.at)

    def apply(self, operation: Operation) -> Done:
        if operation.f == "read":
            with self.server.cursor() as cursor:
                cursor.execute(f"SELECT k, v FROM {self.table}")  # noqa: S608
                return Done({str(k): v for k, v in cursor.fetchall()})
        self.server.transact(lambda cursor: self._transfer(cursor, **_named(operation.value)))
        return Done(operation.value)

    def _transfer(self, cursor: Any, giver: int, taker: int, amount: int) -> None:
        cursor.execute(
            f"SELECT k, v FROM {self.table}"  # noqa: S608
            f" WHERE k IN (%s, %s) ORDER BY k{' FOR UPDATE' if self.config['locking'] else ''}",
            (giver, taker),
        )
        balances = dict(cursor.fetchall())
        if balances[giver] < amount:
            raise RefusedError(f"account {giver} has {balances[giver]}")
        # Balances are computed from what was read: a lost update shows in the total.
        change = f"UPDATE {self.table} SET v = %s WHERE k = %s"  # noqa: S608
        cursor.execute(change, (balances[giver] - amount, giver))
        cursor.execute(change, (balances[taker] + amount, taker))


def _named(value: dict[str, int]) -> dict[str, int]:
    return {"giver": value["from"], "taker": value["to"], "amount": value["amount"]}


class _Lister(_Session):
    def __init__(self, table: Table, random: Random) -> None:
        super().__init__(table, random)
        self.lock = " FOR UPDATE" if self.config["lock_reads"] else ""

    def steps(self, number: int) -> Iterator[Operation]:
        keys, own = self.config["keys"], key_of(number, self.config)
        parts: list[list[Any]] = [["append", own, number * _PARTS]]
        for more in range(1, self.random.randint(2, _PARTS)):
            other = own - own % keys + self.random.randrange(keys)
            append = self.random.random() < _APPENDS
            parts.append(
                ["append", other, number * _PARTS + more] if append else ["r", other, None]
            )
        self.random.shuffle(parts)
        if self.config["lock_reads"]:
            # In the same order everywhere, they wait for each other instead of in a circle.
            parts.sort(key=lambda part: part[1])
        yield Operation("txn", parts)

    def apply(self, operation: Operation) -> Done:
        return Done(self.server.transact(lambda cursor: self._do(cursor, operation.value)))

    def _do(self, cursor: Any, parts: list[list[Any]]) -> list[list[Any]]:
        found: list[list[Any]] = []
        for f, key, value in parts:
            if f == "append":
                cursor.execute(
                    f"INSERT INTO {self.table} VALUES (%s, %s)"  # noqa: S608
                    " ON DUPLICATE KEY UPDATE v = CONCAT(v, ',', VALUES(v))",
                    (key, str(value)),
                )
                found.append([f, key, value])
            else:
                cursor.execute(
                    f"SELECT v FROM {self.table} WHERE k = %s{self.lock}",  # noqa: S608
                    (key,),
                )
                row = cursor.fetchone()
                found.append([f, key, _listed(row[0]) if row else []])
        return found


def _listed(text: str) -> list[int]:
    return [int(value) for value in text.split(",")]


ENTRIES = (
    Entry(
        kind="galera",
        way="bank",
        make=Bank,
        services=SERVICES,
        place=place,
        operations="``transfer``: {from, to, amount}; ``read``: null → {account: balance}",
        check="bank",
        # Whether a transfer locks what it reads; whether the tellers are spread over the members,
        # each connected to its own, instead of the virtual IP.
        settings={"accounts": 8, "balance": 100, "locking": True, "spread": False},
        # It reads FOR UPDATE, or changes a row in one statement.
        promised_by={"locking": True},
    ),
    Entry(
        kind="galera",
        way="append",
        make=Append,
        services=SERVICES,
        place=place,
        operations='``txn``: two to four of ["append", key, n] and ["r", key, null] → the same, '
        "with the lists read",
        check="append",
        settings={"keys": 5, "per_key": 50, "lock_reads": False},
        promised_by={"locking": True},
    ),
)
