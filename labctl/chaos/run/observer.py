"""Observes a lab during a run, about once a second and as cheaply as possible."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from labctl.chaos.folder.layout import Lines
from labctl.engine.port import Engine
from labctl.errors import LabctlError
from labctl.faults import targets
from labctl.planning.desired import Desired
from labctl.running.probe import inspect

EVERY = 1.0
"""Seconds from one observation to the next, unless an observation itself takes longer."""
_REST = 0.25
"""Pause after an observation, as a share of its length, so that a slow lab gets a rest."""
_SPEC = "/run/labctl/observed.json"


class Observer:
    """Observes a lab until it is stopped, and adds a row for each observation."""

    def __init__(
        self,
        engine: Engine,
        desired: Desired,
        rows: Lines,
        clock: Callable[[], float],
        services: Collection[str],
    ) -> None:
        self._engine, self._desired, self._rows, self._clock = engine, desired, rows, clock
        self._services = services
        self._probes = self._asked(desired)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._observe, daemon=True)

    def start(self) -> None:
        """Start observing."""
        self._thread.start()

    def follow(self, desired: Desired) -> None:
        """Observe the lab that it becomes from now on."""
        self._desired, self._probes = desired, self._asked(desired)

    def stop(self) -> None:
        """Stop observing."""
        self._stop.set()
        self._thread.join(30)

    def _asked(self, desired: Desired) -> list[str]:
        return [name for name in desired.probes if name.partition("/")[2] in self._services]

    def _observe(self) -> None:
        while not self._stop.is_set():
            asked = time.monotonic()
            self._rows.add(self.look())
            took = time.monotonic() - asked
            self._stop.wait(max(EVERY - took, _REST * took))

    def look(self) -> dict[str, Any]:
        """Observe once: who holds the virtual IP, the clusters, unready instances; or the error."""
        row: dict[str, Any] = {"t": round(self._clock(), 3), "vip": [], "clusters": {}}
        desired, probes = self._desired, self._probes
        try:
            there = {c.name: c for c in self._engine.containers(desired.lab.name)}
            running = [c.name for c in there.values() if c.status == "running"]
            with ThreadPoolExecutor(max_workers=1) as pool:
                holding = pool.submit(targets.vip_holders, self._engine, desired.lab, there)
                asked = inspect(self._engine, desired, running, probes=probes, path=_SPEC)
                row |= {"vip": holding.result(), "clusters": dict(asked.clusters)}
            ready = {name for name, answer in asked.probes.items() if answer.ready}
            row["unready"] = [name for name in probes if name not in ready]
        except (LabctlError, ValueError) as error:
            row["error"] = str(error)
        return row
