"""The steps that a lab has, those that are chosen, and what they need to know. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from labctl.documents.source import suggestion
from labctl.errors import InputError
from labctl.model.lab import Lab, Service
from labctl.model.service import VerifyDoc

HOME = "/run/labctl/verify"
"""The directory for all files in the client's container."""
PATIENCE = 3
"""How much longer steps may take than what is written in them, which are times of a machine with
two cores of its own: one that is shared may be as many times slower and well all the same."""


@dataclass(frozen=True)
class Step:
    """A step and the service it belongs to."""

    service: str
    doc: VerifyDoc

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.doc.name

    @property
    def proves(self) -> tuple[str, ...]:
        """The services that it proves to work."""
        return (self.service, *self.doc.proves)

    @property
    def file(self) -> str:
        """Its script, relative to the catalogue."""
        return self.doc.file(self.service)

    @property
    def path(self) -> str:
        """Its script in the client's container."""
        return f"{HOME}/{self.file}"


def steps(lab: Lab) -> dict[str, Step]:
    """The steps that can run in a lab, by name, sorted so that each follows those it depends on."""
    there = {
        doc.name: Step(service.name, doc)
        for service in lab.services.values()
        for doc in service.doc.verify
    }
    while lacking := [name for name, step in there.items() if set(step.doc.needs) - set(there)]:
        for name in lacking:
            del there[name]
    order = TopologicalSorter(
        {name: [n for n in step.doc.before if n in there] for name, step in there.items()}
    )
    return {name: there[name] for name in order.static_order()}


def choose(lab: Lab, wanted: Collection[str]) -> list[Step]:
    """The named steps and those they need, in order; all steps when none is named.

    InputError for a name that no step of the lab has.
    """
    there = steps(lab)
    for name in wanted:
        if name not in there:
            raise InputError(_unknown(lab, name, there))
    if not wanted:
        return list(there.values())
    chosen: set[str] = set()
    more = set(wanted)
    while more:
        chosen |= more
        more = {need for name in more for need in there[name].doc.needs} - chosen
    return [step for name, step in there.items() if name in chosen]


def proofs(lab: Lab) -> dict[str, list[str]]:
    """Service → the steps that prove that it works."""
    found: dict[str, list[str]] = {name: [] for name in lab.services}
    for step in steps(lab).values():
        for service in step.proves:
            if service in found:
                found[service].append(step.name)
    return found


def _unknown(lab: Lab, name: str, there: Mapping[str, Step]) -> str:
    docs = {doc.name: doc for service in lab.services.values() for doc in service.doc.verify}
    if name in docs:
        missing = ", ".join(sorted(set(docs[name].needs) - set(there)))
        return f"step '{name}' needs {missing}, which lab '{lab.name}' cannot run"
    if not there:
        return f"no step '{name}': no service of lab '{lab.name}' has any"
    return f"no step '{name}' in lab '{lab.name}'; {suggestion(name, there)}"


def specification(lab: Lab, chosen: Sequence[Step], run: str, *, keep: bool) -> dict[str, Any]:
    """The input of the program in the client node. No secrets: it logs in as a user does."""
    return {
        "run": run,
        "keep": keep,
        "patience": PATIENCE,
        "vip": lab.vip,
        "nodes": {node.name: node.address for node in lab.nodes},
        "services": {service.name: _service(service) for service in lab.services.values()},
        "ports": {
            str(service.doc.endpoint.port): service.name
            for service in lab.services.values()
            if service.doc.endpoint
        },
        "steps": [
            {
                "name": step.name,
                "service": step.service,
                "path": step.path,
                "function": step.doc.function,
                "needs": step.doc.needs,
                "after": step.doc.after,
                "timeout": PATIENCE * step.doc.timeout,
            }
            for step in chosen
        ],
    }


def _service(service: Service) -> dict[str, Any]:
    return {
        "nodes": [node.name for node in service.nodes],
        "settings": dict(service.settings),
        "types": [entry.type for entry in service.doc.catalog],
        "port": service.doc.endpoint.port if service.doc.endpoint else None,
    }
