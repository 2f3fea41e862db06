"""How recent the data of a stopped instance are: what a command of its own says of its volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.model.lab import Instance
from labctl.planning.desired import KIND, Desired

TIMEOUT = 120.0
"""Seconds that reading a position may take: a storage engine may have to recover from a crash."""


def position(
    engine: Engine, desired: Desired, instance: Instance, command: Sequence[str]
) -> tuple[str, int] | None:
    """Run a command that prints IDENTITY:NUMBER in a helper with the instance's volumes and files.

    Returns the identity and the number, or None when there are no data.
    """
    unit = desired.instances[instance.name]
    name = f"{unit.spec.name}-position"
    spec = replace(
        unit.spec,
        name=name,
        command=tuple(command),
        join=None,
        labels={**unit.spec.labels, KIND: "helper"},
    )
    engine.remove(name)
    engine.create(spec)
    try:
        engine.put_files(name, unit.files)
        engine.start(name)
        code = engine.wait(name, TIMEOUT)
        # What else it says, on its way, is not the answer.
        last = "".join(engine.logs(name).strip().splitlines()[-1:])
    finally:
        engine.remove(name)
    if code != 0:
        raise LabError(f"{instance.name}: its position cannot be read: {last}")
    identity, _, number = last.rpartition(":")
    return (identity, int(number)) if identity else None
