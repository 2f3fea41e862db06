"""Connections to Galera with timeouts, and which errors mean that nothing was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from labctl.workloads.entry import Driver, members
from labctl.workloads.model import Config, RefusedError

if TYPE_CHECKING:
    from labctl.model.lab import Lab

SERVICES = ("mariadb", "haproxy", "keepalived")
SCHEMA = "labctl_load"
pymysql: Any = Driver("pymysql")
REFUSALS = frozenset({1040, 1047, 1062, 1114, 1205, 1213})
"""Error codes after which nothing was committed: too many connections, not Primary, duplicate key,
table full, lock wait timeout, deadlock (also reported for a failed certification)."""


class Server:
    """A connection to a host, opened on first use."""

    def __init__(self, config: Config, host: str, settings: tuple[str, ...] = ()) -> None:
        self._config, self._host, self._settings = config, host, settings
        self._connection: Any = None

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """A cursor for one autocommitted statement. RefusedError when it certainly was not done."""
        with _classified(), self.connected().cursor() as cursor:
            yield cursor

    def transact(self, work: Callable[[Any], Any]) -> Any:
        """Do the work in a transaction and commit it; returns what the work returns.

        RefusedError for errors before the commit: a connection lost until then is rolled back.
        """
        connection = self.connected()
        try:
            connection.begin()
            with connection.cursor() as cursor:
                answer = work(cursor)
        except (pymysql.err.MySQLError, OSError) as error:
            self.close()
            raise RefusedError(str(error)) from None
        except RefusedError:
            with suppress(pymysql.err.MySQLError, OSError):
                connection.rollback()
            raise
        with _classified():
            connection.commit()
        return answer

    def connected(self) -> Any:
        """The open connection. RefusedError when it cannot be opened."""
        if self._connection is None:
            wait = self._config["timeout"]
            try:
                connection = pymysql.connect(
                    host=self._host,
                    port=self._config["port"],
                    user=self._config["user"],
                    password=self._config["password"],
                    connect_timeout=wait,
                    read_timeout=wait,
                    write_timeout=wait,
                    autocommit=True,
                )
                with connection.cursor() as cursor:
                    for setting in self._settings:
                        cursor.execute(f"SET SESSION {setting}")
            except (pymysql.err.MySQLError, OSError) as error:
                raise RefusedError(f"no connection: {error}") from None
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.err.MySQLError, OSError):
                connection.close()


@contextmanager
def _classified() -> Iterator[None]:
    try:
        yield
    except pymysql.err.MySQLError as error:
        if error.args and error.args[0] in REFUSALS:
            raise RefusedError(str(error)) from None
        raise


class Table:
    """A table for one run: created and written through the virtual IP, read on every member."""

    columns = "k INT PRIMARY KEY, v INT"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.name = f"{SCHEMA}.{config['id']}"

    def prepare(self) -> dict[str, Any]:
        """Create the table; returns the member that takes the writes."""
        server = self.server()
        with server.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {SCHEMA}")
            cursor.execute(f"CREATE TABLE {self.name} ({self.columns})")
            self.fill(cursor)
            cursor.execute("SELECT @@wsrep_node_name")
            member = cursor.fetchone()[0]
        server.close()
        return {"member": member}

    def fill(self, cursor: Any) -> None:
        """Insert the initial rows: none."""

    def server(self, member: str = "", *settings: str) -> Server:
        """A connection to a member, or to the one behind the virtual IP."""
        host = self.config["members"][member] if member else self.config["host"]
        return Server(self.config, host, settings)

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def rows(self) -> dict[str, list[Any]]:
        """The rows on each member, in order, including everything committed before."""
        found = {}
        for name in self.config["members"]:
            server = self.server(name, "wsrep_sync_wait = 1")
            with server.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {self.name} ORDER BY 1")  # noqa: S608 - our own name
                found[name] = list(cursor.fetchall())
            server.close()
        return found

    def clean(self) -> None:
        """Drop the table."""
        server = self.server()
        with server.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {self.name}")
        server.close()


def place(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Where Galera is in a lab, and as whom it is used."""
    account = {"user": "root", "password": secrets["mariadb.root"]}
    return {"host": lab.vip, "port": 3306, **account, "members": members(lab, "mariadb")}
