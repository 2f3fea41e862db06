"""The workloads of a scenario as the clients of a run in a lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.chaos.run.clients import Hire, Write
from labctl.engine.port import Engine
from labctl.planning.desired import Desired
from labctl.workloads.labs import Wanted
from labctl.workloads.load import Loads


def hiring(engine: Engine, desired: Desired, secrets: Mapping[str, str], limit: float) -> Hire:
    """Who makes the workloads of a scenario in a lab; they do not go on beyond ``limit`` s."""

    def hire(scenario: Any, write: Write, zero: float, seed: int) -> Crew:
        wanted = [_wanted(doc) for doc in scenario.workloads]
        return Crew(
            Loads(engine, desired, secrets, wanted, write, began=zero, seconds=limit, seed=seed)
        )

    return hire


class Crew:
    """The workloads of a run, as the run speaks to them."""

    def __init__(self, loads: Loads) -> None:
        self._loads = loads
        self.start, self.stop = loads.start, loads.stop
        self.finals, self.clean = loads.finals, loads.clean

    @property
    def names(self) -> Mapping[str, str]:
        """Workload → how its table, queue, key or things are called in the store."""
        return self._loads.names

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Workload → operations so far, by their end."""
        return {
            name: {"ok": now.acknowledged, "fail": now.failed, "info": now.unknown}
            for name, now in self._loads.counts().items()
        }


def _wanted(doc: Any) -> Wanted:
    return Wanted(doc.name, doc.kind, doc.as_, doc.rate, doc.workers, dict(doc.settings))
