"""Clocks set apart from the machine's: the file that libfaketime reads in each instance.

Of the faults in force on an instance the newest counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event

from labctl.engine.port import Engine, FileEntry
from labctl.errors import LabError
from labctl.faults import present
from labctl.faults.model import Fault, Member
from labctl.host.parallel import together
from labctl.model.clock import CACHED, FILE, content

_TOLERANCE = 2.0
"""Seconds: less than half of the smallest offset, and long enough to start ``date``."""

# What the main process runs under; the right time, the instance's, and the right time again.
_ASK = """
grep -c libfaketime /proc/1/maps
env -u LD_PRELOAD date +%s.%N
date +%s.%N
env -u LD_PRELOAD date +%s.%N
"""


def make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Set its members' clocks, all at once; they follow within a second."""
    _set(engine, fault, [*others, fault])
    return {}


def undo(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Set what the other faults in force leave: the right time, if there are none."""
    _set(engine, fault, others)


def bites(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by asking for the time in each member that runs, as its process gets it."""
    seen = _proved(engine, fault, [*others, fault], f"{fault.title} does not bite")
    if not seen:
        raise LabError(f"{fault.title} does not bite: none of its instances runs")
    return seen


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that its members have the right time again, and will have it when they start."""
    return _proved(engine, fault, others, f"{fault.title} is healed")


def _set(engine: Engine, fault: Fault, in_effect: Sequence[Fault]) -> None:
    def write(member: Member) -> None:
        said = content(_wanted(member, in_effect))
        engine.put_files(member.container, [FileEntry(FILE, said)])

    together(write, present.there(engine, fault))
    Event().wait(CACHED)


def _proved(
    engine: Engine, fault: Fault, in_effect: Sequence[Fault], claim: str
) -> dict[str, object]:
    """How far each running member's clock is off; LabError when that is not as it should be."""
    status = {container.name: container.status for container in engine.containers(fault.lab)}
    seen: dict[str, object] = {}
    for member in fault.members:
        wanted = _wanted(member, in_effect)
        if member.container not in status:
            continue  # no longer part of the lab
        if engine.read_file(member.container, FILE) != content(wanted):
            raise LabError(f"{claim}, but {FILE} in {member.name} is not that of {wanted:+g} s")
        if status[member.container] == "running":
            off = _off(engine, fault, member)
            if abs(off - wanted) > _TOLERANCE:
                raise LabError(f"{claim}, but the clock of {member.name} is off by {off:+.1f} s")
            seen[member.name] = f"off by {off:+.1f} s"
    return seen


def _off(engine: Engine, fault: Fault, member: Member) -> float:
    """Seconds that a running member's clock is ahead of the right time."""
    result = engine.exec(member.container, ["sh", "-c", _ASK], timeout=30)
    try:
        maps, before, own, after = map(float, result.stdout.split())
    except ValueError:
        said = (result.stderr or result.stdout).strip()
        raise LabError(f"{fault.title}: {member.name} does not say its time: {said}") from None
    if not maps:
        raise LabError(f"{fault.title}: {member.name} does not run under libfaketime")
    return own - (before + after) / 2


def _wanted(member: Member, in_effect: Sequence[Fault]) -> float:
    """Seconds by which a member's clock should be off: as the newest fault says."""
    offsets = [
        float(fault.terms["by"])
        for fault in in_effect
        if fault.kind == "clock" and member.container in {m.container for m in fault.members}
    ]
    return offsets[-1] if offsets else 0.0
