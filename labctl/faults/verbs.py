"""Making faults and undoing them, journalled and proved: what everything else calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.engine.port import Engine
from labctl.errors import LabctlError, LabError
from labctl.faults import build, journal, kinds, lease, outage, partition, present
from labctl.faults.model import Evidence, Fault
from labctl.faults.targets import Target

if TYPE_CHECKING:
    from labctl.model.lab import Lab

Guard = Callable[[str, str], None]
"""Sees to it that somebody undoes a lab's faults when their leases end: (lab, engine's URL)."""


def inject(engine: Engine, fault: Fault, *, guard: Guard = lease.summon) -> Evidence:
    """Make a fault and prove that it is in effect. Its lease begins now.

    On disk before anything is touched, and watched over by the guardian. LabError when it
    had no effect; what was made of it is undone then.
    """
    with journal.exclusive(fault.lab):
        others = [entry.fault for entry in journal.entries(fault.lab)]
        fault = replace(fault, begun=time.time())
        journal.write(fault, "injecting")
        guard(fault.lab, engine.url)
        try:
            evidence = _make(engine, fault, others)
        except LabctlError:
            # What cannot be undone here stays journalled as half made: the guardian goes on.
            with suppress(LabctlError):
                _heal(engine, fault, others)
            raise
        journal.write(fault, "active")
    return evidence


def heal(engine: Engine, fault: Fault) -> Evidence:
    """Undo a fault and prove that nothing of it is left. No-op if that is done.

    What the journal holds under its id is undone: the fault may have changed since it was made.
    """
    with journal.exclusive(fault.lab):
        faults = {entry.fault.id: entry.fault for entry in journal.entries(fault.lab)}
        fault = faults.pop(fault.id, fault)
        return _heal(engine, fault, list(faults.values()))


def heal_all(engine: Engine, lab: Lab, *, sweep: bool = False) -> list[Evidence]:
    """Undo everything journalled; with ``sweep`` remove tables that no journal knows, too.

    All of it is tried before the first error is raised.
    """
    if not sweep and not journal.entries(lab.name):
        return []
    with journal.exclusive(lab.name):
        done = _heal_each(engine, lab.name, active(lab))
        if sweep:
            up = present.up(engine, lab.name)
            partition.sweep(engine, [s for s in build.stations_of(lab) if s.holder in up])
    return done


def expire(engine: Engine, lab: Lab) -> list[Evidence]:
    """Undo what is past its lease or was left half made by a killed labctl; cheap when none is."""
    return expire_lab(engine, lab.name)


def expire_lab(engine: Engine, lab: str) -> list[Evidence]:
    """As :func:`expire`, for one that knows the lab's name only.

    Does nothing while another process makes or heals faults of the lab.
    """
    if not journal.entries(lab):
        return []
    with journal.exclusive(lab, wait=False) as alone:
        if not alone:
            return []
        now = time.time()
        lapsed = [
            entry.fault
            for entry in journal.entries(lab)
            if entry.state == "injecting" or entry.fault.due <= now
        ]
        return _heal_each(engine, lab, lapsed)


def go_on(engine: Engine, lab: str) -> None:
    """The next turn of every crash loop of a lab; none while another process works on its faults.

    For the guardian. What a turn cannot do, because a node is off, the next one may.
    """
    with journal.exclusive(lab, wait=False) as alone:
        entries = journal.entries(lab) if alone else []
        for entry in entries:
            turn = kinds.of(entry.fault).turn
            if turn is not None and entry.state == "active":
                others = [each.fault for each in entries if each is not entry]
                with suppress(LabctlError):
                    journal.write(turn(engine, entry.fault, others), "active")


def active(lab: Lab) -> list[Fault]:
    """The faults that are journalled: made and not yet healed."""
    return [entry.fault for entry in journal.entries(lab.name)]


def forget(lab: str) -> None:
    """Drop a lab's journal, for its removal; its guardian leaves when it sees that."""
    with journal.exclusive(lab):
        journal.forget(lab)


def start(engine: Engine, lab: Lab, targets: Sequence[Target]) -> None:
    """Start what does not run of nodes or instances, whatever ended it; a node's holder first.

    Faults that kept it from running are no longer in force for it.
    """
    with journal.exclusive(lab.name):
        for target in targets:
            synthetic = build.start_of(lab, target)
            others = active(lab)
            outage.undo(engine, synthetic, kinds.lasting(others))
            freed = {member.container for member in synthetic.members}
            _narrow([f for f in others if _off(f)], freed)


def unpause(engine: Engine, lab: Lab, targets: Sequence[Target]) -> None:
    """Thaw what is frozen of nodes or instances."""
    with journal.exclusive(lab.name):
        for target in targets:
            synthetic = build.start_of(lab, target)
            outage.thaw(engine, synthetic)
            freed = {member.container for member in synthetic.members}
            frozen = [f for f in active(lab) if kinds.of(f).halts and not kinds.of(f).ends]
            _narrow(frozen, freed)


def _off(fault: Fault) -> bool:
    kind = kinds.of(fault)
    return kind.halts and kind.ends


def _narrow(faults: Sequence[Fault], freed: set[str]) -> None:
    """Take containers out of journalled faults; a fault of which nothing is left is forgotten."""
    for fault in faults:
        left = tuple(member for member in fault.members if member.container not in freed)
        if not left:
            journal.remove(fault)
        elif left != fault.members:
            kept = {m.node for m in left} | {m.name for m in left}
            targets = tuple(name for name in fault.targets if name in kept)
            journal.write(replace(fault, members=left, targets=targets), "active")


def _make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Evidence:
    kind, asked = kinds.of(fault), time.monotonic()
    seen = dict(kind.make(engine, fault, others))
    took = time.monotonic() - asked
    seen |= kind.had_effect(engine, fault, others)
    return Evidence(fault.id, f"{fault.title}: in effect", round(took, 3), seen)


def _heal(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Evidence:
    """Undo, prove, forget: in this order, so that a failure stays in the journal."""
    kind, asked = kinds.of(fault), time.monotonic()
    if kind.ends:
        fault = _hand_over(fault)
    kind.undo(engine, fault, others)
    took = time.monotonic() - asked
    seen = kind.gone(engine, fault, others)
    journal.remove(fault)
    return Evidence(fault.id, f"{fault.title}: healed, nothing is left", round(took, 3), seen)


def _hand_over(fault: Fault) -> Fault:
    """Leave instances whose whole node another fault keeps off to that fault's healing."""
    if fault.scope == "node":
        return fault
    kept = fault.members
    for state, other in [(e.state, e.fault) for e in journal.entries(fault.lab)]:
        off = {m.node for m in other.members if not m.service}
        theirs = tuple(member for member in kept if member.node in off)
        if theirs:
            journal.write(replace(other, members=(*theirs, *other.members)), state)
            kept = tuple(member for member in kept if member not in theirs)
    return replace(fault, members=kept)


def _heal_each(engine: Engine, lab: str, faults: Sequence[Fault]) -> list[Evidence]:
    """The wire first, then nodes, then instances: each stands on the ones before."""
    rank = {"node": 1, "instance": 2}
    done: list[Evidence] = []
    failed: list[LabctlError] = []
    for fault in sorted(faults, key=lambda f: rank[f.scope] if kinds.of(f).renew is None else 0):
        others = [e.fault for e in journal.entries(lab) if e.fault.id != fault.id]
        try:
            done.append(_heal(engine, fault, others))
        except LabctlError as error:
            failed.append(error)
    if failed:
        raise LabError(str(failed[0])) from None
    return done
