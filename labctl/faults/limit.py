"""CPU time and memory taken from instances: hard limits of their containers, and their end.

What a container should have at a moment follows from the catalogue and from the limits in force:
the lowest counts. So limits overlap, and each is healed by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from labctl.engine.port import ENDLESS, Engine, Limits
from labctl.errors import EngineError, LabError
from labctl.faults import outage, partition, present
from labctl.faults.model import Fault, Member
from labctl.host.parallel import together

_PATIENCE = 60.0
"""Seconds for the asking: it shares the CPU time that was left to the member."""

# What a container sees of its own control group: version 2, else version 1.
_OWN_GROUP = """
cd /sys/fs/cgroup
cat cpu.max memory.max 2>/dev/null ||
    cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us memory/memory.limit_in_bytes
"""


def make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Set the members' limits. EngineError when the engine refuses one."""
    _set(engine, fault, [*others, fault])
    return {}


def undo(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Set what the other limits in force leave, and start what the kernel has ended meanwhile."""
    _set(engine, fault, others)
    outage.undo(engine, outage.own(fault, others), partition.lasting(others))


def bites(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by what the engine says, and the kernel where the member still runs.

    A member that the kernel has ended, because it used more than it may, is bitten, too.
    """
    return _proved(engine, fault, [*others, fault], f"{fault.title} does not bite")


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that the limits are as without it, and that its members run."""
    seen = _proved(engine, fault, others, f"{fault.title} is healed")
    return {**outage.gone(engine, fault, others), **seen}


def in_force(engine: Engine, container: str) -> Limits | None:
    """The limits of a running container as its kernel has them; None where it does not say."""
    result = engine.exec(container, ["sh", "-c", _OWN_GROUP], timeout=_PATIENCE)
    words = result.stdout.split()
    if result.code != 0 or len(words) != 3:
        return None
    quota, period, memory = words
    return Limits(
        cpus=0.0 if quota in ("max", "-1") else round(int(quota) / int(period), 5),
        memory=0 if memory == "max" or int(memory) >= ENDLESS else int(memory),
    )


def _set(engine: Engine, fault: Fault, in_effect: Sequence[Fault]) -> None:
    members = present.there(engine, fault)
    together(lambda m: engine.limit(m.container, _wanted(fault, m, in_effect)), members)


def _proved(
    engine: Engine, fault: Fault, in_effect: Sequence[Fault], claim: str
) -> dict[str, object]:
    """What each member's limits are, by engine and kernel; LabError when they are others."""
    status = {container.name: container.status for container in engine.containers(fault.lab)}
    seen: dict[str, object] = {}
    for member in fault.members:
        if member.container not in status:
            continue  # no longer part of the lab
        wanted = _wanted(fault, member, in_effect)
        running = status[member.container] == "running"
        kernel = _as_the_kernel_has_it(engine, fault, member) if running else None
        for limits in (engine.limits(member.container), kernel):
            if limits is not None and limits != wanted:
                raise LabError(
                    f"{claim}, but {member.name} has {_said(limits)}, not {_said(wanted)}"
                )
        seen[member.name] = f"{_said(wanted)}; {status[member.container]}"
    return seen


def _as_the_kernel_has_it(engine: Engine, fault: Fault, member: Member) -> Limits | None:
    """None, too, when the member was ended while it was asked: too little memory does that."""
    try:
        return in_force(engine, member.container)
    except EngineError:
        if member.container in present.up(engine, fault.lab):
            raise
        return None


def _wanted(fault: Fault, member: Member, in_effect: Iterable[Fault]) -> Limits:
    """What a member should have: its own limits, and those in effect; the lowest counts."""
    memory, cpus = [int(fault.terms["own"].get(member.container, 0))], [0.0]
    for other in in_effect:
        if other.kind == "limit" and member.container in {m.container for m in other.members}:
            memory.append(int(other.terms.get("memory") or 0))
            cpus.append(float(other.terms.get("cpus") or 0))
    return Limits(
        cpus=min((each for each in cpus if each), default=0.0),
        memory=min((each for each in memory if each), default=0),
    )


def _said(limits: Limits) -> str:
    cpus = f"{limits.cpus:g} CPUs" if limits.cpus else "no limit of CPU time"
    memory = f"{limits.memory >> 20} MiB" if limits.memory else "no limit of memory"
    return f"{cpus} and {memory}"
