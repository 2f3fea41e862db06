"""Full disks: an unlinked file takes all free space, and whatever is freed later.

It is written by the container that keeps an instance's volumes in memory, and all space is free
again when the writer ends: nothing has to be removed, whatever dies meanwhile. A volume on the
machine's own disk is never filled: only file systems in memory of the expected size are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.faults import build, kinds, outage, present
from labctl.faults.kind import FaultKind, Request
from labctl.faults.model import DEFAULT_LEASE, Fault, Member
from labctl.faults.targets import Target
from labctl.host.parallel import timed_together, together
from labctl.model import disk

if TYPE_CHECKING:
    from labctl.model.lab import Lab

_FULL = 10.0
"""Seconds in which a small disk fills up, even if its service frees something meanwhile."""
_PACE = 100 << 20
"""Bytes per second that are written at least."""
_LOOK = 0.2
_MOST_FREE = 64 << 10
"""Bytes that may be free on a full disk: freed since the filler last wrote."""

# $1: bytes of each file system, the rest: where they are mounted. One filler for all of them.
_FILL = """
size=$1; shift
for path; do
    is="$(stat -f -c %T "$path") $(($(stat -f -c '%b * %S' "$path")))"
    [ "$is" = "tmpfs $size" ] || { echo "$path is on $is, not on tmpfs $size" >&2; exit 1; }
done
kill -0 "$(cat /run/full 2>/dev/null)" 2>/dev/null && exit 0
setsid sh -c '
    echo $$ >/run/full
    for path; do
        {
            exec 3>"$path/.full" && rm "$path/.full" || exit
            while :; do dd if=/dev/zero bs=64k >&3 2>/dev/null; sleep 0.5; done
        } &
    done
    wait
' full "$@" </dev/null >/dev/null 2>&1 &
"""
# setsid made the filler a group leader: kill the whole group.
_FREE = """
kill -9 -"$(cat /run/full 2>/dev/null)" 2>/dev/null
rm -f /run/full
"""
# Whether the filler runs, and the bytes that are free on each.
_LOOK_AT = """
kill -0 "$(cat /run/full 2>/dev/null)" 2>/dev/null && echo 1 || echo 0
for path; do echo $(($(stat -f -c '%a * %S' "$path"))); done
"""


@dataclass(frozen=True)
class _State:
    """A disk's state: whether something fills it, and the free bytes of its emptiest volume."""

    filled: bool
    free: int


def filled(
    engine: Engine, lab: Lab, targets: Sequence[Target], *, lease: float = DEFAULT_LEASE
) -> Fault:
    """A fault that fills the disks of instances and keeps them full.

    InputError for a service that is on the machine's own disk.
    """
    for target in targets:
        if target.service and (problem := unfillable_problem(lab, target.service)):
            raise InputError(problem)
    disks = {}
    for target in targets:
        instance = lab.instance(target.node, target.service or "")
        if instance is not None:
            disks[lab.container(instance)] = {
                "keeper": lab.disk(instance),
                "size": disk.size(instance.service.settings),
                "paths": list(instance.service.doc.container.volumes.values()),
            }
    return build.on_instances(engine, lab, "fill", targets, lease=lease, terms={"disks": disks})


def make(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Fill the disks of its members, all at once."""

    def fill(member: Member) -> None:
        size, paths = _disk(fault, member)
        result = engine.exec(_keeper(fault, member), ["sh", "-c", _FILL, "fill", str(size), *paths])
        if result.code != 0:
            raise LabError(f"{fault.title}: {result.stderr.strip() or 'the filler did not start'}")

    return {"moments": timed_together(fill, fault.members, lambda member: member.name)}


def undo(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Free the disks that no other fault fills, and start members that ended for lack of space."""
    running = present.up(engine, fault.lab)
    ours = [m for m in _free_again(fault, others) if _keeper(fault, m) in running]
    together(lambda m: engine.exec(_keeper(fault, m), ["sh", "-c", _FREE, "free"]), ours)
    outage.undo(engine, outage.own(fault, others), kinds.lasting(others))


def had_effect(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that nothing is free on any of the disks, also of members that have ended."""
    largest = max(_disk(fault, member)[0] for member in fault.members)
    limit = time.monotonic() + _FULL + largest / _PACE
    seen: dict[str, object] = {}
    for member in fault.members:
        while (state := _look(engine, fault, member)).free > _MOST_FREE or not state.filled:
            if time.monotonic() > limit:
                raise LabError(
                    f"{fault.title} had no effect: {_said(fault, member, state)} on {member.name}"
                )
            Event().wait(_LOOK)
        seen[member.name] = _said(fault, member, state)
    return seen


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that nothing fills the disks any more, and that its members run."""
    seen = dict(outage.gone(engine, fault, others))
    running = present.up(engine, fault.lab)
    for member in _free_again(fault, others):
        if _keeper(fault, member) not in running:
            continue  # without its keeper the disk is gone
        state = _look(engine, fault, member)
        if state.filled:
            raise LabError(f"{fault.title} is healed, but something still fills {member.name}")
        seen[f"{member.name} disk"] = _said(fault, member, state)
    return seen


def _free_again(fault: Fault, others: Sequence[Fault]) -> list[Member]:
    """The members whose disks no other fault fills."""
    return [member for member in fault.members if not present.on(member, "fill", others)]


def _look(engine: Engine, fault: Fault, member: Member) -> _State:
    _, paths = _disk(fault, member)
    result = engine.exec(_keeper(fault, member), ["sh", "-c", _LOOK_AT, "look", *paths])
    try:
        filled, *free = map(int, result.stdout.split())
        return _State(bool(filled), max(free))
    except ValueError:
        said = (result.stderr or result.stdout).strip()
        raise LabError(f"{fault.title}: cannot read the disk of {member.name}: {said!r}") from None


def _keeper(fault: Fault, member: Member) -> str:
    name: str = fault.terms["disks"][member.container]["keeper"]
    return name


def _disk(fault: Fault, member: Member) -> tuple[int, list[str]]:
    """Bytes of each of a member's file systems, and where they are mounted."""
    known: Mapping[str, Any] = fault.terms["disks"][member.container]
    return known["size"], list(known["paths"])


def _said(fault: Fault, member: Member, state: _State) -> str:
    return f"{state.free >> 20} of {_disk(fault, member)[0] >> 20} MiB free"


def unfillable_problem(lab: Lab, service: str) -> str | None:
    """Why the disks of a service of the lab cannot be filled; None when they can."""
    if disk.size(lab.services[service].settings):
        return None
    return build.unsupported(lab, service, disk.SETTING, what="disk", done="filled", value="256M")


def _service_problem(lab: Lab, service: str, _: Mapping[str, Any]) -> tuple[str, str] | None:
    problem = unfillable_problem(lab, service)
    return ("target", problem) if problem else None


def _build(request: Request) -> Fault:
    return filled(request.engine, request.lab, request.targets, lease=request.lease)


KINDS = (
    FaultKind(
        word="fill",
        summary="Fill instances' disks.",
        build=_build,
        make=make,
        undo=undo,
        had_effect=had_effect,
        gone=gone,
        on_instances=True,
        service_problem=_service_problem,
    ),
)
