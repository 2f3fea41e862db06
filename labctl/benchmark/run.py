"""The whole benchmark: a lab of its own, from nothing until it is taken down."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labctl.benchmark import beside, changes, chaos_run, gaps, report
from labctl.benchmark.metering import Meter, metering
from labctl.benchmark.phases import Commands, services, to_ready
from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.images import build
from labctl.planning.fit import memory_bytes
from labctl.resolve.request import Request, request_record
from labctl.running import lifecycle
from labctl.state import checkpoints, paths, store
from labctl.verify.choice import Step, choose
from labctl.verify.run import StepReport, verify

_IDLE_SECONDS = 3.0
_FOLLOW_SECONDS = 0.5
"""Interval in seconds at which the containers' CPU time is read while they start."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What to measure; ``repeat`` is the number of trials of each fault and runs of each command.

    With ``only_chaos``, nothing is measured but bringing the lab up and chaos.
    """

    request: Request
    repeat: int = 3
    keep: bool = False
    compose: bool = True
    verify: bool = True
    chaos: bool = True
    changes: bool = True
    only_chaos: bool = False


def run(engine: Engine, options: Options, say: Say) -> dict[str, Any]:
    """Run the benchmark; the lab is taken down before, and afterwards unless it is to be kept.

    Returns the document of :mod:`labctl.benchmark.report`. LabError when a lab does not come up.
    """
    record = request_record(options.request, engine.subnets)
    say(f"taking lab {record.name} down, if there is one")
    lifecycle.down(engine, record.name)
    prepared = lifecycle.prepare(record)
    built = build.build_all(engine, prepared.lab.release, prepared.desired.images, say)
    say(f"{len(built)} images built; measuring the load of the machine without the lab")
    with metering(engine, prepared.desired.images["client"]) as meter:
        return _Run(engine, options, prepared, meter, say).all()


class _Run:
    def __init__(
        self, engine: Engine, options: Options, prepared: lifecycle.Prepared, meter: Meter, say: Say
    ) -> None:
        self._engine, self._options, self._say = engine, options, say
        self._prepared, self._desired = prepared, prepared.desired
        self._commands = Commands(meter, engine.url, _idle(meter))
        self._name, self._profile = prepared.lab.name, prepared.lab.profile
        self._to_ready: dict[str, float] = {}

    def all(self) -> dict[str, Any]:
        """Every figure; Compose comes last, so that it finds a warm page cache."""
        info = self._engine.info()
        where = f"{info.kind} {info.version}"
        document: dict[str, Any] = {
            "lab": self._name,
            "topology": self._prepared.lab.topology,
            "profile": self._profile,
            "machine": report.machine(info.cpus, where, self._commands.idle),
            "images": build.figures(
                self._engine, self._prepared.lab.release, self._prepared.desired.images
            ),
            "gaps": {},
            "chaos": None,
            "changes": None,
        }
        only = self._options.only_chaos
        try:
            document |= self._up()
            if not only:
                document |= self._again()
                document |= self._verify()
                document["gaps"] = self._gaps()
            if self._options.chaos or only:
                document["chaos"] = self._chaos()
            if not only:
                document["checkpoint"] = self._checkpoint()
            if self._options.changes and not only:
                lab = lifecycle.current(self._name).lab
                document["changes"] = changes.measure(self._commands, lab, self._say)
        finally:
            if not self._options.keep:
                document["down"] = self._down()
        document["compose"] = None if self._options.keep or only else self._compose()
        return document

    def _up(self) -> dict[str, Any]:
        self._say("labctl up")
        made = lifecycle.plan(self._engine, self._prepared)
        subnet = str(self._prepared.record.subnet)
        topology = self._options.request.topology
        asked = [topology, "-n", self._name, "--subnet", subnet, "--profile", self._profile]
        with self._commands.meter.following(_FOLLOW_SECONDS) as series:
            phase = self._commands.labctl("up", *asked, "--json")
        found = services(self._engine, self._name)
        phase = self._commands.settled(phase, found)
        self._to_ready = to_ready(phase, series, self._instances())
        return {
            "up": report.up(phase, made.longest_chain, found),
            "memory": {
                **report.memory(phase.after, found),
                "predicted": memory_bytes(self._prepared.lab),
            },
        }

    def _instances(self) -> dict[str, str]:
        """Instance → id of its container."""
        there = {each.name: each.id for each in self._engine.containers(self._name)}
        units = {name: unit.spec.name for name, unit in self._desired.instances.items()}
        return {name: there[container] for name, container in units.items() if container in there}

    def _verify(self) -> dict[str, Any]:
        """Use the lab for real, then measure its services."""
        chosen = choose(self._prepared.lab, ())
        figures: dict[str, Any] = {}
        if chosen and self._options.verify:
            self._say("labctl verify")
            desired = lifecycle.current(self._name).desired
            made = verify(self._engine, desired, chosen, _Silent(), keep=False)
            figures["verify"] = report.verified(made)
        containers = self._instances()
        used = self._commands.meter.read(containers.values(), memory=True)
        figures["services"] = report.services(self._prepared.lab, self._to_ready, used, containers)
        return figures

    def _again(self) -> dict[str, Any]:
        self._say("second up, status")
        again = ["up", "-n", self._name]
        runs = range(self._options.repeat)
        return {
            "up_again": report.repeated([self._commands.labctl(*again) for _ in runs]),
            "status": report.repeated(
                [self._commands.labctl("status", "--lab", self._name) for _ in runs]
            ),
        }

    def _gaps(self) -> dict[str, Any]:
        if not gaps.measurable(self._desired):
            return {}
        # As recorded by `up`: with the secrets in use.
        desired = lifecycle.current(self._name).desired
        found: dict[str, Any] = {}
        kinds: tuple[gaps.Kind, ...] = ("service", "power")
        for kind in kinds:
            trials = []
            for number in range(self._options.repeat):
                self._say(f"gap in service ({kind}), trial {number + 1}")
                trials.append(gaps.trial(self._engine, desired, kind))
            found[kind] = report.gap(trials)
        return found

    def _chaos(self) -> dict[str, Any]:
        there = lifecycle.current(self._name)
        repeat = self._options.repeat
        return chaos_run.measure(self._engine, there.desired, there.secrets, repeat, self._say)

    def _checkpoint(self) -> dict[str, Any] | None:
        """Save the lab, and start it from that instead: there may be no room for a second one."""
        if self._desired.disks:
            return None
        self._say("labctl checkpoint save, labctl up --from")
        labctl, name = self._commands.labctl, f"benchmark-{os.getpid()}"
        try:
            save = labctl("checkpoint", "save", name, "--lab", self._name)
            size = checkpoints.load(name).size
            labctl("down", "--lab", self._name)
            started = labctl("up", "--name", self._name, "--from", name, "--json")
        finally:
            with contextlib.suppress(InputError):
                checkpoints.remove(name)
        found = services(self._engine, self._name)
        started = self._commands.settled(started, found)
        return report.checkpoint(size, save, started, found)

    def _down(self) -> dict[str, Any]:
        self._say("labctl down")
        return report.repeated([self._commands.labctl("down", "--lab", self._name)])

    def _compose(self) -> dict[str, Any] | None:
        program = beside.program() if self._options.compose else None
        if program is None:
            return None
        self._say("docker compose up --wait")
        try:
            # Measured again, as the lab before has taken minutes.
            commands = replace(self._commands, idle=_idle(self._commands.meter))
            found = beside.run(self._engine, self._desired, commands, program)
            return report.compose(found, commands.idle)
        finally:
            lifecycle.down(self._engine, self._name)


def save(name: str, document: dict[str, Any]) -> Path:
    """Write the document into the lab's reports, which outlive the lab; returns its path."""
    directory = paths.lab_dir(name) / store.REPORTS
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"benchmark-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _idle(meter: Meter) -> float:
    """The number of CPUs busy with something else."""
    first, began = meter.read(), time.monotonic()
    threading.Event().wait(_IDLE_SECONDS)  # the interval that is measured
    return (meter.read().busy - first.busy) / (time.monotonic() - began)


class _Silent:
    """A watcher that prints nothing: the figures come at the end."""

    def begun(self, steps: Sequence[Step]) -> None:
        """Do nothing."""

    def started(self, step: str) -> None:
        """Do nothing."""

    def said(self, step: str, text: str) -> None:
        """Do nothing."""

    def ended(self, report: StepReport) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
