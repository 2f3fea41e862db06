"""Making faults and undoing them, journalled and proved: what everything else calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from labctl.engine.port import Engine
from labctl.errors import LabctlError, LabError
from labctl.faults import build, journal, kinds, lease, outage, overtaken, present
from labctl.faults.journal import Entry
from labctl.faults.model import Evidence, Fault, names
from labctl.faults.targets import Target

if TYPE_CHECKING:
    from labctl.model.lab import Lab

Guard = Callable[[str, str], None]
"""Sees to it that somebody undoes a lab's faults when their leases end: (lab, engine's URL)."""


@dataclass(frozen=True)
class Healing:
    """What healing came to."""

    done: list[Evidence] = field(default_factory=list)
    """Of each fault that is over."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Id of each fault that could not be undone (``sweep``: of what no journal knows) → why."""
    files: Sequence[str] = ()
    """A sentence for each file in the journal that was set aside, or is left alone."""

    def check(self) -> None:
        """LabError when a fault is left."""
        if self.left:
            raise LabError("; ".join(self.left.values()))


def inject(engine: Engine, fault: Fault, *, guard: Guard = lease.summon) -> Evidence:
    """Make a fault and prove that it is in effect. Its lease begins now.

    On disk before anything is touched, and watched over by the guardian. LabError when it
    had no effect; what was made of it is undone then.
    """
    with journal.exclusive(fault.lab):
        others = [entry.fault for entry in journal.entries(fault.lab)]
        ids = overtaken.identities(engine, fault)
        entry = Entry(replace(fault, begun=time.time()), "injecting", ids)
        journal.write(entry)
        guard(fault.lab, engine.url)
        try:
            evidence = _make(engine, entry.fault, others)
        except LabctlError:
            # What cannot be undone here stays journalled as half made: the guardian goes on.
            with suppress(LabctlError):
                _heal(engine, entry, others)
            raise
        journal.write(replace(entry, state="active"))
    return evidence


def heal(engine: Engine, fault: Fault) -> Evidence:
    """Undo a fault and prove that nothing of it is left; no-op if somebody has undone it already.

    What the journal holds under its id is undone: the fault may have changed since it was made.
    The evidence says where it had been over before, and whether somebody else had healed it.
    """
    with journal.exclusive(fault.lab):
        known = {entry.fault.id: entry for entry in journal.entries(fault.lab)}
        entry = known.pop(fault.id, None)
        others = [each.fault for each in known.values()]
        if entry is None:
            evidence = _heal(engine, Entry(outage.own(fault, others), "healing"), others)
            said = f"{fault.title}: another command had healed it, nothing is left"
            return replace(evidence, said=said, healed_by="another command")
        evidence = _heal(engine, entry, others)
        freed = {m.name for m in fault.members} - {m.name for m in entry.fault.members}
        started = dict.fromkeys(sorted(freed), "another command started it")
        return replace(evidence, overtaken={**evidence.overtaken, **started})


def heal_all(engine: Engine, lab: Lab, *, sweep: bool = False) -> Healing:
    """Undo everything journalled; all of it is tried, whatever fails.

    Cuts and delays that no journal knows are removed, too, with ``sweep`` or where the journal has
    files that are no fault: what these were may be in the way of the others' proofs.
    """
    if not sweep and not any(journal.read(lab.name)):
        return Healing()
    with journal.exclusive(lab.name):
        files = journal.set_aside(lab.name)
        healing = _heal_each(engine, lab.name, journal.entries(lab.name))
        if sweep or files:
            swept = _sweep(engine, lab)
            second = _heal_each(engine, lab.name, journal.entries(lab.name))
            healing = Healing([*healing.done, *second.done], {**swept, **second.left})
        return replace(healing, files=files)


def _sweep(engine: Engine, lab: Lab) -> Mapping[str, str]:
    """Remove what is in nodes' network namespaces of no journalled fault; why not, if it failed."""
    try:
        up, left = present.up(engine, lab.name), active(lab)
        stations = [s for s in build.stations_of(lab) if s.holder in up]
        for clear in dict.fromkeys(kind.sweep for kind in kinds.registered().values()):
            if clear is not None:
                clear(engine, stations, left)
    except LabctlError as error:
        return {"sweep": str(error)}
    return {}


def expire(engine: Engine, lab: Lab) -> Healing:
    """Undo what is past its lease or was left half made by a killed labctl; cheap when none is."""
    return expire_lab(engine, lab.name)


def expire_lab(engine: Engine, lab: str, spare: Collection[str] = ()) -> Healing:
    """As :func:`expire`, for one that knows the lab's name only; not the faults to ``spare``.

    Does nothing while another process makes or heals faults of the lab.
    """
    if not any(journal.read(lab)):
        return Healing()
    with journal.exclusive(lab, wait=False) as alone:
        if not alone:
            return Healing()
        files, now = journal.set_aside(lab), time.time()
        lapsed = [
            entry
            for entry in journal.entries(lab)
            if entry.lapsed(now) and entry.fault.id not in spare
        ]
        return replace(_heal_each(engine, lab, lapsed), files=files)


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
                    journal.write(replace(entry, fault=turn(engine, entry.fault, others)))


def active(lab: Lab) -> list[Fault]:
    """The faults that are journalled: made and not yet healed."""
    return [entry.fault for entry in journal.entries(lab.name)]


def overdue(lab: Lab) -> list[Fault]:
    """The faults whose lease is over and that nobody has undone."""
    now = time.time()
    return [fault for fault in active(lab) if fault.due <= now]


