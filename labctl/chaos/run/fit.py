"""Whether a scenario fits a lab: what it needs, names and speaks of is there. Pure.

Asked before anything is touched; the first thing that is missing is one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from labctl.chaos.document import aims
from labctl.chaos.document.aims import OTHERS, Aim
from labctl.chaos.document.scenario import FaultDoc, ScenarioDoc
from labctl.chaos.document.words import FAULTS, PARTS, WORKLOADS
from labctl.chaos.run.timeline import named, shaped
from labctl.documents.source import Place, Source, printable, suggestion
from labctl.faults.model import names
from labctl.faults.targets import VIP_HOLDER
from labctl.model.lab import Lab
from labctl.model.service import PROFILES

_NODES_FOR = {"bridge": 3, "ring": 4}
"""Nodes that a shape takes; others take two. A ring of three parts nobody."""


def check(scenario: ScenarioDoc, lab: Lab, *, source: Source | None = None) -> None:
    """Raise the first misfit of a scenario and a lab: an InputError."""
    where = source or Source(f"scenario '{scenario.name}'")
    _check_needs(scenario, lab, where)
    for place, sentence in (*_workloads(scenario, lab), *_faults(scenario, lab)):
        raise where.error(place, sentence)


def _check_needs(scenario: ScenarioDoc, lab: Lab, where: Source) -> None:
    needs = scenario.needs
    if needs.topology is not None and needs.topology != lab.topology:
        problem = f"is for the topology '{needs.topology}', lab '{lab.name}' is '{lab.topology}'"
        raise where.error(("needs", "topology"), problem)
    if PROFILES.index(lab.profile) < PROFILES.index(needs.profile):
        raise where.error(
            ("needs", "profile"),
            f"lab '{lab.name}' has the profile {lab.profile}, should be {needs.profile}; "
            f"bring it up with --profile {needs.profile}",
        )
    for index, service in enumerate(needs.services):
        if service not in lab.services:
            raise where.error(("needs", "services", index), _no_service(lab, service))
    for service, settings in needs.settings.items():
        for place, sentence in _settings(service, settings, lab):
            raise where.error(("needs", "settings", service, *place), sentence)


Problems = Iterator[tuple[Place, str]]


def _settings(service: str, settings: Mapping[str, Any], lab: Lab) -> Problems:
    if service not in lab.services:
        yield (), _no_service(lab, service)
        return
    there = lab.services[service].settings
    for key, value in settings.items():
        if key not in there:
            yield (key,), f"{service} has no such setting; {suggestion(key, there)}"
        elif there[key] != value:
            yield (
                (key,),
                f"should be {json.dumps(value)}, in lab '{lab.name}' it is "
                f"{json.dumps(there[key])}; bring up a topology that says so under "
                f"services.{service}",
            )


def _workloads(scenario: ScenarioDoc, lab: Lab) -> Problems:
    for index, workload in enumerate(scenario.workloads):
        for service in WORKLOADS[workload.kind][workload.as_].services:
            if service not in lab.services:
                yield ("workloads", index), _no_service(lab, service)


def _faults(scenario: ScenarioDoc, lab: Lab) -> Problems:
    for index, step in enumerate(scenario.timeline):
        if step.verb is None and not step.one_of:
            yield from _fault(step, lab, ("timeline", index))
        for number, fault in enumerate(step.one_of):
            yield from _fault(fault, lab, ("timeline", index, "one_of", number))


def _fault(fault: FaultDoc, lab: Lab, place: Place) -> Problems:
    for key, targets in (("target", fault.target), ("isolate", fault.isolate)):
        for aim in aims.aims(targets) if targets is not None else ():
            yield from _aim(aim, lab, (*place, key))
    for number, group in enumerate(aims.groups(fault.groups) if fault.groups else ()):
        for aim in group:
            if aim.who != OTHERS:
                yield from _aim(aim, lab, (*place, "groups", number))
    if fault.shape is not None:
        if fault.of is not None and fault.of not in lab.services:
            yield (*place, "of"), _no_service(lab, fault.of)
            return
        count, least = len(shaped(lab, fault.of)), _NODES_FOR.get(fault.shape, 2)
        if count < least:
            yield (
                (*place, "shape"),
                f"a {fault.shape} takes {least} nodes, lab '{lab.name}' has {count} for it",
            )
    if FAULTS[fault.fault].on_instances:
        yield from _instances(fault, lab, place)


def _instances(fault: FaultDoc, lab: Lab, place: Place) -> Problems:
    for aim in aims.aims(fault.target):
        part = aims.part_of(aim.who)
        plays = None if part == VIP_HOLDER else PARTS.get(part or "")
        service = lab.services.get(aim.service or aim.who.partition("/")[2] or plays or "")
        if service is None:
            article = "an" if fault.fault[0] in "aeiou" else "a"
            yield (
                (*place, "target"),
                f"{aim.said} is no instance, which {article} {fault.fault} needs",
            )
        elif (find_problem := FAULTS[fault.fault].service_problem) and (
            problem := find_problem(lab, service.name, fault.terms)
        ):
            key, sentence = problem
            yield (*place, key), sentence


def _aim(aim: Aim, lab: Lab, place: Place) -> Problems:
    if aim.share is not None:
        if aim.service not in lab.services:
            yield place, _no_service(lab, aim.service)
        elif aim.share == "minority" and len(named(lab, aim)) < 3:
            yield place, f"{aim.service} has no minority: lab '{lab.name}' runs it on fewer than 3"
    for name in aim.names:
        yield from _name(name, lab, place)


def _name(name: str, lab: Lab, place: Place) -> Problems:
    first, _, service = name.partition("/")
    part = aims.part_of(name)
    nodes = [node.name for node in lab.nodes]
    if part is None and first not in nodes:
        advice = suggestion(first, [*nodes, *PARTS])
        yield place, f"lab '{lab.name}' has no node or part '{printable(first)}'; {advice}"
    elif part is not None and PARTS[part] not in lab.services:
        yield place, f"nobody is {part}: " + _no_service(lab, PARTS[part])
    elif service and part is not None and service not in lab.services:
        yield place, _no_service(lab, service)
    elif service and part is None and lab.instance(first, service) is None:
        there = [i.service.name for i in lab.instances if i.node.name == first]
        runs = names(there) or "none"
        yield place, f"node {first} runs no service '{printable(service)}': it runs {runs}"


def _no_service(lab: Lab, service: str) -> str:
    near = suggestion(service, lab.services)
    advice = near if near.startswith("did") else f"bring it up with --with {printable(service)}"
    return f"lab '{lab.name}' has no service '{printable(service)}'; {advice}"
