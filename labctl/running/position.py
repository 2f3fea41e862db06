"""How recent the data of stopped instances are, as a command of their own says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.model.lab import Instance
from labctl.planning.desired import KIND, Desired

TIMEOUT = 120.0
"""Seconds that reading a position may take: a storage engine may have to recover from a crash."""


def at_rest(
    engine: Engine, desired: Desired, instance: Instance, command: Sequence[str], what: str
) -> tuple[int, str]:
    """Run a command with a stopped instance's volumes and files; its exit code and output.

    ``what`` it is for is part of the name of the container that is made for it, and removed.
    """
    unit = desired.instances[instance.name]
    name = f"{unit.spec.name}-{what}"
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
        return engine.wait(name, TIMEOUT), engine.logs(name)
    finally:
        engine.remove(name)


def position(
    engine: Engine, desired: Desired, instance: Instance, command: Sequence[str]
) -> tuple[str, int] | None:
    """The identity and number that a command prints as IDENTITY:NUMBER; None without data."""
    code, said = at_rest(engine, desired, instance, command, "position")
    # What else it says, on its way, is not the answer.
    last = "".join(said.strip().splitlines()[-1:])
    if code != 0:
        raise LabError(f"{instance.name}: its position cannot be read: {last}")
    identity, _, number = last.rpartition(":")
    return (identity, int(number)) if identity else None


def most_advanced(service: str, positions: Mapping[str, tuple[str, int]]) -> str:
    """The instance with the highest position; ``positions`` are (cluster identity, number).

    LabError when there are none, or they are not of the same cluster.
    """
    if not positions:
        raise LabError(f"{service}: none of its instances has data to keep")
    if len({identity for identity, _ in positions.values()}) > 1:
        listed = ", ".join(f"{name} {identity}" for name, (identity, _) in positions.items())
        raise LabError(
            f"{service}: its members have data of different clusters ({listed}): remove the "
            "volumes of those that are wrong"
        )
    return max(positions, key=lambda name: positions[name][1])
