"""Which of a lab's containers exist and which run now, asked of the engine by the lab's label."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.engine.port import ContainerStatus, Engine
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
    return list(states(engine, fault))


def states(engine: Engine, fault: Fault) -> dict[Member, ContainerStatus]:
    """The same, each with its state."""
    known = {container.name: container.status for container in engine.containers(fault.lab)}
    return {m: known[m.container] for m in fault.members if m.container in known}


def on(member: Member, kind: str, faults: Iterable[Fault]) -> list[Fault]:
    """Those of a kind, among faults, that are on a member."""
    return [
        fault
        for fault in faults
        if fault.kind == kind and member.container in {each.container for each in fault.members}
    ]
