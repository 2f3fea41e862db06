"""Predicts what will be observed after given steps, so that stages can be planned ahead. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatchmethod

from labctl.engine.port import Container, ContainerStatus
from labctl.planning.desired import Desired, Unit
from labctl.planning.steps import (
    BuildImage,
    CreateLink,
    CreateNetwork,
    ForgetJobs,
    Observed,
    Remove,
    RemoveVolumes,
    RunJob,
    StartDisk,
    StartHolder,
    StartInstance,
    Step,
    Stop,
    WriteNames,
)


def after(desired: Desired, observed: Observed, steps: Iterable[Step]) -> Observed:
    """The lab after all steps, which are given in an order that respects their needs."""
    lab = _Lab(desired, observed)
    for step in steps:
        lab.do(step)
    return lab.observed()


class _Lab:
    """A mutable copy: a thousand steps must not copy a thousand containers each."""

    def __init__(self, desired: Desired, observed: Observed) -> None:
        self._desired, self._rest = desired, observed
        self._containers = dict(observed.containers)
        self._volumes = set(observed.volumes)
        self._done = dict(observed.done)
        self._members = set(observed.members)

    def observed(self) -> Observed:
        """The lab now. Whatever is running is ready: the steps waited for that."""
        instances, there = self._desired.instances, self._containers
        answering = {
            name
            for name, unit in instances.items()
            if (its := there.get(unit.spec.name)) is not None and its.status == "running"
        }
        answering |= {f"vip/{name.partition('/')[2]}" for name in answering}
        return replace(
            self._rest,
            containers=there,
            volumes=frozenset(self._volumes),
            done=self._done,
            members=frozenset(self._members),
            ready=frozenset(answering & self._desired.probes.keys()),
            stranded=frozenset(),
            bootstrap_instances={},
        )

    @singledispatchmethod
    def do(self, _step: Step) -> None:
        """Steps that only wait or run a command change nothing that is observed."""

    @do.register
    def _(self, step: BuildImage) -> None:
        self._rest = replace(self._rest, images=self._rest.images | {step.tag})

    @do.register
    def _(self, _step: CreateLink) -> None:
        filtered = self._desired.lab.host_services == "blocked"
        self._rest = replace(self._rest, link=True, filtered=filtered)

    @do.register
    def _(self, _step: CreateNetwork) -> None:
        self._rest = replace(self._rest, network=self._desired.network)

    @do.register
    def _(self, _step: WriteNames) -> None:
        self._rest = replace(self._rest, names=self._desired.names)

    @do.register
    def _(self, step: Remove) -> None:
        self._containers.pop(step.container, None)

    @do.register
    def _(self, step: RemoveVolumes) -> None:
        self._volumes.difference_update(step.volumes)
        self._members.difference_update(step.members)

    @do.register
    def _(self, step: Stop) -> None:
        there = self._containers[step.container]
        self._containers[step.container] = replace(there, status="exited", exit_code=0)

    @do.register
    def _(self, step: StartHolder) -> None:
        renew = {node: empty for node, empty in self._rest.renew.items() if node != step.node}
        self._rest = replace(self._rest, renew=renew)
        self._make(self._desired.holders[step.node], "running")

    @do.register
    def _(self, step: StartDisk) -> None:
        self._make(self._desired.disks[step.instance], "running")

    @do.register
    def _(self, step: StartInstance) -> None:
        self._make(self._desired.instances[step.instance], "running")
        cluster = self._desired.lab.services[step.instance.partition("/")[2]].doc.cluster
        if cluster is not None and (cluster.start == "seed" or cluster.member_file is not None):
            self._members.add(step.instance)

    @do.register
    def _(self, step: ForgetJobs) -> None:
        for job in step.jobs:
            self._done.pop(job, None)

    @do.register
    def _(self, step: RunJob) -> None:
        name = f"{step.service}/{step.job}"
        self._make(self._desired.jobs[name], "exited", 0)
        self._done[name] = self._desired.jobs[name].hash

    def _make(self, unit: Unit, status: ContainerStatus, code: int | None = None) -> None:
        """A container was created, or an existing one was started."""
        spec = unit.spec
        there = self._containers.get(spec.name)
        labels = there.labels if there is not None else spec.labels
        self._containers[spec.name] = Container("", spec.name, spec.image, status, labels, code)
        self._volumes.update(mount.volume for mount in spec.volumes)
