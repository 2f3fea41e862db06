"""Wrong clocks: sets the offset file that libfaketime reads in each instance.

If several faults are in force on an instance, the newest counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine, FileEntry
from labctl.errors import InputError, LabError
from labctl.faults import build, present
from labctl.faults.kind import FaultKind, Key, Request
from labctl.faults.model import DEFAULT_LEASE, Fault, Member
from labctl.faults.targets import Target
from labctl.host.parallel import together
from labctl.model.clock import CACHED, FILE, SETTING, content, faked
from labctl.model.ranges import clock_problem
from labctl.model.spans import OFFSET, offset

if TYPE_CHECKING:
    from labctl.model.lab import Lab

_TOLERANCE = 2.0
"""Seconds: less than half of the smallest offset, and long enough to start ``date``."""

# Whether the main process has libfaketime; the true time, the instance's, and the true time again.
_ASK = """
grep -c libfaketime /proc/1/maps
env -u LD_PRELOAD date +%s.%N
date +%s.%N
env -u LD_PRELOAD date +%s.%N
"""


def clocked(
    engine: Engine,
    lab: Lab,
    targets: Sequence[Target],
    *,
    by: float,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that sets instances' clocks ahead by so many seconds, or behind if negative.

    InputError when that is out of range, or for a service that does not run under libfaketime.
    """
    problem = clock_problem(by)
    for target in targets:
        problem = problem or (target.service and fixed_clock_problem(lab, target.service)) or None
    if problem:
        raise InputError(problem)
    terms = {"said": f"{by:+g} s", "by": by}
    return build.on_instances(engine, lab, "clock", targets, lease=lease, terms=terms)


def make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Set its members' clocks, all at once; it takes effect within a second."""
    _set(engine, fault, [*others, fault])
    return {}


def undo(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Set the offset that the other faults in force require; none: the true time."""
    _set(engine, fault, others)


def had_effect(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by reading the time in each running member, as its process sees it."""
    seen = _proved(engine, fault, [*others, fault], f"{fault.title} had no effect")
    if not seen:
        raise LabError(f"{fault.title} had no effect: none of its instances is running")
    return seen


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that its members have the true time again, and will have it when they start."""
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
    """Each running member's clock offset; LabError when it is not as it should be."""
    seen: dict[str, object] = {}
    for member, state in present.states(engine, fault).items():
        wanted = _wanted(member, in_effect)
        if engine.read_file(member.container, FILE) != content(wanted):
            raise LabError(f"{claim}, but {FILE} in {member.name} is not that of {wanted:+g} s")
        if state == "running":
            off = _off(engine, fault, member)
            if abs(off - wanted) > _TOLERANCE:
                raise LabError(f"{claim}, but the clock of {member.name} is off by {off:+.1f} s")
            seen[member.name] = f"off by {off:+.1f} s"
    return seen


def _off(engine: Engine, fault: Fault, member: Member) -> float:
    """Seconds that a running member's clock is ahead of the true time."""
    result = engine.exec(member.container, ["sh", "-c", _ASK], timeout=30)
    try:
        maps, before, own, after = map(float, result.stdout.split())
    except ValueError:
        said = (result.stderr or result.stdout).strip()
        raise LabError(f"{fault.title}: {member.name} does not print its time: {said}") from None
    if not maps:
        raise LabError(f"{fault.title}: {member.name} does not run under libfaketime")
    return own - (before + after) / 2


def _wanted(member: Member, in_effect: Sequence[Fault]) -> float:
    """Seconds by which a member's clock should be off: as the newest fault says."""
    offsets = [float(fault.terms["by"]) for fault in present.on(member, "clock", in_effect)]
    return offsets[-1] if offsets else 0.0


def fixed_clock_problem(lab: Lab, service: str) -> str | None:
    """Why the clock of a service of the lab cannot be changed; None when it can."""
    if faked(lab.services[service].settings):
        return None
    return build.unsupported(lab, service, SETTING, what="clock", done="changed", value="true")


def _service_problem(lab: Lab, service: str, _: Mapping[str, Any]) -> tuple[str, str] | None:
    problem = fixed_clock_problem(lab, service)
    return ("target", problem) if problem else None


def _build(request: Request) -> Fault:
    return clocked(
        request.engine,
        request.lab,
        request.targets,
        by=request.terms["by"],
        lease=request.lease,
    )


def _problem(terms: Mapping[str, Any]) -> str | None:
    return clock_problem(offset(terms["by"]))


KINDS = (
    FaultKind(
        word="clock",
        summary="Set instances' clocks ahead or behind.",
        build=_build,
        make=make,
        undo=undo,
        had_effect=had_effect,
        gone=gone,
        needs=("target", "by"),
        keys=(
            Key(
                "by",
                "Of a clock: how far it is ahead, or behind if negative.",
                pattern=OFFSET,
                read=offset,
            ),
        ),
        problem=_problem,
        on_instances=True,
        service_problem=_service_problem,
    ),
)
