"""Lack of CPU time and memory: hard limits on instances' containers.

A container's limits follow from the catalogue and from all limits in force: the lowest counts. So
limits can overlap and be healed separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labctl.engine.port import ENDLESS, Engine, Limits
from labctl.errors import EngineError, InputError, LabError
from labctl.faults import build, kinds, outage, present
from labctl.faults.kind import FaultKind, Key, Request
from labctl.faults.model import DEFAULT_LEASE, Fault, Member
from labctl.faults.targets import Target
from labctl.host.parallel import together
from labctl.model.ranges import LEAST_CPUS, LEAST_MEMORY, MOST_CPUS
from labctl.model.sizes import PATTERN, size_bytes

if TYPE_CHECKING:
    from labctl.model.lab import Lab

_PATIENCE = 60.0
"""Seconds for reading the limits: the command shares the CPU time that was left to the member."""

# The limits of a container's own control group, as it sees them: version 2, else version 1.
_OWN_GROUP = """
cd /sys/fs/cgroup
cat cpu.max memory.max 2>/dev/null ||
    cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us memory/memory.limit_in_bytes
"""


def limited(
    engine: Engine,
    lab: Lab,
    targets: Sequence[Target],
    *,
    cpus: float | None = None,
    memory: int | None = None,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A hard limit of CPU time (in CPUs), of memory (in bytes), or of both, for each instance.

    A memory limit below what is in use is refused by the engine, or the kernel kills the process; a
    process that reaches the limit later is killed. InputError when a limit is out of range.
    """
    said = []
    if cpus is not None:
        if not LEAST_CPUS <= cpus <= MOST_CPUS:
            raise InputError(f"a limit is between 0.01 and 64 CPUs, not {cpus:g}")
        said.append(f"{cpus:g} CPUs")
    if memory is not None:
        if memory < LEAST_MEMORY:
            raise InputError(f"a limit of memory is at least 8M, not {memory} bytes")
        said.append(f"{memory >> 20} MiB")
    if not said:
        raise InputError("a limit is of CPU time, of memory or of both: name at least one")
    terms: dict[str, Any] = {"said": ", ".join(said), "cpus": cpus, "memory": memory}
    terms["own"] = {
        member.container: size_bytes(size)
        for target in targets
        for member in build.members_of(lab, target)
        if member.service and (size := lab.services[member.service].doc.container.mem_limit)
    }
    return build.on_instances(engine, lab, "limit", targets, lease=lease, terms=terms)


def make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Set the members' limits. EngineError when the engine refuses one."""
    _set(engine, fault, [*others, fault])
    return {}


def undo(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Set what the other limits in force require, and start what the kernel has killed."""
    _set(engine, fault, others)
    outage.undo(engine, outage.own(fault, others), kinds.lasting(others))


def had_effect(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by the limits that the engine reports and, while a member runs, the kernel.

    A member that the kernel killed for using too much is proof as well.
    """
    return _proved(engine, fault, [*others, fault], f"{fault.title} had no effect")


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that the limits are as they would be without it, and that its members run."""
    seen = _proved(engine, fault, others, f"{fault.title} is healed")
    return {**outage.gone(engine, fault, others), **seen}


def in_force(engine: Engine, container: str) -> Limits | None:
    """The limits of a running container from the kernel; None where they cannot be read."""
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
    """Each member's limits; LabError when those of engine or kernel are not as they should be."""
    seen: dict[str, object] = {}
    for member, state in present.states(engine, fault).items():
        wanted = _wanted(fault, member, in_effect)
        running = state == "running"
        kernel = _kernel_limits(engine, fault, member) if running else None
        for limits in (engine.limits(member.container), kernel):
            if limits is not None and limits != wanted:
                raise LabError(
                    f"{claim}, but {member.name} has {_said(limits)}, not {_said(wanted)}"
                )
        seen[member.name] = f"{_said(wanted)}; {state}"
    return seen


def _kernel_limits(engine: Engine, fault: Fault, member: Member) -> Limits | None:
    """As :func:`in_force`; also None when the member ended meanwhile, for lack of memory."""
    try:
        return in_force(engine, member.container)
    except EngineError:
        if member.container in present.up(engine, fault.lab):
            raise
        return None


def _wanted(fault: Fault, member: Member, in_effect: Iterable[Fault]) -> Limits:
    """The limits that a member should have: the lowest of its own and those in effect."""
    memory, cpus = [int(fault.terms["own"].get(member.container, 0))], [0.0]
    for other in present.on(member, "limit", in_effect):
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


def _build(request: Request) -> Fault:
    cpus, memory = (request.terms.get(key) for key in ("cpu", "memory"))
    return limited(
        request.engine,
        request.lab,
        request.targets,
        cpus=cpus,
        memory=memory,
        lease=request.lease,
    )


def _enough(size: str) -> str:
    if size_bytes(size) < LEAST_MEMORY:
        raise ValueError(f"is {size}, should be at least {LEAST_MEMORY >> 20}M")
    return size


KINDS = (
    FaultKind(
        word="limit",
        summary="Limit instances' CPU time or memory.",
        build=_build,
        make=make,
        undo=undo,
        had_effect=had_effect,
        gone=gone,
        one_of=("cpu", "memory"),
        keys=(
            Key(
                "cpu",
                "Of a limit: CPU time that is left, in CPUs.",
                float,
                least=LEAST_CPUS,
                most=MOST_CPUS,
            ),
            Key(
                "memory",
                "Of a limit: memory that is left (``200M``). Less than is in use is refused by the "
                "engine, or the kernel kills the process; what needs more later is killed, too.",
                pattern=PATTERN,
                check=_enough,
                read=size_bytes,
            ),
        ),
        on_instances=True,
    ),
)
