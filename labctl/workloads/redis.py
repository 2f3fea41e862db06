"""Numbers as members of a Redis set, written to the master that Sentinel names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis
from redis.sentinel import MasterNotFoundError, Sentinel

from labctl.workloads.client import Config, RefusedError


class Members:
    """A set for one run."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._key: str = config["name"]
        self._sentinel = Sentinel(
            [(host, config["port"]) for host in config["members"].values()],
            socket_timeout=config["timeout"],
            socket_connect_timeout=config["timeout"],
        )
        self._master: Any = None

    def prepare(self) -> Mapping[str, Any]:
        """Say which node is the master."""
        address = self._sentinel.discover_master(self._config["master"])[0]
        names = {host: name for name, host in self._config["members"].items()}
        return {"member": names.get(address, address)}

    def write(self, value: int) -> None:
        """Add a number; the master acknowledges before its replicas have it."""
        try:
            self._connected().sadd(self._key, value)
        except (MasterNotFoundError, redis.exceptions.ResponseError) as error:
            # An error reply (READONLY, NOREPLICAS, LOADING) says that nothing was written.
            raise RefusedError(str(error)) from None

    def read(self) -> Mapping[str, list[int]]:
        """The set as the master has it."""
        return {"master": [int(value) for value in self._connected().smembers(self._key)]}

    def close(self) -> None:
        """Ask Sentinel again next time."""
        master, self._master = self._master, None
        if master is not None:
            master.connection_pool.disconnect()

    def _connected(self) -> Any:
        if self._master is None:
            wait = self._config["timeout"]
            self._master = self._sentinel.master_for(
                self._config["master"],
                password=self._config["password"],
                socket_timeout=wait,
                socket_connect_timeout=wait,
            )
        return self._master


def connect(config: Config) -> Members:
    """For the loop."""
    return Members(config)
