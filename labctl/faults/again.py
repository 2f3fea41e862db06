"""What is ended and started again: restarts, reboots, and processes that crash in a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from labctl.engine.port import Engine
from labctl.faults import outage, present
from labctl.faults.model import Fault, Kind

_ENDS: Mapping[str, Kind] = {"restart": "stop", "reboot": "kill"}
"""Kind → how it ends what it starts again."""


def restart(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """End the members, see that they have ended, and start them; what was seen meanwhile.

    LabError when they did not end: then nothing was restarted.
    """
    ending = replace(fault, kind=_ENDS[fault.kind])
    outage.make(engine, ending)
    down = outage.bites(engine, ending, others)
    outage.undo(engine, ending, others)
    return {f"{name} was": status for name, status in down.items()}


def crash(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Kill the members, start them once, and kill them again: the first turn of the loop.

    The guardian goes on with it, for it outlives labctl.
    """
    outage.make(engine, replace(fault, kind="kill"))
    seen = outage.bites(engine, fault, others)
    outage.undo(engine, fault, others)
    up = outage.gone(engine, fault, others)
    outage.make(engine, replace(fault, kind="kill"))
    return {"killed": [*seen], "started": [*up], "killed again": [*seen]}


def turn(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Fault:
    """The loop's next turn: what runs is killed, what does not is started; kills are counted."""
    alive = tuple(present.alive(engine, fault))
    if not alive:
        outage.undo(engine, fault, others)
        return fault
    outage.make(engine, replace(fault, kind="kill", members=alive))
    return replace(fault, terms={**fault.terms, "kills": fault.terms.get("kills", 2) + len(alive)})
