"""Settings that cannot be changed in an existing lab, because its data depend on them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from labctl.errors import InputError
from labctl.planning.desired import DISK, FIXED, Desired
from labctl.planning.steps import Observed


def check(desired: Desired, observed: Observed) -> None:
    """InputError, in one sentence, for the first change that cannot be made in place."""
    for problem in _problems(desired, observed):
        name = desired.lab.name
        raise InputError(
            f"{problem}: it is made with the lab's data, so take the lab down first, with "
            f"`labctl down --lab {name}`"
        )


def _problems(desired: Desired, observed: Observed) -> Iterator[str]:
    lab = desired.lab
    for instance in lab.instances:
        there = observed.containers.get(lab.container(instance))
        if there is None:
            continue
        unit = desired.disks.get(instance.name)
        disk = observed.containers.get(lab.disk(instance))
        wanted = unit.spec.labels[DISK] if unit else None
        has = disk.labels.get(DISK) if disk else None
        if wanted != has:
            yield (
                f"the disk of {instance.name} has {_size(has)} in lab '{lab.name}' and should "
                f"have {_size(wanted)}"
            )
        now = desired.instances[instance.name].spec.labels
        before = json.loads(there.labels.get(FIXED, "{}"))
        for name, value in json.loads(now.get(FIXED, "{}")).items():
            if before.get(name, value) != value:
                yield (
                    f"services.{instance.service.name}.{name} is {json.dumps(before[name])} in "
                    f"lab '{lab.name}' and should be {json.dumps(value)}"
                )


def _size(label: str | None) -> str:
    """The size of a disk, by its label, for people."""
    return "no size of its own" if label is None else f"{int(label) >> 20} MiB"
