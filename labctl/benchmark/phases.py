"""labctl itself measured, as the program that a person runs."""

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
    """A command's cost, what it said on standard output, the machine before it and after."""

    cost: Cost
    out: str
    before: Reading
    after: Reading


@dataclass(frozen=True)
class Commands:
    """Runs programs against one engine between two readings; ``idle`` is the rate before."""

    meter: Meter
    engine_url: str
    idle: float

    def labctl(self, *arguments: str) -> Phase:
        """``labctl ARGUMENTS``. LabError with its words when it fails."""
        return self.program([sys.executable, "-m", "labctl", *arguments])

    def program(self, argv: Sequence[str]) -> Phase:
        """Any program that finds the engine by its environment."""
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
        """The phase with what the containers (ids) that it left have used, memory too."""
        return replace(phase, after=self.meter.read(containers, memory=True))


def services(engine: Engine, lab: str) -> dict[str, str]:
    """Id → service of every container of the lab that runs; a holder's is what it is."""
    return {
        container.id: container.labels.get(SERVICE, container.labels[KIND])
        for container in engine.containers(lab)
        if container.status == "running"
    }


def steps(phase: Phase) -> list[dict[str, Any]]:
    """The steps of an ``up --json``, as it tells them."""
    found: list[dict[str, Any]] = json.loads(phase.out)["steps"]
    return found


def longest_steps(done: Sequence[Mapping[str, Any]], count: int = 10) -> list[tuple[str, float]]:
    """The longest of some steps: title and seconds."""
    named = [(str(step["title"]), float(step["seconds"])) for step in done]
    return sorted(named, key=lambda step: -step[1])[:count]


def to_ready(
    phase: Phase, series: Sequence[Spent], instances: Mapping[str, str]
) -> dict[str, float]:
    """Instance → CPU-seconds that it had spent when it was ready; ``instances`` has their ids."""
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
