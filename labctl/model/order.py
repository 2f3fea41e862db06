"""The order of a catalogue's services and jobs: one dependency graph of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from labctl.model.service import ServiceDoc

VIP_SERVICES = ("keepalived", "haproxy")
"""What a service with an endpoint needs: keepalived moves the virtual IP, HAProxy serves it."""

_Step = tuple[str, str]
"""A service and one of its jobs, or one of the three states below."""
_START, _READY, _DONE = "(start)", "(ready)", "(done)"


def needed(doc: ServiceDoc) -> list[str]:
    """Services that must be in a lab that has this one."""
    needs = [*doc.needs, *doc.uses, *doc.beside, *(need for job in doc.jobs for need in job.needs)]
    if doc.endpoint is not None:
        needs += VIP_SERVICES
    return list(dict.fromkeys(need.partition("/")[0] for need in needs))


def service_order(catalog: Mapping[str, ServiceDoc]) -> list[str]:
    """Names of services, each after those it needs; the same for the same catalogue.

    Raises ``graphlib.CycleError`` when needs are circular.
    """
    order = TopologicalSorter(dict(_edges(catalog))).static_order()
    return [service for service, what in order if what == _DONE]


def find_cycle(catalog: Mapping[str, ServiceDoc]) -> list[str]:
    """A cycle of needs: services and service/job, the last equal to the first; or empty."""
    try:
        service_order(catalog)
    except CycleError as error:
        inner = (_START, _READY, _DONE)
        names = [s if what in inner else f"{s}/{what}" for s, what in error.args[1]]
        # The start, ready and done states of a service have one name: do not repeat it.
        return [n for i, n in enumerate(names) if i == 0 or n != names[i - 1]]
    return []


def find_step_cycle(catalog: Mapping[str, ServiceDoc]) -> list[str]:
    """A cycle of steps of ``labctl verify``, the last equal to the first; or empty."""
    graph = {step.name: step.before for doc in catalog.values() for step in doc.verify}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _edges(catalog: Mapping[str, ServiceDoc]) -> Iterator[tuple[_Step, list[_Step]]]:
    """Every step with the steps it waits for; needs that the catalogue lacks are left out."""

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
"""A job's ``when`` → what it waits for of its own service."""
