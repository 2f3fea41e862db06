"""Which one-shot jobs are done: on record, and with what they made still there. Pure.

A job works on the data of stores: a schema is in the database, a replica set's configuration in
the document store. So its result lives on the volumes of the service that it belongs to and of
all that it needs. Where a store has lost the last copy of its data (volumes were removed, or were
in memory and everything that had them mounted has ended), every job that worked on it runs again.

The record itself is a file on a volume of the lab, which a node's holder has mounted. It is there
as long as the data are: whatever removes the one while the lab is running would remove the other.
"""

from __future__ import annotations

from labctl.model.lab import Instance, Lab, Service
from labctl.model.service import JobDoc
from labctl.planning.desired import Desired
from labctl.planning.steps import Observed


def finished(desired: Desired, observed: Observed) -> frozenset[str]:
    """Jobs (``service/job``) that need not run: on record as they would be now, not lost."""
    on_record = {name for name, job in desired.jobs.items() if observed.done.get(name) == job.hash}
    return frozenset(on_record - lost(desired, observed))


def lost(desired: Desired, observed: Observed) -> frozenset[str]:
    """Jobs on record whose result is gone, because a store that they worked on is empty."""
    services = desired.lab.services.values()
    empty = {s.name for s in services if _is_store(s) and not _keeps_data(desired, observed, s)}
    return frozenset(
        f"{service.name}/{job.name}"
        for service in services
        for job in service.doc.jobs
        if f"{service.name}/{job.name}" in observed.done
        and not empty.isdisjoint(_works_on(desired.lab, service, job))
    )


def _works_on(lab: Lab, service: Service, job: JobDoc) -> set[str]:
    """The services whose data a job can have changed: its own, and all that it needs."""
    found: set[str] = set()
    # A job that runs before its own service can use only what it names itself.
    left = [*job.needs] if job.when == "before" else [*job.needs, service.name]
    while left:
        name = left.pop().partition("/")[0]
        if name in lab.services and name not in found:
            found.add(name)
            left += lab.services[name].doc.needs
    return found


def _is_store(service: Service) -> bool:
    container = service.doc.container
    return bool(container.volumes or container.lab_volumes)


def _keeps_data(desired: Desired, observed: Observed, service: Service) -> bool:
    """Whether a copy of the service's data is left anywhere."""
    lab, container = desired.lab, service.doc.container
    if any(lab.lab_volume(name) in observed.volumes for name in container.lab_volumes):
        return True
    return any(_has_copy(desired, observed, Instance(node, service)) for node in service.candidates)


def _has_copy(desired: Desired, observed: Observed, instance: Instance) -> bool:
    cluster = instance.service.doc.cluster
    if cluster is not None and cluster.start == "seed":
        return instance.name in observed.members  # a member's volume was looked into
    lab = desired.lab
    if instance.name in desired.disks:
        # In memory: kept only while a container that has it mounted is running.
        mounting = (
            observed.containers.get(name) for name in (lab.disk(instance), lab.container(instance))
        )
        return any(c is not None and c.status in ("running", "paused") for c in mounting)
    volumes = instance.service.doc.container.volumes
    return any(lab.volume(instance, name) in observed.volumes for name in volumes)
