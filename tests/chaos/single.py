"""One workload by itself, with its history as events of numbers: what tests hold a store to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.planning.desired import Desired
from labctl.workloads.labs import Wanted
from labctl.workloads.load import Loads
from tests.chaos.checkers import Event, Promise

Kind = Literal["galera", "rabbitmq", "redis", "mongodb", "identity"]

PROMISES: Mapping[Kind, Promise] = {
    "galera": Promise(
        "innodb_flush_log_at_trx_commit=1: a commit that was acknowledged is on every member"
    ),
    "rabbitmq": Promise(
        "quorum queue with publisher confirms: a confirmed message is delivered at least once",
        once=False,
    ),
    "redis": Promise(
        "asynchronous replication: writes of the last seconds before a failover may be lost",
        durable=False,
    ),
    "mongodb": Promise("w:majority with j:true: an acknowledged write survives"),
}
"""Kind → what its store promises; logins promise nothing that lasts."""

_WAYS: Mapping[Kind, tuple[str, str, Mapping[str, Any]]] = {
    "galera": ("galera", "set", {}),
    # Without consumers, so that all messages are there in the end.
    "rabbitmq": ("rabbitmq", "quorum", {"consumers": 0}),
    "redis": ("redis", "set", {}),
    "mongodb": ("mongodb", "majority", {}),
    "identity": ("api", "token", {"timeout": 5.0}),
}


class Load:
    """A workload that writes numbers until it is stopped, and for ``seconds`` at most."""

    def __init__(
        self,
        engine: Engine,
        desired: Desired,
        secrets: Mapping[str, str],
        kind: Kind,
        *,
        seconds: float = 600,
        rate: float = 20,
        workers: int = 4,
    ) -> None:
        self.kind: Kind = kind
        store, way, settings = _WAYS[kind]
        wanted = [Wanted(kind, store, way, rate, workers, settings)]
        self._history: list[Event] = []
        self._loads = Loads(
            engine,
            desired,
            secrets,
            wanted,
            self._note,
            began=time.monotonic(),
            seconds=seconds,
        )
        self.member: str | None = None
        """Who served the store when it was prepared."""

    def start(self) -> None:
        """Start to write; returns once the store is prepared. LabError when it cannot be."""
        self.member = self._loads.start()[self.kind].get("member")

    def stop(self) -> list[Event]:
        """Let what has begun end; everything that was recorded."""
        self._loads.stop()
        return list(self._history)

    def acknowledged(self) -> int:
        """How many operations have been acknowledged so far."""
        return self._loads.counts()[self.kind].acknowledged

    def final(self) -> Mapping[str, list[int]]:
        """What is there now: place → values. LabError when the store cannot be read."""
        found: Mapping[str, Any] = self._loads.finals()[self.kind]
        if "error" in found:
            raise LabError(f"what the {self.kind} workload wrote cannot be read: {found['error']}")
        return found

    def _note(self, event: Mapping[str, Any]) -> None:
        if event["w"] == self.kind:
            error = event.get("error", "")
            self._history.append(Event(event["t"], event["type"], event["value"], error))
