"""Faults of what runs on: with less CPU time or memory, late, or at the wrong time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.faults import build, delay
from labctl.faults.model import DEFAULT_LEASE, Fault, names
from labctl.faults.targets import Target
from labctl.model.clock import SETTING, faked
from labctl.model.extents import LEAST_CPUS, LEAST_MEMORY, MOST_CPUS, clock_problem, delay_problem

if TYPE_CHECKING:
    from labctl.model.lab import Lab


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
    # Imported here: the guardian lives on this room, and needs no documents.
    from labctl.model.service import size_bytes

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


def unmovable(lab: Lab, service: str) -> str | None:
    """Why the clock of a service of the lab cannot be set apart; None when it can."""
    settings = lab.services[service].settings
    if SETTING not in settings:
        able = [name for name, each in lab.services.items() if SETTING in each.settings]
        return f"the clock of {service} cannot be set apart: it can for {names(able) or 'none'}"
    if not faked(settings):
        return (
            f"{service} has the machine's clock in lab '{lab.name}'; bring up a topology that says "
            f"{SETTING}: true under services.{service}"
        )
    return None
