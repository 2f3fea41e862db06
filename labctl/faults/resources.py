"""Faults of what runs on: with less CPU time, memory or disk, late, or at the wrong time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.faults import build, delay
from labctl.faults.model import DEFAULT_LEASE, Fault, names
from labctl.faults.targets import Target
from labctl.model import clock, disk
from labctl.model.extents import LEAST_CPUS, LEAST_MEMORY, MOST_CPUS, clock_problem, delay_problem
from labctl.model.sizes import size_bytes

if TYPE_CHECKING:
    from labctl.model.lab import Lab

_NEEDS = {clock.SETTING: ("clock", "set apart", "true"), disk.SETTING: ("disk", "filled", "256M")}
"""Setting → what it gives a service, what can be done to that then, a value that says so."""


def limited(
    engine: Engine,
    lab: Lab,
    targets: Sequence[Target],
    *,
    cpus: float | None = None,
    memory: int | None = None,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A hard limit of CPU time (in CPUs), of memory (in bytes), or of both, for each instance.

    What is above the limit of memory at once is refused by the engine or killed by the kernel;
    what comes to it later is killed. InputError when it makes no sense.
    """
    said = []
    if cpus is not None:
        if not LEAST_CPUS <= cpus <= MOST_CPUS:
            raise InputError(f"a limit is between 0.01 and 64 CPUs, not {cpus:g}")
        said.append(f"{cpus:g} CPUs")
    if memory is not None:
        if memory < LEAST_MEMORY:
            raise InputError(f"a limit of memory is at least 8M, not {memory} bytes")
        said.append(f"{memory >> 20} MiB")
    if not said:
        raise InputError("a limit is of CPU time, of memory or of both: say which")
    terms: dict[str, Any] = {"said": ", ".join(said), "cpus": cpus, "memory": memory}
    terms["own"] = {
        member.container: size_bytes(size)
        for target in targets
        for member in build.members_of(lab, target)
        if member.service and (size := lab.services[member.service].doc.container.mem_limit)
    }
    return build.on_instances(engine, lab, "limit", targets, lease=lease, terms=terms)


def delayed(
    engine: Engine,
    lab: Lab,
    nodes: Sequence[str],
    *,
    by: float,
    jitter: float = 0.0,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """What nodes send is late by so many seconds, more or less by up to ``jitter`` by chance.

    InputError when it makes no sense, EngineError when the kernel cannot do it.
    """
    problem = delay_problem(by, jitter)
    if problem:
        raise InputError(problem)
    delay.ask_kernel(engine, lab.name, build.stations_of(lab))
    more = f" ± {jitter * 1000:g} ms" if jitter else ""
    return build.fresh(
        lab,
        "delay",
        "node",
        nodes,
        lease=build.checked_lease(lease),
        terms={"said": f"{by * 1000:g} ms{more}", "by": by, "jitter": jitter},
    )


def clocked(
    engine: Engine,
    lab: Lab,
    targets: Sequence[Target],
    *,
    by: float,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """Instances' clocks are ahead by so many seconds, or behind where it is less than none.

    InputError when it makes no sense, or for a service that does not run under libfaketime.
    """
    problem = clock_problem(by)
    for target in targets:
        problem = problem or (target.service and unmovable(lab, target.service)) or None
    if problem:
        raise InputError(problem)
    terms = {"said": f"{by:+g} s", "by": by}
    return build.on_instances(engine, lab, "clock", targets, lease=lease, terms=terms)


def filled(
    engine: Engine, lab: Lab, targets: Sequence[Target], *, lease: float = DEFAULT_LEASE
) -> Fault:
    """Nothing is free on the disks of instances, and nothing becomes free.

    InputError for a service that is on the machine's own disk.
    """
    for target in targets:
        if target.service and (problem := unfillable(lab, target.service)):
            raise InputError(problem)
    disks = {}
    for target in targets:
        instance = lab.instance(target.node, target.service or "")
        if instance is not None:
            disks[lab.container(instance)] = {
                "keeper": lab.disk(instance),
                "size": disk.size(instance.service.settings),
                "paths": list(instance.service.doc.container.volumes.values()),
            }
    return build.on_instances(engine, lab, "fill", targets, lease=lease, terms={"disks": disks})


def unmovable(lab: Lab, service: str) -> str | None:
    """Why the clock of a service of the lab cannot be set apart; None when it can."""
    faked = clock.faked(lab.services[service].settings)
    return None if faked else _unfit(lab, service, clock.SETTING)


def unfillable(lab: Lab, service: str) -> str | None:
    """Why the disks of a service of the lab cannot be filled; None when they can."""
    sized = disk.size(lab.services[service].settings)
    return None if sized else _unfit(lab, service, disk.SETTING)


def _unfit(lab: Lab, service: str, setting: str) -> str:
    """What to say where a setting is not in force without which something cannot be done."""
    what, done, value = _NEEDS[setting]
    if setting not in lab.services[service].settings:
        able = names([name for name, each in lab.services.items() if setting in each.settings])
        return f"the {what} of {service} cannot be {done}: it can for {able or 'none'}"
    return (
        f"{service} has the machine's {what} in lab '{lab.name}'; bring up a topology that says "
        f"{setting}: {value} under services.{service}"
    )
