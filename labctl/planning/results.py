"""Which one-shot jobs are done: they are on record, and their results still exist. Pure.

A job changes the data of stores: a schema is in the database, a replica set's configuration in
the document store. So its result is on the volumes of its own service and of all services that it
needs. When a store has lost the last copy of its data (its volumes were removed, or were in memory
and no running container has them mounted), every job that may have changed it runs again.

The record itself is a file on a volume of the lab, which a node's holder has mounted. It lasts as
long as the data: whatever removes one while the lab is running would remove the other.
"""

from __future__ import annotations

from labctl.model.lab import Instance, Lab, Service
from labctl.model.service import JobDoc
from labctl.planning.desired import Desired
from labctl.planning.steps import Observed


def finished(desired: Desired, observed: Observed) -> frozenset[str]:
    """Jobs (``service/job``) that need not run: recorded with the same hash, and not lost."""
    on_record = {name for name, job in desired.jobs.items() if observed.done.get(name) == job.hash}
    return frozenset(on_record - lost(desired, observed))


def lost(desired: Desired, observed: Observed) -> frozenset[str]:
    """Jobs on record whose result is gone, because a store that they changed is empty."""
    services = desired.lab.services.values()
    empty = {s.name for s in services if _is_store(s) and not _keeps_data(desired, observed, s)}
    return frozenset(
        f"{service.name}/{job.name}"
        for service in services
        for job in service.doc.jobs
        if f"{service.name}/{job.name}" in observed.done
        and not empty.isdisjoint(_may_change(desired.lab, service, job))
    )


def _may_change(lab: Lab, service: Service, job: JobDoc) -> set[str]:
    """The services whose data a job may have changed: its own, and all that it needs."""
    found: set[str] = set()
    # A job that runs before its own service can use only what it lists in ``needs``.
    pending = [*job.needs] if job.when == "before" else [*job.needs, service.name]
    while pending:
        name = pending.pop().partition("/")[0]
        if name in lab.services and name not in found:
            found.add(name)
            pending += lab.services[name].doc.needs
    return found


def _is_store(service: Service) -> bool:
    container = service.doc.container
    return bool(container.volumes or container.lab_volumes)


def _keeps_data(desired: Desired, observed: Observed, service: Service) -> bool:
    """Whether any copy of the service's data is left."""
    lab, container = desired.lab, service.doc.container
    if any(lab.lab_volume(name) in observed.volumes for name in container.lab_volumes):
        return True
    return any(_has_copy(desired, observed, Instance(node, service)) for node in service.candidates)


def _has_copy(desired: Desired, observed: Observed, instance: Instance) -> bool:
    cluster = instance.service.doc.cluster
    if cluster is not None and cluster.start == "seed":
        return instance.name in observed.members  # the volume was inspected for that
    lab = desired.lab
    if instance.name in desired.disks:
        # In memory: kept only while a container that has it mounted is running.
        mounting = (
            observed.containers.get(name) for name in (lab.disk(instance), lab.container(instance))
        )
        return any(c is not None and c.status in ("running", "paused") for c in mounting)
    volumes = instance.service.doc.container.volumes
    return any(lab.volume(instance, name) in observed.volumes for name in volumes)
