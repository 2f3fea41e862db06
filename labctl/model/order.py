"""What of a catalogue comes before what: one graph of services and their jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from labctl.model.service import ServiceDoc

VIP_SERVICES = ("keepalived", "haproxy")
"""What a service with an endpoint needs in the lab: who holds the virtual IP, and who serves it."""

_Step = tuple[str, str]
"""A service and a job of it, or one of the three below."""
_START, _READY, _DONE = "(start)", "(ready)", "(done)"


def needed(doc: ServiceDoc) -> list[str]:
    """Services that must be in a lab that has this one."""
    needs = [*doc.needs, *doc.uses, *doc.beside, *(need for job in doc.jobs for need in job.needs)]
    if doc.endpoint is not None:
        needs += VIP_SERVICES
    return list(dict.fromkeys(need.partition("/")[0] for need in needs))


def service_order(catalog: Mapping[str, ServiceDoc]) -> list[str]:
    """Names of services, each after those it needs; the same for the same catalogue.

    Raises ``graphlib.CycleError`` when needs go in a circle.
    """
    order = TopologicalSorter(dict(_edges(catalog))).static_order()
    return [service for service, what in order if what == _DONE]


def circle(catalog: Mapping[str, ServiceDoc]) -> list[str]:
    """Needs that go in a circle: services and service/job, the last the first; or empty."""
    try:
        service_order(catalog)
    except CycleError as error:
        inner = (_START, _READY, _DONE)
        names = [s if what in inner else f"{s}/{what}" for s, what in error.args[1]]
        # A service's start and its being done are one thing to a person.
        return [n for i, n in enumerate(names) if i == 0 or n != names[i - 1]]
    return []


def step_circle(catalog: Mapping[str, ServiceDoc]) -> list[str]:
    """Steps of verify that wait for each other, the last the first; or empty."""
    graph = {step.name: step.before for doc in catalog.values() for step in doc.verify}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _edges(catalog: Mapping[str, ServiceDoc]) -> Iterator[tuple[_Step, list[_Step]]]:
    """Every step with the steps it waits for; a need that the catalogue lacks is left out."""

    def steps(needs: tuple[str, ...]) -> list[_Step]:
        split = [need.partition("/") for need in needs]
        return [(service, job or _DONE) for service, _, job in split if service in catalog]

    for name, doc in catalog.items():
        jobs = {when: [(name, j.name) for j in doc.jobs if j.when == when] for when in _AFTER}
        yield (name, _START), steps(doc.needs) + jobs["before"]
        yield (name, _READY), [(name, _START), *jobs["started"]]
        yield (name, _DONE), [(name, _READY), *((name, job.name) for job in doc.jobs)]
        for job in doc.jobs:
            yield (name, job.name), steps(job.needs) + [(name, what) for what in _AFTER[job.when]]


_AFTER = {"before": (), "started": (_START,), "seed": (_START,), "ready": (_READY,)}
"""What of its own service a job waits for, by its ``when``."""
