"""Which of a lab's containers exist and which run now, asked of the engine by the lab's label."""

from __future__ import annotations

from labctl.engine.port import Engine
from labctl.faults.model import Fault, Member


def up(engine: Engine, lab: str) -> set[str]:
    """Names of a lab's running containers."""
    return {c.name for c in engine.containers(lab) if c.status == "running"}


def alive(engine: Engine, fault: Fault) -> list[Member]:
    """The members of a fault that run."""
    running = up(engine, fault.lab)
    return [member for member in fault.members if member.container in running]


def there(engine: Engine, fault: Fault) -> list[Member]:
    """The members of a fault whose containers still exist, in any state."""
    names = {container.name for container in engine.containers(fault.lab)}
    return [member for member in fault.members if member.container in names]
