"""Plans of runs, made from a scenario or from the record of a run. Reads files, touches no lab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labctl.chaos.document import aims, library
from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.document.words import PARTS, WORKLOADS
from labctl.chaos.folder import layout as files
from labctl.chaos.model import spans
from labctl.chaos.run import changes as changing
from labctl.chaos.run import fit, timeline
from labctl.chaos.run.changes import Change
from labctl.chaos.run.timeline import Action
from labctl.documents.source import Source
from labctl.errors import InputError
from labctl.model.lab import Lab

_NOT_TERMS = ("fault", "target", "groups", "isolate", "shape", "of", "for")
_ALWAYS_WATCHED = ("haproxy", "keepalived")


@dataclass(frozen=True)
class Plan:
    """A scenario, resolved for a lab. Times are seconds."""

    scenario: Any
    """The document: a run reads its ``name``, and its workloads are made from it."""
    text: str
    """The document as it was given."""
    actions: Sequence[Action]
    seed: int
    services: Sequence[str]
    """Services whose instances are observed, and whose logs are kept."""
    healthy: bool = True
    """Whether the lab must be healthy before and after."""
    within: float = 180.0
    """How long the lab may take to be healthy again."""
    tail: float = 10.0
    limit: float = 300.0
    replayed: str | None = None
    """The run whose timeline is repeated."""
    changes: Sequence[Change] = ()
    """What is changed of the lab, in this order."""
    keep: bool = False
    """Whether the lab stays as it was changed."""
    source: Source = field(default_factory=lambda: Source("the scenario"))
    """Where the document's lines are, for messages."""


def from_scenario(name: str, lab: Lab, seed: int) -> Plan:
    """Plan a scenario of the library, or of a file, for a lab.

    InputError for what is wrong with it, or what the lab lacks for it.
    """
    path = library.find(name)
    doc, source = library.load_scenario(path)
    fit.check(doc, lab, source=source)
    actions = timeline.resolve(doc, lab, seed)
    made = changing.planned(doc, seed, len(actions))
    changing.check(made, lab, source)
    plan = _plan(doc, path.read_text(encoding="utf-8"), actions, lab, seed)
    return _changing(plan, made, lab, source)


def from_run(run: Path, lab: Lab, kept: Sequence[int] | None = None) -> Plan:
    """Plan the recorded timeline of a run once more: the same targets at the same times.

    ``kept`` are the indices of the faults to repeat; all of them if None. InputError when the run
    was cut short before its first fault.
    """
    about = files.read_json(run, files.RUN)
    doc, source = library.load_scenario(run / files.SCENARIO)
    fit.check(doc, lab, source=source)
    offset = float(about.get("workloads_began", 0.0))
    rows = files.read_json(run, files.TIMELINE)
    actions = tuple(_recorded(row, offset) for row in rows if _again(row, kept))
    changed = files.read_json(run, files.CHANGES) if (run / files.CHANGES).exists() else []
    changes = tuple(changing.recorded(row, offset) for row in changed if not row["back"])
    if doc.timeline and not actions and not changes and kept is None:
        raise InputError(
            f"run {about['run']} was cut short before its first fault, so there is nothing to"
            f" repeat; run it again with `labctl chaos run {about['scenario']} --seed"
            f" {about['seed']}`"
        )
    text = (run / files.SCENARIO).read_text(encoding="utf-8")
    plan = _plan(doc, text, actions, lab, int(about["seed"]), replayed=str(about["run"]))
    return _changing(plan, changes, lab, source)


def _again(row: dict[str, Any], kept: Sequence[int] | None) -> bool:
    return bool(row["resolved"]) and (kept is None or row["index"] in kept)


def _recorded(row: dict[str, Any], offset: float) -> Action:
    at, resolved = round(row["asked"] - offset, 3), row["resolved"]
    wired = bool(resolved["groups"] or resolved["pairs"])
    aimed = "target" in row["spec"]
    targets = resolved["groups"][0] if wired and aimed else resolved["targets"]
    return Action(
        index=row["index"],
        at=at,
        fault=row["fault"],
        heal_at=None if row["lasts"] is None else round(at + row["lasts"], 3),
        targets=tuple(targets) if aimed else (),
        groups=() if aimed else tuple(tuple(group) for group in resolved["groups"]),
        pairs=tuple((one, other) for one, other in resolved["pairs"]),
        terms={k: v for k, v in row["spec"].items() if k not in _NOT_TERMS},
        spec=row["spec"],
    )


def _changing(plan: Plan, changes: Sequence[Change], lab: Lab, source: Source) -> Plan:
    """The plan with its changes; what they concern is observed, too."""
    services = sorted({*plan.services, *changing.concerned(changes, lab)})
    return replace(plan, changes=changes, services=services, source=source)


def _plan(
    doc: ScenarioDoc,
    text: str,
    actions: Sequence[Action],
    lab: Lab,
    seed: int,
    *,
    replayed: str | None = None,
) -> Plan:
    return Plan(
        scenario=doc,
        text=text,
        actions=actions,
        seed=seed,
        services=_concerned(doc, lab),
        healthy=doc.steady.healthy,
        within=spans.seconds(doc.steady.within),
        tail=spans.seconds(doc.tail),
        limit=spans.seconds(doc.limit),
        replayed=replayed,
        keep=doc.keep,
    )


def _concerned(doc: ScenarioDoc, lab: Lab) -> list[str]:
    """The services of the lab that a scenario uses or hits: they are observed, their logs kept."""
    found = {*_ALWAYS_WATCHED, *doc.needs.services}
    for workload in doc.workloads:
        found |= {*WORKLOADS[workload.kind][workload.as_].services}
    for step in doc.timeline:
        for fault in step.choices:
            for aim in aims.aims(fault.target) if fault.target is not None else ():
                part = aims.part_of(aim.who)
                found |= {aim.service, aim.who.partition("/")[2], PARTS.get(part or "", "")}
    return sorted(found & set(lab.services))
