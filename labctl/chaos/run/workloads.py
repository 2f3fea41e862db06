"""The workloads of a run: how it starts, counts, stops and reads them, and cleans up after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from labctl.engine.port import Engine
from labctl.planning.desired import Desired
from labctl.workloads.labs import Wanted
from labctl.workloads.load import Loads


class Workloads(Protocol):
    """All workloads of a run: clients in the client node that record what they do."""

    @property
    def names(self) -> Mapping[str, str]:
        """Workload → the name of its table, queue, key or things in the store."""
        ...

    def start(self) -> object:
        """Prepare the stores and start the clients. LabError when a store cannot be prepared."""
        ...

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Workload → number of operations so far by their end: ok, fail, info."""
        ...

    def stop(self) -> None:
        """Start no more operations and wait for those under way. LabError if they do not end."""
        ...

    def finals(self) -> Mapping[str, Any]:
        """What the stores hold now: workload → place → value, or why it cannot be read."""
        ...

    def clean(self) -> object:
        """Remove what the workloads have made in the lab."""
        ...


Record = Callable[[dict[str, Any]], None]
"""Adds an event to the run's history."""

Prepare = Callable[[Any, Record, float, int], Workloads]
"""(scenario, record, the run's start on the monotonic clock, seed) → workloads, not yet started."""


def in_lab(engine: Engine, desired: Desired, secrets: Mapping[str, str], limit: float) -> Prepare:
    """How a scenario's workloads are made in a real lab; they stop after ``limit`` seconds."""

    def prepare(scenario: Any, record: Record, zero: float, seed: int) -> LabWorkloads:
        wanted = [
            Wanted(doc.name, doc.kind, doc.as_, doc.rate, doc.workers, dict(doc.settings))
            for doc in scenario.workloads
        ]
        return LabWorkloads(
            Loads(engine, desired, secrets, wanted, record, began=zero, seconds=limit, seed=seed)
        )

    return prepare


class LabWorkloads:
    """Workloads in the client node of a lab."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads
        self.start, self.stop = loads.start, loads.stop
        self.finals, self.clean = loads.finals, loads.clean

    @property
    def names(self) -> Mapping[str, str]:
        """Workload → the name of its table, queue, key or things in the store."""
        return self._loads.names

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Workload → number of operations so far by their end: ok, fail, info."""
        return {
            name: {"ok": now.acknowledged, "fail": now.failed, "info": now.unknown}
            for name, now in self._loads.counts().items()
        }
