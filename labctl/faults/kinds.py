"""How each kind of fault is made, undone and proved: one table, so that a new kind is a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labctl.engine.port import Engine
from labctl.faults import again, clock, command, degrade, delay, disk, limit, outage, partition
from labctl.faults.model import Fault

Seen = Mapping[str, object]
"""What was measured, fit for JSON."""


@dataclass(frozen=True)
class Craft:
    """The four acts of a kind. The last argument of each are the other faults in force."""

    make: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Make it; what was seen on the way (``moments``: target → seconds until it was hit)."""
    undo: Callable[[Engine, Fault, Sequence[Fault]], None]
    """Undo what is found of it; done already is well."""
    bites: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Prove that it is in force. LabError when it is not."""
    gone: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Prove that nothing of it is left. LabError when something is."""


def known(kind: object) -> bool:
    """Whether there is such a kind."""
    return isinstance(kind, str) and kind in _CRAFTS


def of(fault: Fault) -> Craft:
    """The craft of a fault's kind."""
    return _CRAFTS[fault.kind]


def _halt(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
    return {"moments": outage.make(engine, fault)}


def _start(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    outage.undo(engine, fault, partition.lasting(others))


def _restart(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    return again.restart(engine, fault, partition.lasting(others))


def _crash(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    return again.crash(engine, fault, partition.lasting(others))


def _kills(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    return {**outage.gone(engine, fault, others), "kills": fault.terms.get("kills", 2)}


def _sever(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
    if fault.blink:
        degrade.blink(engine, fault)
        return {}
    return {"moments": partition.install(engine, fault, time.time())}


def _mend(engine: Engine, fault: Fault, _: Sequence[Fault]) -> None:
    partition.uninstall(engine, fault)


def _severed(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    prove = partition.bites if fault.whole and not fault.blink else degrade.bites
    return prove(engine, fault, partition.lasting(others))


_HALT = Craft(_halt, _start, outage.bites, outage.gone)
_AGAIN = Craft(_restart, _start, outage.gone, outage.gone)
_WIRE = Craft(_sever, _mend, _severed, partition.gone)

_CRAFTS: Mapping[str, Craft] = {
    **dict.fromkeys(("kill", "term", "stop", "pause"), _HALT),
    **dict.fromkeys(("restart", "reboot"), _AGAIN),
    "crash-loop": Craft(_crash, _start, outage.bites, _kills),
    **dict.fromkeys(("cut", "loss", "bandwidth"), _WIRE),
    "delay": Craft(delay.make, delay.undo, delay.bites, delay.gone),
    "limit": Craft(limit.make, limit.undo, limit.bites, limit.gone),
    "clock": Craft(clock.make, clock.undo, clock.bites, clock.gone),
    "fill": Craft(disk.make, disk.undo, disk.bites, disk.gone),
    "action": Craft(command.make, command.undo, command.bites, command.gone),
}
