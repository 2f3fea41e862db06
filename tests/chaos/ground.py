"""What the chaos tests stand on: a real lab, clients that use it, faults, and waiting until."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import tenacity

from labctl import faults
from labctl.chaos.checks import checker
from labctl.chaos.checks.windows import longest_gap
from labctl.chaos.folder import history
from labctl.chaos.folder.history import Operation
from labctl.chaos.judge import ledger
from labctl.chaos.run import settings
from labctl.engine.port import Engine
from labctl.faults import Fault, Target
from labctl.running import lifecycle, probe
from labctl.running.status import Status, status
from labctl.state import secrets
from labctl.workloads.labs import Wanted, entry
from labctl.workloads.load import Loads

LOG = logging.getLogger(__name__)

RECOVERY = 180.0
"""Seconds that a lab may take to be whole again: no figure, only an end to waiting."""
LONGEST = 600.0
"""Seconds after which clients stop by themselves."""

Kind = Literal["galera", "rabbitmq", "redis", "mongodb", "identity"]

WORKLOADS: Mapping[Kind, Wanted] = {
    "galera": Wanted("galera", "galera", "set"),
    # Without consumers, so that all messages are there in the end.
    "rabbitmq": Wanted("rabbitmq", "rabbitmq", "quorum", settings={"consumers": 0}),
    "redis": Wanted("redis", "redis", "set"),
    "mongodb": Wanted("mongodb", "mongodb", "majority"),
    "identity": Wanted("identity", "api", "token", rate=20, workers=4, settings={"timeout": 5.0}),
}


class Ground:
    """A lab that is up and healthy when a test begins, and again when it ends."""

    def __init__(self, engine: Engine, prepared: lifecycle.Prepared) -> None:
        self.engine = engine
        self.prepared = prepared
        self.lab = prepared.lab

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
        """Wait until the lab is healthy."""
        self.until("the lab is healthy", lambda: self.status()["state"] == "healthy")

    def halt(self, kind: Literal["kill", "stop", "pause"], target: Target) -> Fault:
        """A fault that ends or freezes a target."""
        return faults.halt(self.engine, self.lab, kind, [target], lease=600)

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """The lab with a fault in it that was proved; healed, and that proved too, afterwards."""
        evidence = faults.inject(self.engine, fault)
        LOG.info("%s: %s", evidence.said, evidence.to_json())
        try:
            yield
        finally:
            LOG.info("%s", faults.heal(self.engine, fault).said)

    @contextmanager
    def clients(self, *kinds: Kind) -> Iterator[Clients]:
        """Clients that use the lab all the while; each has been served when the block begins.

        After the block the lab becomes healthy again and serves them all, and what the stores
        promise is held against what the clients saw.
        """
        running = Clients(self, *kinds)
        try:
            running.start()
            running.until_served()
            yield running
            self.until_healthy()
            running.until_served()
        finally:
            running.stop()
        running.judge()


class Clients:
    """The workloads of a test, recorded and judged as those of a scenario are."""

    def __init__(self, ground: Ground, *kinds: Kind) -> None:
        desired = ground.prepared.desired
        drawn = secrets.load_or_generate(
            ground.prepared.record.directory, secrets.wanted(ground.lab)
        )
        self._ground = ground
        self._wanted = {kind: WORKLOADS[kind] for kind in kinds}
        self._events: list[dict[str, Any]] = []
        self._loads = Loads(
            ground.engine,
            desired,
            drawn,
            list(self._wanted.values()),
            self._events.append,
            began=time.monotonic(),
            seconds=LONGEST,
        )
        self.members: Mapping[str, str] = {}
        """Who served each store when it was prepared."""

    def start(self) -> None:
        """Prepare the stores and begin."""
        prepared = self._loads.start()
        self.members = {kind: str(said.get("member")) for kind, said in prepared.items()}

    def until_served(self, operations: int = 20) -> None:
        """Wait until every workload has had so many more operations acknowledged."""
        goals = {kind: now.acknowledged + operations for kind, now in self._loads.counts().items()}
        for kind, goal in goals.items():
            enough = partial(self._reached, kind, goal)
            self._ground.until(f"{kind} acknowledges {operations} more operations", enough)

    def stop(self) -> None:
        """Let what has begun end."""
        self._loads.stop()

    def judge(self) -> None:
        """Hold what is there against what was acknowledged: every promise must have been kept."""
        finals = self._loads.finals()
        operations = history.by_workload(self._operations())
        effective = settings.effective(self._ground.prepared.desired)
        for kind, wanted in self._wanted.items():
            begin, end = longest_gap(operations[kind])
            LOG.info("%s: %.2f s without an acknowledgement at most", kind, end - begin)
            assert "error" not in finals[kind], f"{kind} cannot be read: {finals[kind]}"
            own = {**entry(wanted).settings, **wanted.settings}
            check = checker(wanted.kind, wanted.way)
            assert check is not None
            promise = ledger.promise(wanted.kind, wanted.way, effective, own)
            for finding in check(operations[kind], finals[kind], own):
                checked = ledger.judged(kind, finding, promise)
                LOG.info("%s: %s: %s, %s", kind, checked.check, checked.outcome, checked.why)
                assert checked.outcome == "VALID", f"{kind}: {checked}"

    def _operations(self) -> list[Operation]:
        lines = (json.dumps(event) + "\n" for event in sorted(self._events, key=lambda e: e["t"]))
        return history.pair(history.parse(lines, "the history"))

    def _reached(self, kind: str, goal: int) -> bool:
        return self._loads.counts()[kind].acknowledged >= goal
