"""Numbers as rows of an InnoDB table: written through the virtual IP, read on every member."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pymysql

from labctl.workloads.client import Config, RefusedError

# Rolled back for sure: unknown command while not Primary, deadlock (also a lost certification),
# lock wait timeout, too many connections, shutdown in progress.
_REFUSALS = frozenset({1047, 1213, 1205, 1040, 1053})
SCHEMA = "labctl_load"


class Table:
    """A table for one run."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._table = f"{SCHEMA}.{config['name']}"
        self._connection: Any = None

    def prepare(self) -> Mapping[str, Any]:
        """Make the table; says which member takes the writes."""
        with self._connect(self._config["host"]) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}")
            cursor.execute(f"CREATE TABLE {self._table} (value INT PRIMARY KEY)")
            cursor.execute("SELECT @@wsrep_node_name")
            return {"member": cursor.fetchone()[0]}

    def write(self, value: int) -> None:
        """Insert a row; its commit is the acknowledgement."""
        if self._connection is None:
            try:
                self._connection = self._connect(self._config["host"])
            except (pymysql.err.MySQLError, OSError) as error:
                raise RefusedError(str(error)) from None
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO {self._table} VALUES (%s)", (value,))  # noqa: S608
        except pymysql.err.MySQLError as error:
            if error.args and error.args[0] in _REFUSALS:
                raise RefusedError(str(error)) from None
            raise

    def read(self) -> Mapping[str, list[int]]:
        """The rows on each member, after everything that was committed before."""
        found = {}
        for name, address in self._config["members"].items():
            with self._connect(address) as connection, connection.cursor() as cursor:
                cursor.execute("SET SESSION wsrep_sync_wait = 1")
                cursor.execute(f"SELECT value FROM {self._table}")  # noqa: S608 - our own name
                found[name] = [row[0] for row in cursor.fetchall()]
        return found

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.err.Error, OSError):
                connection.close()

    def _connect(self, host: str) -> Any:
        wait = self._config["timeout"]
        return pymysql.connect(
            host=host,
            port=self._config["port"],
            user=self._config["user"],
            password=self._config["password"],
            connect_timeout=wait,
            read_timeout=wait,
            write_timeout=wait,
            autocommit=True,
        )


def connect(config: Config) -> Table:
    """For the loop."""
    return Table(config)
