"""What of a lab is there now, and what of it runs: the engine asked by the lab's label."""

from __future__ import annotations

from labctl.engine.port import Engine
from labctl.faults.model import Fault, Member


def up(engine: Engine, lab: str) -> set[str]:
    """Names of a lab's containers that run."""
    return {c.name for c in engine.containers(lab) if c.status == "running"}


def alive(engine: Engine, fault: Fault) -> list[Member]:
    """The members of a fault that run."""
    running = up(engine, fault.lab)
    return [member for member in fault.members if member.container in running]


def there(engine: Engine, fault: Fault) -> list[Member]:
    """The members of a fault that are still part of the lab, in any state."""
    names = {container.name for container in engine.containers(fault.lab)}
    return [member for member in fault.members if member.container in names]
