"""Which volumes of a lab a checkpoint keeps, and who gets what is on them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labctl.engine.port import VolumeMount
from labctl.errors import InputError
from labctl.model.lab import Instance, Service
from labctl.planning.desired import Desired

_PASSING = "/run/"
"""What is mounted below this is gone after a reboot, and belongs to no checkpoint."""


@dataclass(frozen=True)
class Kept:
    """The data of one archive: those of any of these volumes, which all get them."""

    name: str
    """Unique in the lab, and the same in every lab of its topology."""
    volumes: tuple[str, ...]
    omit: tuple[str, ...] = ()
    """Paths on the volume that are left out, with shell patterns."""
    newest: str = ""
    """The service whose instance with the most recent data is the one to copy; its instances are
    in the order of the volumes. Empty: there is one volume."""


def kept(desired: Desired) -> list[Kept]:
    """The archives of a lab's checkpoint. InputError for a lab whose data cannot be kept."""
    for name in desired.disks:
        raise InputError(
            f"{name} has its data in memory (`disk`), where they end with the lab: leave "
            f"services.{name.partition('/')[2]}.disk out to make checkpoints"
        )
    found: dict[tuple[str, ...], Kept] = {}
    for service in desired.lab.services.values():
        for each in _of_service(desired, service):
            found.setdefault(each.volumes, each)
    return list(found.values())


def newest_command(service: Service) -> tuple[str, ...]:
    """What prints how recent an instance's data are."""
    return service.doc.checkpoint.newest or service.doc.recovery.position


def _of_service(desired: Desired, service: Service) -> Iterator[Kept]:
    doc, instances = service.doc.checkpoint, desired.lab.of_service(service)
    if doc.keep == "nothing":
        return
    own = set(service.doc.container.volumes.values())
    mounts = [_lasting(desired, instance) for instance in instances]
    if doc.keep == "newest":
        for same in zip(*mounts, strict=True):
            if same[0].target in own:
                name = f"{service.name}-{_short(desired, instances[0], same[0])}"
                volumes = tuple(mount.volume for mount in same)
                yield Kept(name, volumes, doc.omit, service.name)
    for mount in (mount for there in mounts for mount in there):
        if doc.keep == "each" or mount.target not in own:
            name = mount.volume.removeprefix(f"{desired.lab.name}-")
            yield Kept(name, (mount.volume,), doc.omit if mount.target in own else ())


def _lasting(desired: Desired, instance: Instance) -> list[VolumeMount]:
    mounts = desired.instances[instance.name].spec.volumes
    return [mount for mount in mounts if not mount.target.startswith(_PASSING)]


def _short(desired: Desired, instance: Instance, mount: VolumeMount) -> str:
    return mount.volume.removeprefix(f"{desired.lab.container(instance)}-")
