"""What the chaos tests stand on: a real lab, its loads, its faults, and waiting until."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Literal

import tenacity

from labctl import faults
from labctl.engine.port import Engine
from labctl.faults import Fault, Target
from labctl.running import lifecycle, probe
from labctl.running.status import Status, status
from labctl.state import secrets
from tests.chaos.checkers import Event, Verdict, judge, longest_gap
from tests.chaos.single import PROMISES, Kind, Load

LOG = logging.getLogger(__name__)

RECOVERY = 180.0
"""Seconds that a lab may take to be whole again: no figure, only an end to waiting."""


class Ground:
    """A lab that is up and healthy when a test begins, and again when it ends."""

    def __init__(self, engine: Engine, prepared: lifecycle.Prepared) -> None:
        self.engine = engine
        self.prepared = prepared
        self.lab = prepared.lab
        self._secrets = secrets.draw(prepared.record.directory, secrets.wanted(self.lab))

    def target(self, text: str) -> Target:
        """Who a name or a part is now."""
        ask = partial(probe.inspect, self.engine, self.prepared.desired)
        return faults.resolve(self.engine, self.lab, text, lambda: ask().clusters)

    def status(self) -> Status:
        """What ``labctl status`` says."""
        return status(self.engine, self.prepared.desired)

    def holders(self) -> list[str]:
        """Who has the virtual IP."""
        return faults.vip_holders(self.engine, self.lab)

    def until(self, what: str, holds: Callable[[], bool], seconds: float = RECOVERY) -> None:
        """Wait until something holds; the test fails with ``what`` when it does not."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(seconds),
            wait=tenacity.wait_fixed(0.3),
            retry=tenacity.retry_if_result(lambda held: not held),
            retry_error_callback=lambda _: False,
        )
        assert retrying(holds), f"not within {seconds:g} s: {what}; status: {self.status()}"

    def until_healthy(self) -> None:
        """Wait until everything is well."""
        self.until("the lab is healthy", lambda: self.status()["state"] == "healthy")

    def halt(self, kind: Literal["kill", "stop", "pause"], target: Target) -> Fault:
        """A fault that ends or freezes a target."""
        return faults.halt(self.engine, self.lab, kind, [target], lease=600)

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """The lab with a fault in it that was proved to bite; healed, and proved, afterwards."""
        evidence = faults.inject(self.engine, fault)
        LOG.info("%s: %s", evidence.said, evidence.to_json())
        try:
            yield
        finally:
            LOG.info("%s", faults.heal(self.engine, fault).said)

    @contextmanager
    def loads(self, *kinds: Kind) -> Iterator[Loads]:
        """Clients that write all the while; they have written a little when the block begins."""
        running = Loads(
            {kind: Load(self.engine, self.prepared.desired, self._secrets, kind) for kind in kinds}
        )
        try:
            for load in running.by_kind.values():
                load.start()
            running.until_more(self)
            yield running
        finally:
            running.stop()

    def judge(self, loads: Loads) -> Mapping[Kind, Mapping[str, Verdict]]:
        """Hold what is there in every place against what was acknowledged; all must be VALID."""
        verdicts: dict[Kind, Mapping[str, Verdict]] = {}
        for kind, load in loads.by_kind.items():
            history = loads.stop()[kind]
            gap = longest_gap(history)
            LOG.info("%s: %.2f s without an acknowledgement at most", kind, gap.seconds)
            if kind not in PROMISES:
                continue
            verdicts[kind] = {
                place: judge(history, values, PROMISES[kind])
                for place, values in load.final().items()
            }
            for place, verdict in verdicts[kind].items():
                LOG.info("%s on %s: %s, %s", kind, place, verdict.outcome, verdict.why)
                assert verdict.outcome == "VALID", f"{kind} on {place}: {verdict}"
        return verdicts


class Loads:
    """Several workloads at once."""

    def __init__(self, by_kind: Mapping[Kind, Load]) -> None:
        self.by_kind = by_kind
        self._histories: dict[Kind, list[Event]] = {}

    def until_more(self, ground: Ground, operations: int = 20) -> None:
        """Wait until every load has had so many more operations acknowledged."""
        goals = {k: load.acknowledged() + operations for k, load in self.by_kind.items()}
        for kind, load in self.by_kind.items():
            enough = partial(_reached, load, goals[kind])
            ground.until(f"{kind} acknowledges {operations} more operations", enough)

    def stop(self) -> Mapping[Kind, list[Event]]:
        """End all loads; their histories."""
        for kind, load in self.by_kind.items():
            if kind not in self._histories:
                self._histories[kind] = load.stop()
        return self._histories


def _reached(load: Load, goal: int) -> bool:
    return load.acknowledged() >= goal
