"""Makes and undoes faults, journalled and proved: the functions for all callers."""

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

_ALIVE = ("running", "paused")

Guard = Callable[[str, str], None]
"""Makes sure that a lab's faults are undone when their leases end: (lab, engine's URL)."""


@dataclass(frozen=True)
class Healing:
    """The outcome of healing."""

    done: list[Evidence] = field(default_factory=list)
    """For each fault that was healed."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Id of each fault that could not be undone → why; ``sweep`` for what was not journalled."""
    files: Sequence[str] = ()
    """A sentence for each file in the journal that was set aside or left alone."""

    def check(self) -> None:
        """LabError when a fault is left."""
        if self.left:
            raise LabError("; ".join(self.left.values()))


def inject(engine: Engine, fault: Fault, *, guard: Guard = lease.ensure_guardian) -> Evidence:
    """Make a fault and prove that it is in effect. Its lease begins now.

    It is journalled before anything is touched, and watched by the guardian. LabError when it had
    no effect; whatever was made of it is then undone.
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
            # What cannot be undone here stays journalled as half made, for the guardian.
            with suppress(LabctlError):
                _heal(engine, entry, others)
            raise
        journal.write(replace(entry, state="active"))
    return evidence


def heal(engine: Engine, fault: Fault) -> Evidence:
    """Undo a fault and prove that nothing is left of it; no-op if it was already undone.

    The journalled fault of that id is undone: it may have changed since it was made. The evidence
    says where it was already over, and whether another command had healed it.
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


def heal_all(engine: Engine, lab: Lab, *, sweep: bool = False, ended: bool = True) -> Healing:
    """Undo all journalled faults; one that fails does not stop the others.

    Without ``ended``, what faults have ended is not started: the caller decides in which order.

    Cuts and delays that are not journalled are removed, too, with ``sweep`` or when the journal has
    unusable files: what these described could make the other faults' proofs fail.
    """
    if not sweep and not any(journal.read(lab.name)):
        return Healing()
    with journal.exclusive(lab.name):
        files = journal.set_aside(lab.name)
        wanted = [e for e in journal.entries(lab.name) if ended or not _has_ended(e.fault)]
        healing = _heal_each(engine, lab.name, wanted)
        if sweep or files:
            swept = _sweep(engine, lab)
            second = _heal_each(engine, lab.name, journal.entries(lab.name))
            healing = Healing([*healing.done, *second.done], {**swept, **second.left})
        return replace(healing, files=files)


def _has_ended(fault: Fault) -> bool:
    """Whether a fault is only that something has ended, and nothing ends it again."""
    return kinds.of(fault).ends and not kinds.repeats(fault)


def _sweep(engine: Engine, lab: Lab) -> Mapping[str, str]:
    """Remove from nodes' network namespaces what no journalled fault owns; errors, if it failed."""
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
    """Undo faults past their lease or left half made by a killed labctl; cheap if there is none."""
    return expire_lab(engine, lab.name)


def expire_lab(engine: Engine, lab: str, spare: Collection[str] = ()) -> Healing:
    """As :func:`expire`, by the lab's name, and except for the faults ``spare`` (ids).

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


def next_turns(engine: Engine, lab: str) -> None:
    """Do the next turn of each of a lab's crash loops, unless another process works on its faults.

    For the guardian. What one turn cannot do, because a node is off, a later one may.
    """
    with journal.exclusive(lab, wait=False) as alone:
        entries = journal.entries(lab) if alone else []
        for entry in entries:
            next_turn = kinds.of(entry.fault).next_turn
            if next_turn is not None and entry.state == "active":
                others = [each.fault for each in entries if each is not entry]
                with suppress(LabctlError):
                    journal.write(replace(entry, fault=next_turn(engine, entry.fault, others)))


def active(lab: Lab) -> list[Fault]:
    """The faults that are journalled: made and not yet healed."""
    return [entry.fault for entry in journal.entries(lab.name)]


def overdue(lab: Lab) -> list[Fault]:
    """The faults whose lease is over and that have not been undone."""
    now = time.time()
    return [fault for fault in active(lab) if fault.due <= now]


def forget(lab: str) -> None:
    """Delete a lab's journal, when the lab is removed; its guardian then exits."""
    with journal.exclusive(lab):
        journal.forget(lab)


def start(engine: Engine, lab: Lab, targets: Sequence[Target]) -> None:
    """Start nodes or instances that do not run, whatever ended them; a node's holder first.

    Faults that prevented them from running are no longer in force for them. LabError for an
    instance whose node is off.
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


def switch_off(engine: Engine, lab: Lab, nodes: Sequence[str]) -> list[str]:
    """Cut the power of nodes that stay off until somebody starts them; returns those that ran.

    It is proved as a fault is, but it is none: it has no lease, and nothing heals it. A fault that
    keeps one of the nodes off, or something on it from running, no longer does: its end would start
    it. LabError for a node that still answers.
    """
    with journal.exclusive(lab.name):
        alive = {c.name for c in engine.containers(lab.name) if c.status in _ALIVE}
        members = {node: build.members_of(lab, Target(node)) for node in nodes}
        on = [node for node, its in members.items() if any(m.container in alive for m in its)]
        if on:
            others = [entry.fault for entry in journal.entries(lab.name)]
            whole = tuple(m for node in on for m in members[node] if m.container in alive)
            _make(engine, build.fresh(lab, "kill", "node", on, members=whole), others)
        gone = {member.container for its in members.values() for member in its}
        _narrow(lab.name, lambda fault: kinds.of(fault).halts, gone)
    return on


def unpause(engine: Engine, lab: Lab, targets: Sequence[Target]) -> None:
    """Unpause what is frozen of nodes or instances."""
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
    """Remove containers from the journalled faults for which ``concerned`` is true.

    A fault without any members left is removed.
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
    """Undo, prove, remove: in this order, so that after a failure the fault stays journalled."""
    kind, asked = kinds.of(entry.fault), time.monotonic()
    fault, why = overtaken.look(engine, entry, others)
    if entry.state == "active":
        # If labctl is killed now, its successor must not take this for somebody else's work.
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
    """What had overtaken a fault, in words, with the targets grouped by reason."""
    targets: dict[str, list[str]] = {}
    for target, reason in why.items():
        targets.setdefault(reason, []).append(target)
    told = [f"{names(those)}: {reason}" for reason, those in targets.items()]
    return f" (overtaken: {'; '.join(told)})" if told else ""


def _hand_over(fault: Fault) -> Fault:
    """Move instances on a node that another fault keeps off to that fault, which restores them."""
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
    """Heal network faults first, then nodes, then instances: each depends on those before.

    A fault that cannot be undone, even by a defect in labctl, does not stop the others.
    """
    done: list[Evidence] = []
    left: dict[str, str] = {}

    def rank(entry: Entry) -> int:
        """The order of healing; faults in a network namespace are those with ``renew``."""
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
