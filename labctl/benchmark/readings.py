"""Arithmetic on readings of the meter. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """A container's CPU-seconds and bytes (PSS), with its shim's."""

    cpu: float
    pss: int
    shim_cpu: float
    shim_pss: int


@dataclass(frozen=True)
class Reading:
    """The machine at one moment; times in CPU-seconds since it started."""

    busy: float
    cpus: int
    containers: Mapping[str, Usage]
    """By id."""
    engine_cpu: float
    engine_pss: int


@dataclass(frozen=True)
class Spent:
    """CPU-seconds that each container (by id) had used at a time (seconds since the epoch)."""

    time: float
    cpu: Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """The cost of a phase: seconds, and CPU-seconds of the machine and of the program.

    ``busy`` is everything that the machine did; ``busy_own`` is that minus the load before.
    """

    wall: float
    busy: float
    busy_own: float
    program: float


def reading(document: Mapping[str, Any]) -> Reading:
    """The meter's JSON."""
    return Reading(
        busy=document["busy"],
        cpus=document["cpus"],
        containers={name: Usage(**row) for name, row in document["containers"].items()},
        engine_cpu=document["engine"]["cpu"],
        engine_pss=document["engine"]["pss"],
    )


def cost(before: Reading, after: Reading, *, wall: float, program: float, idle: float) -> Cost:
    """The cost of what ran between two readings; ``idle`` is the load before, in CPUs."""
    busy = after.busy - before.busy
    return Cost(wall, busy, max(busy - idle * wall, program), program)


def ratio(wall: float, cpu: float, cores: int, chain: float) -> float:
    """Wall time ÷ its lower bound: all work spread over all cores, or the critical path."""
    return wall / max(cpu / cores, chain, 1e-9)


def by_service(reading: Reading, services: Mapping[str, str]) -> dict[str, Usage]:
    """Sums by service; ``services`` says which service a container (by id) runs."""
    sums: dict[str, Usage] = {}
    for container, service in services.items():
        row = reading.containers.get(container)
        if row is None:
            continue
        old = sums.get(service, Usage(0.0, 0, 0.0, 0))
        sums[service] = Usage(
            old.cpu + row.cpu,
            old.pss + row.pss,
            old.shim_cpu + row.shim_cpu,
            old.shim_pss + row.shim_pss,
        )
    return sums


def whole(rows: Mapping[str, Usage]) -> Usage:
    """The total of all services."""
    return Usage(
        sum(row.cpu for row in rows.values()),
        sum(row.pss for row in rows.values()),
        sum(row.shim_cpu for row in rows.values()),
        sum(row.shim_pss for row in rows.values()),
    )


def spent_until(series: Sequence[Spent], container: str, moment: float) -> float:
    """CPU-seconds that a container (id) had used at a moment, interpolated between readings."""
    before, at = Spent(moment, {}), 0.0
    for each in series:
        cpu = each.cpu.get(container, 0.0)
        if each.time >= moment:
            part = (moment - before.time) / max(each.time - before.time, 1e-9)
            return at + max(0.0, min(part, 1.0)) * max(0.0, cpu - at)
        before, at = each, max(cpu, at)  # its cgroup is removed when it ends
    return at
