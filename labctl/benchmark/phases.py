"""Measures labctl as a program, the way a user runs it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labctl.benchmark.metering import Meter
from labctl.benchmark.readings import Cost, Reading, Spent, cost, spent_until
from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.host import process
from labctl.planning.desired import KIND, SERVICE

_TIMEOUT = 1800.0
_ERROR_LENGTH = 4000


@dataclass(frozen=True)
class Phase:
    """A command's cost, its standard output, and readings of the machine before and after it."""

    cost: Cost
    out: str
    before: Reading
    after: Reading


@dataclass(frozen=True)
class Commands:
    """Runs programs against an engine between two readings; ``idle`` is the prior load, in CPUs."""

    meter: Meter
    engine_url: str
    idle: float

    def labctl(self, *arguments: str) -> Phase:
        """Run ``labctl ARGUMENTS``. LabError with its message when it fails."""
        return self.program([sys.executable, "-m", "labctl", *arguments])

    def program(self, argv: Sequence[str]) -> Phase:
        """Run a program that finds the engine through its environment."""
        before = self.meter.read()
        env = {"LABCTL_ENGINE": self.engine_url, "DOCKER_HOST": self.engine_url}
        measured = process.measure(argv, timeout=_TIMEOUT, env=env)
        after = self.meter.read()
        completed = measured.completed
        if completed.code != 0:
            said = completed.stderr.strip() or completed.stdout.strip()
            error = said[max(said.rfind("labctl: "), 0) :][-_ERROR_LENGTH:]
            raise LabError(f"'{shlex.join(argv[1:])}' failed ({completed.code}): {error}")
        spent = cost(before, after, wall=measured.wall, program=measured.cpu, idle=self.idle)
        return Phase(spent, completed.stdout, before, after)

    def settled(self, phase: Phase, containers: Collection[str]) -> Phase:
        """The phase, with the usage (and memory) of the containers (ids) that it left running."""
        return replace(phase, after=self.meter.read(containers, memory=True))


def services(engine: Engine, lab: str) -> dict[str, str]:
    """Id → service of every running container of the lab; for a holder, its kind."""
    return {
        container.id: container.labels.get(SERVICE, container.labels[KIND])
        for container in engine.containers(lab)
        if container.status == "running"
    }


def steps(phase: Phase) -> list[dict[str, Any]]:
    """The steps in the output of ``up --json``."""
    found: list[dict[str, Any]] = json.loads(phase.out)["steps"]
    return found


def longest_steps(done: Sequence[Mapping[str, Any]], count: int = 10) -> list[tuple[str, float]]:
    """The longest of some steps: title and seconds."""
    named = [(str(step["title"]), float(step["seconds"])) for step in done]
    return sorted(named, key=lambda step: -step[1])[:count]


def to_ready(
    phase: Phase, series: Sequence[Spent], instances: Mapping[str, str]
) -> dict[str, float]:
    """Instance → CPU-seconds used until it was ready; ``instances`` maps them to container ids."""
    began = float(json.loads(phase.out)["began"])
    ended = {step["id"]: began + step["ended"] for step in steps(phase)}
    found = {}
    for name, container in instances.items():
        service = name.partition("/")[2]
        ids = (f"ready:{name}", f"ready:{service}", f"start:{name}")
        moment = next((ended[step] for step in ids if step in ended), None)
        if moment is not None:
            found[name] = spent_until(series, container, moment)
    return found
