"""Check that a lab fits its machine before anything is changed.

Only the part of the lab that is not running yet is counted: the rest has its resources already.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from labctl.engine.helper import run_helper
from labctl.engine.port import Engine
from labctl.errors import EngineError
from labctl.model import disk
from labctl.model.lab import Instance, Lab
from labctl.model.sizes import size_bytes
from labctl.planning.desired import Desired
from labctl.planning.steps import CONTAINER_COST

SHIM_BYTES = 2_900_000
"""The engine's own process for each container (PSS, measured)."""
HOLDER_BYTES = 300_000
"""A node's holder without its shim (measured)."""
MEMORY_SPARE = 512 << 20
"""Reserve for one-shot jobs, caches and the user's own programs."""
IMAGE_BYTES = 512 << 20
"""Disk space of an image, with shared layers counted once (mean of all, measured)."""
VOLUME_BYTES = 64 << 20
"""Disk space of an instance's volume in a lab that has been used a little (measured)."""
DISK_SPARE = 1 << 30
START_SECONDS = 900.0
"""The longest that starting a lab should take, as waiting for readiness times out."""

_SMALL_TOPOLOGY = "single"
_SAME = 0.02
"""The fraction by which two readings of one machine's memory may differ."""


@dataclass(frozen=True)
class Machine:
    """The engine's machine, and what already exists of a lab."""

    memory: int
    """Bytes available."""
    disk: int | None
    """Bytes free in ``root``; None when that cannot be read from here."""
    root: str
    cpus: int
    containers: frozenset[str]
    """Those of the lab that are running."""
    volumes: frozenset[str]
    images: frozenset[str]
    """Tags of all images of labctl."""


def memory_bytes(lab: Lab) -> int:
    """Predicted memory of a running lab in bytes: services as measured, holders and shims."""
    holders = len(lab.nodes) * (HOLDER_BYTES + SHIM_BYTES)
    return holders + sum(_memory(instance) for instance in lab.instances)


def inspect_machine(engine: Engine, lab: str) -> Machine:
    """Ask the engine and, if it runs on this machine, read /proc and the file system."""
    info = engine.info()
    meminfo = _meminfo()
    here = abs(meminfo.get("MemTotal", 0) - info.memory) < _SAME * info.memory
    root = Path(info.root_dir)
    return Machine(
        memory=meminfo["MemAvailable"] if here else info.memory,
        disk=shutil.disk_usage(root).free if root.is_dir() else None,
        root=info.root_dir,
        cpus=info.cpus,
        containers=frozenset(c.name for c in engine.containers(lab) if c.status == "running"),
        volumes=frozenset(engine.volumes(lab)),
        images=frozenset(tag for i in engine.images("labctl.image") for tag in i.tags),
    )


def shortage(desired: Desired, machine: Machine) -> str | None:
    """What the machine lacks, as ``needs … and … is available``; None if the lab fits."""
    lab = desired.lab
    missing = [i for i in lab.instances if lab.container(i) not in machine.containers]
    if not missing:
        return None
    memory = sum(_memory(instance) for instance in missing) + MEMORY_SPARE
    if memory > machine.memory:
        return f"needs {_gib(memory)} of memory and {_gib(machine.memory)} is available"
    disk = _disk(desired, machine)
    if machine.disk is not None and disk > machine.disk:
        return f"needs {_gib(disk)} of disk and {_gib(machine.disk)} is free in {machine.root}"
    cpus = math.ceil(_work(lab, missing) / START_SECONDS)
    if cpus > machine.cpus:
        return f"needs {cpus} processors to start in time and there are {machine.cpus}"
    return None


def check(engine: Engine, desired: Desired, smaller: Iterable[Desired]) -> None:
    """Raise EngineError when a lab does not fit; it names the first of ``smaller`` that does."""
    machine = inspect_machine(engine, desired.lab.name)
    short = _short(engine, desired, machine)
    if short is None:
        return
    fits = next((each for each in smaller if _short(engine, each, machine) is None), None)
    lab = desired.lab
    if fits is not None:
        advice = f"--profile {fits.lab.profile} fits ({_gib(memory_bytes(fits.lab))} of memory)"
    elif lab.topology == _SMALL_TOPOLOGY:
        advice = "no profile of it fits"
    else:
        advice = f"no profile of it fits; see the smaller topology '{_SMALL_TOPOLOGY}'"
    raise EngineError(f"topology '{lab.topology}', profile {lab.profile}, {short}: {advice}")


def largest(engine: Engine, candidates: Iterable[Desired]) -> Desired | None:
    """The first of the candidates that fits its machine; None when none does."""
    machine: Machine | None = None
    for desired in candidates:
        machine = machine or inspect_machine(engine, desired.lab.name)
        if _short(engine, desired, machine) is None:
            return desired
    return None


def _short(engine: Engine, desired: Desired, machine: Machine) -> str | None:
    return shortage(desired, machine) or _missing_device(engine, desired, machine)


def _missing_device(engine: Engine, desired: Desired, machine: Machine) -> str | None:
    """The first device that an instance needs and the machine does not have, as a shortage."""
    users: dict[str, str] = {}
    for name, unit in desired.instances.items():
        if unit.spec.name not in machine.containers:
            for device in unit.spec.devices:
                users.setdefault(device.partition(":")[0], name)
    for device, user in users.items():
        if not _has_device(engine, desired, machine, device):
            return f"needs {device} for {user} and this machine has none"
    return None


def _has_device(engine: Engine, desired: Desired, machine: Machine, device: str) -> bool:
    """Whether the engine's machine has a device; if that cannot be found out, assume so."""
    if machine.disk is not None:
        return Path(device).exists()
    image = desired.images["node"]
    if image not in machine.images:
        return True
    try:
        run_helper(engine, "labctl-device", image, "true", devices=(device,))
    except EngineError as error:
        return device not in str(error)
    return True


def _memory(instance: Instance) -> int:
    """Bytes of memory of an instance, including its disk (full), if that is in memory."""
    service = instance.service
    in_memory = disk.size(service.settings) * len(service.doc.container.volumes)
    kept = in_memory + HOLDER_BYTES + SHIM_BYTES if in_memory else 0
    return size_bytes(service.doc.memory) + SHIM_BYTES + kept


def _disk(desired: Desired, machine: Machine) -> int:
    images = set(desired.images.values()) - machine.images
    mounts = (mount for unit in desired.instances.values() for mount in unit.spec.volumes)
    volumes = {mount.volume for mount in mounts} - machine.volumes
    return DISK_SPARE + IMAGE_BYTES * len(images) + VOLUME_BYTES * len(volumes)


def _work(lab: Lab, instances: list[Instance]) -> float:
    """CPU-seconds until all of these instances are ready."""
    starting = {instance.service.name for instance in instances}
    jobs = [job.cost for name in starting for job in lab.services[name].doc.jobs]
    return (
        sum(instance.service.doc.cost for instance in instances)
        + sum(jobs)
        + CONTAINER_COST * (len(instances) + len(jobs) + len(lab.nodes))
    )


def _meminfo() -> dict[str, int]:
    """/proc/meminfo of this machine: name → bytes; empty where there is no /proc."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line[-2:] == "kB"}


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
