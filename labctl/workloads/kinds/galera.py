"""Galera, one statement at a time: a set, a register, and reads on all members after writes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from labctl.workloads.entry import Entry
from labctl.workloads.keys import ADDS, KEYS, REGISTER, looks, part_of, register_steps
from labctl.workloads.model import Done, Operation, RefusedError
from labctl.workloads.sql import SERVICES, Server, Table, place


class Set(Table):
    """Numbers as rows."""

    columns = "k INT PRIMARY KEY"

    def session(self, worker: int, random: Random) -> _Adder:  # noqa: ARG002 - all are alike
        """A writer, which also reads."""
        return _Adder(self, random)

    def final(self) -> dict[str, list[Any]]:
        """The numbers on each member."""
        return {member: [row[0] for row in rows] for member, rows in self.rows().items()}


class Register(Table):
    """Few keys, read and written through the virtual IP."""

    def session(self, worker: int, random: Random) -> _Registers:  # noqa: ARG002
        """A reader and writer."""
        return _Registers(self, random)

    def final(self) -> dict[str, list[Any]]:
        """[key, value] on each member."""
        return {member: [list(row) for row in rows] for member, rows in self.rows().items()}


class ReadAfterWrite(Table):
    """An increasing number for each worker, read on all members once a write is acknowledged.

    With the setting ``sync_wait`` those reads wait for what was committed before; with
    ``through_vip`` they go to the same member as the write, if the virtual IP leads to one only.
    """

    def session(self, worker: int, random: Random) -> _Follower:  # noqa: ARG002
        """A writer with a key of its own."""
        return _Follower(self, worker)

    def final(self) -> dict[str, list[Any]]:
        """[key, number] on each member."""
        return {member: [list(row) for row in rows] for member, rows in self.rows().items()}


class _Session:
    """A connection through the virtual IP."""

    def __init__(self, table: Table) -> None:
        self.table = table.name
        self.server = table.server()

    def close(self) -> None:
        self.server.close()

    def put(self, key: int, value: int) -> None:
        with self.server.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {self.table} VALUES (%s, %s)"  # noqa: S608
                " ON DUPLICATE KEY UPDATE v = VALUES(v)",
                (key, value),
            )

    def get(self, server: Server, key: int) -> int | None:
        with server.cursor() as cursor:
            cursor.execute(f"SELECT v FROM {self.table} WHERE k = %s", (key,))  # noqa: S608
            row = cursor.fetchone()
        return None if row is None else row[0]


class _Adder(_Session):
    def __init__(self, table: Table, random: Random) -> None:
        super().__init__(table)
        self._random, self._added = random, -1

    def steps(self, number: int) -> Iterator[Operation]:
        yield Operation("add", number)
        if looks(number) and self._added == number:
            yield Operation("read", part_of(number, self._random), harmless=True)

    def apply(self, operation: Operation) -> Done:
        if operation.f == "read":
            with self.server.cursor() as cursor:
                cursor.execute(
                    f"SELECT k FROM {self.table} WHERE k BETWEEN %s AND %s",  # noqa: S608
                    operation.value,
                )
                return Done([row[0] for row in cursor.fetchall()])
        with self.server.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {self.table} VALUES (%s)",  # noqa: S608
                (operation.value,),
            )
        self._added = operation.value
        return Done(operation.value)


class _Registers(_Session):
    def __init__(self, table: Table, random: Random) -> None:
        super().__init__(table)
        self._config, self._random = table.config, random
        self._seen: dict[int, int] = {}

    def steps(self, number: int) -> Iterator[Operation]:
        yield from register_steps(number, self._config, self._random, self._seen)

    def apply(self, operation: Operation) -> Done:
        key, value = operation.value
        if operation.f == "read":
            value = self.get(self.server, key)
        elif operation.f == "write":
            self.put(key, value)
        else:
            old, new = value
            with self.server.cursor() as cursor:
                changed = cursor.execute(
                    f"UPDATE {self.table} SET v = %s WHERE k = %s AND v = %s",  # noqa: S608
                    (new, key, old),
                )
            if not changed:
                self._seen.pop(key, None)
                raise RefusedError(f"the value is not {old}")
        self._seen[key] = value[1] if operation.f == "cas" else value
        return Done([key, value])


class _Follower(_Session):
    def __init__(self, table: Table, worker: int) -> None:
        super().__init__(table)
        wait = f"wsrep_sync_wait = {int(table.config['sync_wait'])}"
        self._key, self._written = worker, -1
        ways = [("" if table.config["through_vip"] else name) for name in table.config["members"]]
        self._readers = [(way, table.server(way, wait)) for way in ways]
        self._reader = self.server

    def steps(self, number: int) -> Iterator[Operation]:
        yield Operation("write", [self._key, number])
        if self._written == number:
            for member, reader in self._readers:
                self._reader = reader
                yield Operation("read", [self._key, None], at=member, harmless=True)

    def apply(self, operation: Operation) -> Done:
        key, value = operation.value
        if operation.f == "read":
            return Done([key, self.get(self._reader, key)])
        self.put(key, value)
        self._written = value
        return Done([key, value])

    def close(self) -> None:
        super().close()
        for _, server in self._readers:
            server.close()


ENTRIES = (
    Entry("galera", "set", Set, SERVICES, place, ADDS, "sets"),
    Entry("galera", "register", Register, SERVICES, place, REGISTER, "register", KEYS),
    Entry(
        kind="galera",
        way="read-after-write",
        make=ReadAfterWrite,
        services=SERVICES,
        place=place,
        operations="``write``: [key, n] with n rising; ``read``: [key, null] → [key, n], ``at`` "
        "another member, begun after the write was acknowledged",
        check="reads",
        # Whether reads wait for what was committed before them; whether they go through the virtual
        # IP, each on a connection of its own, instead of to the members.
        settings={"sync_wait": False, "through_vip": False},
    ),
)
