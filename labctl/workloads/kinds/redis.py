"""Redis: a set and a counter, written to the master that Sentinel names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from labctl.workloads.entry import Driver, Entry, members
from labctl.workloads.keys import ADDS, looks, part_of
from labctl.workloads.model import Config, Done, Operation, RefusedError

if TYPE_CHECKING:
    from labctl.model.lab import Lab

redis: Any = Driver("redis")
_sentinel: Any = Driver("redis.sentinel")


class Key:
    """A key for one run."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self) -> dict[str, Any]:
        """Find the master; returns its node."""
        master = Master(self.config)
        master.client()
        master.close()
        return {"member": master.at}

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def clean(self) -> None:
        """Delete the key."""
        master = Master(self.config)
        master.client().delete(self.config["id"])
        master.close()


class Set(Key):
    """Numbers as members of a set."""

    def session(self, worker: int, random: Random) -> _Adder:  # noqa: ARG002 - all are alike
        """A writer, which also reads."""
        return _Adder(self.config, random)

    def final(self) -> dict[str, list[int]]:
        """The set as the master has it."""
        members = Master(self.config).client().smembers(self.config["id"])
        return {"master": sorted(int(value) for value in members)}


class Counter(Key):
    """A number that is incremented."""

    def session(self, worker: int, random: Random) -> _Counter:  # noqa: ARG002 - all are alike
        """A client that counts."""
        return _Counter(self.config)

    def final(self) -> dict[str, list[int]]:
        """The counter as the master has it."""
        return {"master": [int(Master(self.config).client().get(self.config["id"]) or 0)]}


class Master:
    """A connection to the master, which Sentinel is asked for each time it is opened."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._names = {host: name for name, host in config["members"].items()}
        wait = config["timeout"]
        self._sentinel = _sentinel.Sentinel(
            [(host, config["port"]) for host in config["members"].values()],
            socket_timeout=wait,
            socket_connect_timeout=wait,
        )
        self._client: Any = None
        self.at = ""
        """The master's node."""

    def client(self) -> Any:
        """The client, after a successful ping. RefusedError when there is no connection."""
        if self._client is None:
            try:
                host, port = self._sentinel.discover_master(self._config["master"])
                self.at = self._names.get(host, host)
                wait = self._config["timeout"]
                client = redis.Redis(
                    host,
                    port,
                    password=self._config["password"],
                    socket_timeout=wait,
                    socket_connect_timeout=wait,
                )
                client.ping()
            except (_sentinel.MasterNotFoundError, redis.exceptions.RedisError, OSError) as error:
                raise RefusedError(f"no connection: {error}") from None
            self._client = client
        return self._client

    def close(self) -> None:
        """Ask Sentinel again next time."""
        client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect()


class _Session:
    def __init__(self, config: Config) -> None:
        self.key: str = config["id"]
        self.master = Master(config)

    def apply(self, operation: Operation) -> Done:
        client = self.master.client()
        try:
            return Done(self.do(client, operation), at=self.master.at)
        # An error reply (READONLY, NOREPLICAS, LOADING) says that nothing was written.
        except (redis.exceptions.ResponseError, redis.exceptions.BusyLoadingError) as error:
            raise RefusedError(str(error)) from None
        except redis.exceptions.RedisError as error:
            # The pool reopens connections; without one, nothing was sent.
            if "connecting to" in str(error):
                raise RefusedError(str(error)) from None
            raise

    def do(self, client: Any, operation: Operation) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.master.close()


class _Adder(_Session):
    def __init__(self, config: Config, random: Random) -> None:
        super().__init__(config)
        self._random, self._added = random, -1

    def steps(self, number: int) -> Iterator[Operation]:
        yield Operation("add", number)
        if looks(number) and self._added == number:
            yield Operation("read", part_of(number, self._random), harmless=True)

    def do(self, client: Any, operation: Operation) -> Any:
        if operation.f == "read":
            low, high = operation.value
            asked = range(low, high + 1)
            there = client.smismember(self.key, list(asked))
            return [number for number, found in zip(asked, there, strict=True) if found]
        client.sadd(self.key, operation.value)
        self._added = operation.value
        return operation.value


class _Counter(_Session):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._counted = False

    def steps(self, number: int) -> Iterator[Operation]:
        self._counted = False
        yield Operation("incr")
        if looks(number) and self._counted:
            yield Operation("read", harmless=True)

    def do(self, client: Any, operation: Operation) -> Any:
        if operation.f == "read":
            return int(client.get(self.key) or 0)
        count = client.incr(self.key)
        self._counted = True
        return count


def _place(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    master = lab.services["sentinel"].settings["master"]
    known = {"master": master, "password": secrets["redis.password"]}
    return {"port": 26379, **known, "members": members(lab, "sentinel")}


_SERVICES = ("redis", "sentinel")
_COUNTS = "``incr``: null → the counter afterwards; ``read``: null → the counter"

ENTRIES = (
    Entry("redis", "set", Set, _SERVICES, _place, ADDS, "sets"),
    Entry("redis", "counter", Counter, _SERVICES, _place, _COUNTS, "counter"),
)
