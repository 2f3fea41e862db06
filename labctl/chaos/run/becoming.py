"""What a lab becomes by a scenario's changes: foreseen, and refused before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from labctl.chaos.run.changes import Change
from labctl.documents.source import Place, Source
from labctl.documents.topologies import overridden
from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.model.topology import Choice, OverrideDoc
from labctl.planning import fit, fixed
from labctl.planning.steps import Observed
from labctl.running import lifecycle, nodes
from labctl.running.lifecycle import Prepared
from labctl.state.store import Record


@dataclass(frozen=True)
class Step:
    """A change, and the lab that it makes."""

    change: Change
    prepared: Prepared
    leaving: tuple[str, ...] = ()
    """Nodes that leave with their data."""


def foresee(prepared: Prepared, changes: Sequence[Change], where: Source) -> list[Step]:
    """The lab after each change, in order. InputError, with file and line, for one that cannot be.

    Nothing is asked and nothing is written.
    """
    steps: list[Step] = []
    before = prepared
    for change in changes:
        place = ("timeline", change.step, change.verb)
        try:
            after = _after(before, change, _within(where, place))
            if change.verb == "remove":
                nodes.check_majorities(before.lab, change.names)
        except InputError as error:
            said = str(error)
            raise error if said.startswith(where.name) else where.error(place, said) from None
        if problem := _problem(before, after, change):
            raise where.error(place, problem)
        leaving = change.names if change.verb == "remove" else ()
        steps.append(Step(change, after, leaving))
        before = after
    return steps


def check_there(engine: Engine, prepared: Prepared, steps: Sequence[Step], where: Source) -> None:
    """Ask the lab and the machine whether each change can be made; nothing is changed.

    InputError for what cannot be changed in place, EngineError for what is too large, LabError for
    a lab that is not what its document says: the first change would make up for that, too.
    """
    if not steps:
        return
    for step in steps:
        desired = step.prepared.desired
        there = {c.name: c for c in engine.containers(desired.lab.name)}
        try:
            fixed.check(desired, Observed(containers=there))
        except InputError as error:
            place = ("timeline", step.change.step, step.change.verb)
            raise where.error(place, str(error)) from None
        fit.check(engine, desired, ())
    due = lifecycle.plan(engine, prepared).steps.values()
    if due:
        first = ", ".join([*(step.title for step in list(due)[:3]), "..."][: len(due)])
        name = prepared.lab.name
        raise LabError(
            f"lab '{name}' is not what its document says ({first}): "
            f"run `labctl up --name {name}` before it is changed under load"
        )


def _after(before: Prepared, change: Change, where: Source) -> Prepared:
    record = before.record
    if change.verb == "add":
        record = nodes.added(record, change.names, change.keys.like or "")
    elif change.verb == "remove":
        record = nodes.removed(record, change.names)
    elif change.keys.change is not None:
        record = _overridden(record, change.keys.change, where)
    else:
        return before
    after = lifecycle.prepare(record, before.secrets)
    return replace(after, record=replace(record, source=before.record.source))


def _overridden(record: Record, own: OverrideDoc, where: Source) -> Record:
    topology = record.topology
    choice = record.choice.updated_by(Choice(profile=own.profile))
    return replace(
        record,
        topology=overridden(topology, own, topology.name, topology.description),
        choice=choice,
        source=where,
    )


def _problem(before: Prepared, after: Prepared, change: Change) -> str:
    """Why a change cannot be made while workloads run, or is none; empty when it can."""
    was, now = before.desired, after.desired
    toolbox, client = before.lab.toolbox.name, before.lab.client.name
    stays = (
        now.instances.get(toolbox) == was.instances[toolbox]
        and now.holders.get(client) == was.holders[client]
        and now.network == was.network
    )
    if not stays:
        return f"would replace {toolbox}, in which the workloads run"
    if change.verb == "change" and _hashes(before) == _hashes(after):
        return f"changes nothing: lab '{before.lab.name}' is so already"
    return ""


def _hashes(prepared: Prepared) -> dict[str, str]:
    return {name: unit.hash for name, unit in prepared.desired.units.items()}


def _within(source: Source, place: Place) -> Source:
    """The part of a document below a place, as a document of its own for messages."""
    depth = len(place)

    def inner(found: Place) -> bool:
        return found[:depth] == place

    return Source(
        source.name,
        {found[depth:]: line for found, line in source.lines.items() if inner(found)},
        {found[depth:]: text for found, text in source.written.items() if inner(found)},
    )