def forget(lab: str) -> None:
    """Drop a lab's journal, for its removal; its guardian leaves when it sees that."""
    with journal.exclusive(lab):
        journal.forget(lab)


def start(engine: Engine, lab: Lab, targets: Sequence[Target]) -> None:
    """Start what does not run of nodes or instances, whatever ended it; a node's holder first.

    Faults that kept it from running are no longer in force for it. LabError for an instance whose
    node is off.
    """
    with journal.exclusive(lab.name):
        for target in targets:
            synthetic = build.start_of(lab, target)
            up = present.up(engine, lab.name)
            if target.service and synthetic.station(target.node).holder not in up:
                raise LabError(f"{target.name} cannot run while {target.node} is off")
            outage.undo(engine, synthetic, kinds.lasting(active(lab)))
            freed = {member.container for member in synthetic.members}
            _narrow(lab.name, _is_off, freed)


def unpause(engine: Engine, lab: Lab, targets: Sequence[Target]) -> None:
    """Thaw what is frozen of nodes or instances."""
    with journal.exclusive(lab.name):
        for target in targets:
            synthetic = build.start_of(lab, target)
            outage.thaw(engine, synthetic)
            freed = {member.container for member in synthetic.members}
            _narrow(lab.name, _is_frozen, freed)


def _is_off(fault: Fault) -> bool:
    kind = kinds.of(fault)
    return kind.halts and kind.ends


def _is_frozen(fault: Fault) -> bool:
    kind = kinds.of(fault)
    return kind.halts and not kind.ends


def _narrow(lab: str, concerned: Callable[[Fault], bool], freed: set[str]) -> None:
    """Take containers out of the journalled faults that are ``concerned``.

    A fault of which nothing is left is forgotten.
    """
    for entry in journal.entries(lab):
        fault = entry.fault
        left = tuple(member for member in fault.members if member.container not in freed)
        if left == fault.members or not concerned(fault):
            continue
        if not left:
            journal.remove(fault)
            continue
        kept = {m.node for m in left} | {m.name for m in left}
        targets = tuple(name for name in fault.targets if name in kept)
        journal.write(replace(entry, fault=replace(fault, members=left, targets=targets)))


def _make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Evidence:
    kind, asked = kinds.of(fault), time.monotonic()
    seen = dict(kind.make(engine, fault, others))
    took = time.monotonic() - asked
    seen |= kind.had_effect(engine, fault, others)
    return Evidence(fault.id, f"{fault.title}: in effect", round(took, 3), seen)


def _heal(engine: Engine, entry: Entry, others: Sequence[Fault]) -> Evidence:
    """Undo, prove, forget: in this order, so that a failure stays in the journal."""
    kind, asked = kinds.of(entry.fault), time.monotonic()
    fault, why = overtaken.look(engine, entry, others)
    if entry.state == "active":
        # Who comes after a killed labctl must not take its half-done work for somebody else's.
        journal.write(replace(entry, state="healing"))
    if kind.ends:
        fault = _hand_over(fault)
    kind.undo(engine, fault, others)
    took = time.monotonic() - asked
    seen = kind.gone(engine, fault, others)
    journal.remove(fault)
    said = f"{fault.title}: healed, nothing is left{_because(why)}"
    return Evidence(fault.id, said, round(took, 3), seen, why)


def _because(why: Mapping[str, str]) -> str:
    """What had overtaken a fault, for people: targets of the same reason together."""
    targets: dict[str, list[str]] = {}
    for target, reason in why.items():
        targets.setdefault(reason, []).append(target)
    told = [f"{names(those)}: {reason}" for reason, those in targets.items()]
    return f" (overtaken: {'; '.join(told)})" if told else ""


def _hand_over(fault: Fault) -> Fault:
    """Leave instances whose whole node another fault keeps off to that fault's healing."""
    if fault.scope == "node":
        return fault
    kept = fault.members
    for entry in journal.entries(fault.lab):
        off = {m.node for m in entry.fault.members if not m.service}
        theirs = tuple(member for member in kept if member.node in off)
        if theirs:
            more = replace(entry.fault, members=(*theirs, *entry.fault.members))
            journal.write(replace(entry, fault=more))
            kept = tuple(member for member in kept if member not in theirs)
    return replace(fault, members=kept)


def _heal_each(engine: Engine, lab: str, entries: Sequence[Entry]) -> Healing:
    """The wire first, then nodes, then instances: each stands on the ones before.

    What cannot be undone keeps no other fault in force, be it a defect of labctl's own.
    """
    done: list[Evidence] = []
    left: dict[str, str] = {}

    def rank(entry: Entry) -> int:
        """On the wire is what lives in a node's network namespace."""
        if kinds.of(entry.fault).renew is not None:
            return 0
        return {"node": 1, "instance": 2}[entry.fault.scope]

    for entry in sorted(entries, key=rank):
        fault = entry.fault
        others = [e.fault for e in journal.entries(lab) if e.fault.id != fault.id]
        try:
            done.append(_heal(engine, entry, others))
        except LabctlError as error:
            own = fault.title in str(error)
            left[fault.id] = str(error) if own else f"{fault.title} is not undone: {error}"
        except Exception as error:
            said = f"a defect in labctl ({type(error).__name__}: {error})"
            left[fault.id] = f"{fault.title} is not undone: {said}"
    return Healing(done, left)
