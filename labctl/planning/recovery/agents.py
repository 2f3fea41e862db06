"""Agents and workers that run and do not report to their control plane. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.planning.recovery.model import Diagnosis, Step

AGENTS = "agents"
"""The name under which they are diagnosed."""


@dataclass(frozen=True)
class Agent:
    """An instance that is ready when its control plane counts it as up."""

    name: str
    control: str
    """The service that it reports to."""
    runs: bool = True
    reports: bool = True
    heard: bool = True
    """Whether what the control plane wrote down could be read."""
    reachable: bool = True
    """Whether all that it reports through serves."""


def diagnose(agents: Sequence[Agent], *, waited: bool, patience: float) -> Diagnosis:
    """Which agents have to be restarted: silent for too long, and by their own fault."""
    silent = [a for a in agents if a.runs and not a.reports and a.heard and a.reachable]
    if not silent:
        return Diagnosis(AGENTS, "well", "every agent that runs, and can, reports")
    names = tuple(a.name for a in silent)
    said = ", ".join(f"{a.name} (to {a.control})" for a in silent)
    restart = Step("restart", names, "what it reports through serves, and it stays silent")
    wait = Step("wait", names, f"reports come at intervals: they have {patience:.0f} s")
    steps = (restart,) if waited else (wait, restart)
    return Diagnosis(AGENTS, "silent", f"not reported as up: {said}", steps)
