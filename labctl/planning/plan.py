"""Plan what ``up`` will do: a graph of steps from the observed to the desired state. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from labctl.errors import InputError
from labctl.model.lab import Instance, Service
from labctl.model.service import JobDoc
from labctl.planning.desired import DISK, HASH, Desired, Unit
from labctl.planning.results import finished, lost
from labctl.planning.steps import (
    CONTAINER_COST,
    IMAGE_COST,
    Action,
    AwaitReady,
    BuildImage,
    CreateLink,
    CreateNetwork,
    ForgetJobs,
    Observed,
    Plan,
    Remove,
    RunJob,
    StartDisk,
    StartHolder,
    StartInstance,
    Step,
)


def make_plan(desired: Desired, observed: Observed) -> Plan:
    """The steps that turn the observed lab into the desired one; empty when they are the same.

    InputError for a change that cannot be made to an existing lab.
    """
    return _Planner(desired, observed).plan()


class _Planner:
    def __init__(self, desired: Desired, observed: Observed) -> None:
        self.desired, self.observed, self.lab = desired, observed, desired.lab
        self.steps: dict[str, Step] = {}
        self.finished = finished(desired, observed)
        self.prober = f"start:{self.lab.toolbox.name}"
        """The step after which probes can be asked."""
        self.needs: dict[str, frozenset[str]] = {}
        """Service → the steps that each of its instances needs."""

    def plan(self) -> Plan:
        self._check_disks()
        self._leftovers()
        self._infrastructure()
        self._forget_jobs()
        for service in self.lab.services.values():
            self._service(service)
        return Plan(in_order(self._known_needs()))

    # disks, whose size cannot be changed: they hold data

    def _check_disks(self) -> None:
        for instance in self.lab.instances:
            if self.lab.container(instance) not in self.observed.containers:
                continue
            unit = self.desired.disks.get(instance.name)
            existing = self.observed.containers.get(self.lab.disk(instance))
            wanted = unit.spec.labels[DISK] if unit else None
            has = existing.labels.get(DISK) if existing else None
            if wanted != has:
                raise InputError(
                    f"the disk of {instance.name} has {_size(has)} in lab '{self.lab.name}' and "
                    f"should have {_size(wanted)}: a disk's size cannot be changed, so take the "
                    f"lab down first, with `labctl down --lab {self.lab.name}`"
                )

    def _disk(self, instance: Instance) -> None:
        """Start the disk of an instance that has one; a running one is kept: it holds data."""
        unit = self.desired.disks.get(instance.name)
        existing = self.observed.containers.get(unit.spec.name) if unit else None
        if unit is None or (existing is not None and existing.status == "running"):
            return
        action, removal = self._action(unit)
        if action is not None:
            needs = frozenset({"image:node", "forget", removal or ""})
            name = f"disk:{instance.name}"
            self._add(StartDisk(name, needs, instance=instance.name, action=action))

    # containers that are not part of the lab any more

    def _leftovers(self) -> None:
        wanted = {
            unit.spec.name
            for units in (
                self.desired.holders,
                self.desired.disks,
                self.desired.instances,
                self.desired.jobs,
            )
            for unit in units.values()
        }
        for name in sorted(set(self.observed.containers) - wanted):
            self._remove(name)

    def _remove(self, name: str) -> str:
        step = Remove(f"remove:{name}", container=name, cost=0.1)
        self.steps[step.id] = step
        return step.id

    # images, network, nodes

    def _infrastructure(self) -> None:
        for role, tag in self.desired.images.items():
            if tag not in self.observed.images:
                self._add(BuildImage(f"image:{role}", role=role, tag=tag, cost=IMAGE_COST))
        new_network = self.observed.network is None or not self.observed.link
        actions = {
            node: self._holder_action(node, unit, new_network=new_network)
            for node, unit in self.desired.holders.items()
        }
        filtered = self.lab.host_services == "blocked"
        if not self.observed.link or self.observed.filtered != filtered:
            needs = frozenset({"image:node"})
            self._add(CreateLink("link", needs, exists=self.observed.link))
        if new_network:
            removals = {f"remove:{unit.spec.name}" for unit in self.desired.holders.values()}
            self._add(CreateNetwork("network", frozenset({"link", *removals}), cost=0.1))
        for node, (action, removals) in actions.items():
            if action is not None:
                needs = frozenset({"network", "image:node", *removals})
                self._add(StartHolder(f"holder:{node}", needs, node=node, action=action))

    def _holder_action(
        self, node: str, unit: Unit, *, new_network: bool
    ) -> tuple[Action | None, set[str]]:
        """A holder's action, and the removals before it.

        The instances of a node cannot move to a new namespace, so they are removed as well.
        """
        existing = self.observed.containers.get(unit.spec.name)
        action, removal = self._action(unit)
        if new_network and existing is not None and action != "create":
            action, removal = "create", self._remove(existing.name)
        removals = {removal} if removal else set()
        if action in ("create", "start"):
            for instance in self.lab.on_node(node):
                inside = self.observed.containers.get(self.lab.container(instance))
                if inside is not None and (
                    action == "create" or inside.status in ("running", "paused")
                ):
                    removals.add(self._remove(inside.name))
        return action, removals

    def _action(self, unit: Unit) -> tuple[Action | None, str | None]:
        """What a container needs: nothing, or an action and the removal that precedes it."""
        existing = self.observed.containers.get(unit.spec.name)
        if existing is None:
            return "create", None
        if f"remove:{existing.name}" in self.steps:
            return "create", f"remove:{existing.name}"
        if existing.status == "created" or existing.labels.get(HASH) != unit.hash:
            # Created but never started: its files may be missing.
            return "create", self._remove(existing.name)
        if existing.status == "running":
            return None, None
        return ("unpause", None) if existing.status == "paused" else ("start", None)

    # services

    def _service(self, service: Service) -> None:
        for job in service.doc.jobs:
            self._job(service, job)
        instances = self.lab.of_service(service)
        seeded = service.doc.cluster is not None and service.doc.cluster.start == "seed"
        chosen = self.observed.bootstrap_instances.get(service.name)
        members = [i for i in instances if i.name in self.observed.members and not chosen]
        # New members join when the first one (the seed, or an existing member) is ready.
        first = next((i for i in instances if i.name == chosen), (members or instances)[0])
        leader = first if seeded else None
        in_turn = service.doc.cluster is not None and service.doc.cluster.joins == "in turn"
        previous: set[str] = set()
        for instance in instances:
            self._disk(instance)
        for instance in sorted(instances, key=lambda i: i != leader):
            joins = leader not in (None, instance) and instance not in members
            after = previous | ({f"ready:{leader.name}"} if leader and joins else set())
            bootstrap = instance == leader and not members
            if not self._instance(instance, bootstrap=bootstrap, after=after):
                if instance == leader and instance.name not in self.observed.ready:
                    self._await_one(instance)
            elif in_turn or self._replaces_member(service, instance):
                # One at a time, so that a cluster whose configuration changed keeps its majority.
                previous = {f"ready:{instance.name}"}
        self._await(service, instances)

    def _replaces_member(self, service: Service, instance: Instance) -> bool:
        """Whether a running member of a cluster is to be replaced."""
        existing = self.observed.containers.get(self.lab.container(instance))
        return (
            service.doc.cluster is not None
            and existing is not None
            and existing.status == "running"
        )

    def _instance(self, instance: Instance, *, bootstrap: bool, after: Iterable[str]) -> bool:
        """Add the steps of an instance; False when it needs none. ``after`` must come first."""
        unit = self.desired.instances[instance.name]
        action, removal = self._action(unit)
        if action is None and instance.name in self.observed.stranded:
            action = "restart"
        if action is None:
            return False
        if removal and after and f"holder:{instance.node.name}" not in self.steps:
            # It keeps serving until its turn, unless its namespace is about to be removed.
            self._add(replace(self.steps[removal], needs=frozenset(after)))
        needs = {
            f"holder:{instance.node.name}",
            f"disk:{instance.name}",
            "forget" if unit.spec.volumes else "",
            f"image:{instance.service.image}",
            removal or "",
            *self._service_needs(instance.service),
            *after,
            # Two active instances of an active/passive service would corrupt what they share.
            *(f"remove:{container}" for container in self.lab.elsewhere(instance)),
        }
        step = StartInstance(
            f"start:{instance.name}",
            frozenset(needs),
            cost=CONTAINER_COST,
            instance=instance.name,
            action=action,
            bootstrap=bootstrap,
        )
        self._add(step)
        self._await_one(instance)
        return True

    def _service_needs(self, service: Service) -> frozenset[str]:
        """The steps that every instance of a service needs."""
        if service.name not in self.needs:
            jobs = {f"job:{job}" for job in self._jobs(service, {"before"})}
            needs = {need for wanted in service.doc.needs for need in self._done(wanted)}
            self.needs[service.name] = frozenset(jobs | needs)
        return self.needs[service.name]

    def _await_one(self, instance: Instance) -> None:
        """Wait for one instance; the cost is the CPU time that it uses until it is ready."""
        if instance.name not in self.desired.probes:
            return
        doc = instance.service.doc
        started = {f"job:{job}" for job in self._jobs(instance.service, {"started"})}
        self._add(
            AwaitReady(
                f"ready:{instance.name}",
                frozenset({f"start:{instance.name}", *started, self.prober}),
                cost=doc.cost,
                service=instance.service.name,
                probes=(instance.name,),
                timeout=doc.ready.timeout,
            )
        )

    def _await(self, service: Service, instances: Sequence[Instance]) -> None:
        """Wait for the whole service, if part of it is started or does not answer."""
        started = {f"start:{i.name}" for i in instances} & self.steps.keys()
        own = {f"ready:{i.name}" for i in instances} & self.steps.keys()
        asked = [i.name for i in instances if i.name in self.desired.probes]
        vip = f"vip/{service.name}"
        if vip in self.desired.probes:
            asked.append(vip)
        silent = [probe for probe in asked if probe not in self.observed.ready]
        jobs = {f"job:{job}" for job in self._jobs(service, {"started"})} & self.steps.keys()
        if not started and not silent and not jobs:
            return
        timeout = service.doc.ready.timeout
        if service.doc.vip_ready is not None:
            timeout = max(timeout, service.doc.vip_ready.timeout)
        self._add(
            AwaitReady(
                f"ready:{service.name}",
                frozenset({*(own or started), *jobs, self.prober}),
                cost=0.0,
                service=service.name,
                probes=tuple(asked),
                timeout=timeout,
            )
        )

    # jobs

    def _forget_jobs(self) -> None:
        jobs = tuple(sorted(lost(self.desired, self.observed)))
        if jobs:
            needs = frozenset({f"holder:{self.lab.client.name}"})
            self._add(ForgetJobs("forget", needs, cost=0.1, jobs=jobs))

    def _jobs(self, service: Service, when: set[str]) -> list[str]:
        return [f"{service.name}/{job.name}" for job in service.doc.jobs if job.when in when]

    def _job(self, service: Service, job: JobDoc) -> None:
        name = f"{service.name}/{job.name}"
        unit = self.desired.jobs[name]
        if name in self.finished:
            return
        existing = self.observed.containers.get(unit.spec.name)
        seed, where = service.nodes[0].name, service.job_node.name
        removal, running = "", False
        if existing is not None:
            same = existing.labels.get(HASH) == unit.hash
            # Started by a labctl that was interrupted: killing it could leave half a schema.
            running = same and existing.status == "running" and f"holder:{where}" not in self.steps
            if not running:
                removal = self._remove(existing.name)
        after: dict[str, set[str]] = {
            "before": set(),
            "seed": {f"ready:{seed}/{service.name}"},
            "started": {f"start:{node.name}/{service.name}" for node in service.nodes},
            "ready": {f"ready:{service.name}"},
        }
        needs = {
            removal,
            f"holder:{where}",
            f"image:{job.image or service.doc.image}",
            *after[job.when],
        }
        needs |= {need for wanted in job.needs for need in self._done(wanted)}
        self._add(
            RunJob(
                f"job:{name}",
                frozenset(needs),
                cost=job.cost + CONTAINER_COST,
                service=service.name,
                job=job.name,
                running=running,
                timeout=job.timeout,
            )
        )

    def _done(self, wanted: str) -> list[str]:
        """Steps after which ``service`` (ready, jobs done) or ``service/job`` can be used."""
        if "/" in wanted:
            return [f"job:{wanted}"]
        service = self.lab.services.get(wanted)
        jobs = self._jobs(service, {"before", "seed", "started", "ready"}) if service else []
        return [f"ready:{wanted}", *(f"job:{job}" for job in jobs)]

    # the graph

    def _add(self, step: Step) -> None:
        self.steps[step.id] = step

    def _known_needs(self) -> Iterable[Step]:
        """The steps without needs that are already satisfied: those that have no step."""
        for step in self.steps.values():
            known = frozenset(need for need in step.needs if need in self.steps)
            yield step if known == step.needs else replace(step, needs=known)


def _size(label: str | None) -> str:
    """The size of a disk, from its label, for a message."""
    return "no size of its own" if label is None else f"{int(label) >> 20} MiB"


def in_order(steps: Iterable[Step]) -> dict[str, Step]:
    """The steps by id, each after those that it needs, in an order that is always the same.

    RuntimeError that names the steps when there is a cycle, which is a defect in the planner.
    """
    by_id = {step.id: step for step in steps}
    sorter = TopologicalSorter({name: sorted(step.needs) for name, step in by_id.items()})
    try:
        return {name: by_id[name] for name in sorter.static_order()}
    except CycleError as error:
        # graphlib names each step before the one that waits for it.
        around = " → ".join(reversed(error.args[1]))
        raise RuntimeError(f"steps of the plan wait for each other: {around}") from None
