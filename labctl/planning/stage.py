"""One stage of a plan: a turn is replaced, and whatever does not serve is repaired. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from labctl.model.lab import Instance, Node, Service
from labctl.model.service import JobDoc
from labctl.planning.condition import Condition
from labctl.planning.desired import KIND, NODE, SERVICE, Unit
from labctl.planning.results import finished, lost
from labctl.planning.steps import (
    CONTAINER_COST,
    IMAGE_COST,
    Action,
    AwaitCounted,
    AwaitReady,
    BuildImage,
    CreateLink,
    CreateNetwork,
    Forget,
    ForgetJobs,
    Join,
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
from labctl.planning.turns import Turn

LEAVING_SECONDS = 10
"""Grace period of an instance whose service is not part of the lab any more."""


@dataclass(frozen=True)
class Stage:
    """The steps of one stage by id; they may name needs that are not among them."""

    steps: Mapping[str, Step]
    complete: bool
    """Whether nothing had to be postponed to a later stage."""


def stage_steps(condition: Condition, turn: Turn) -> Stage:
    """Plan one stage: replace the turn, and repair everything that does not serve."""
    planner = _Planner(condition, turn)
    steps = planner.made()
    return Stage(steps, not planner.postponed)


class _Planner:
    def __init__(self, condition: Condition, turn: Turn) -> None:
        self.condition, self.turn = condition, turn
        self.desired, self.observed, self.lab = condition.desired, condition.observed, condition.lab
        self.steps: dict[str, Step] = {}
        self.finished = finished(self.desired, self.observed)
        self.lost = lost(self.desired, self.observed)
        self.prober = f"start:{self.lab.toolbox.name}"
        """The step that must be done before readiness can be probed."""
        self.holders = {unit.spec.name: unit for unit in self.desired.holders.values()}
        self.needs: dict[str, frozenset[str]] = {}
        """Service → the steps that each of its instances waits for."""
        self.postponed = False
        """Whether something has to wait for a later stage."""
        self.introduced = ""
        """The step after which running nodes know the names of new ones; empty if not needed."""
        self.begun: dict[str, bool] = {}
        """Instance → whether it is started in this stage."""
        self.reliable: dict[str, bool] = {}
        """``service`` or ``service/job`` → whether it is ready, or done, when this stage ends."""

    def made(self) -> dict[str, Step]:
        self._leftovers()
        self._foundation()
        self._names()
        self._forget_jobs()
        self._empty_nodes()
        for service in self.lab.services.values():
            self._service(service)
        self._around()
        self._drained_first()
        return self.steps

    # what can be done in this stage, and what must wait

    def _open(self, node: Node) -> bool:
        """Whether instances can be started on a node in this stage."""
        name = self.lab.holder(node)
        if self._goes(name) or not self.condition.runs(name):
            return not self._blocked(node)
        return not self.condition.node_due(node)

    def _open_for(self, instance: Instance) -> bool:
        """Whether an instance may be started on a node that is due, before the node's own turn.

        Members of clusters may, because the cluster needs them while others are replaced; so may
        instances that are replaced on all nodes at once.
        """
        member = instance.service.doc.cluster is not None
        stays = self._node_stays(instance.node) and not self.condition.moves(instance.node)
        return stays and (member or self.lab.container(instance) in self.turn.containers)

    def _node_stays(self, node: Node) -> bool:
        """Whether a node is running and keeps its namespace in this stage."""
        holder = self.lab.holder(node)
        return self.condition.runs(holder) and not self._goes(holder)

    def _blocked(self, node: Node) -> bool:
        """Whether the address is in use by another node that keeps it in this stage."""
        holder = self.condition.in_the_way(node)
        return holder is not None and not self._vacates(holder)

    def _vacates(self, holder: str) -> bool:
        """Whether a holder gives up its address in this stage."""
        unit = self.holders.get(holder)
        stands = unit is not None and (
            self.condition.runs(holder) or self.condition.as_it_should_be(unit)
        )
        return self._goes(holder) or (unit is not None and not stands)

    def _goes(self, container: str) -> bool:
        """Whether a container is taken down in this stage."""
        return container in self.turn.containers or f"remove:{container}" in self.steps

    def _begins(self, instance: Instance) -> bool:
        """Whether an instance is started in this stage."""
        if instance.name not in self.begun:
            # The recursion ends: needs are not circular.
            self.begun[instance.name] = not self._stays(instance) and self._may_begin(instance)
            self.postponed |= not (self.begun[instance.name] or self._stays(instance))
        return self.begun[instance.name]

    def _may_begin(self, instance: Instance) -> bool:
        if not self._can_ask(instance):
            return False
        if not self._open(instance.node) and not self._open_for(instance):
            return False
        before = [f"{instance.service.name}/{j.name}" for j in _jobs(instance.service, "before")]
        return all(map(self._relied_on, (*instance.service.doc.needs, *before)))

    def _can_ask(self, instance: Instance | None = None) -> bool:
        """Whether readiness can be probed and jobs recorded: both need the client node."""
        toolbox = self.lab.toolbox
        return toolbox == instance or self._stays(toolbox) or self._begins(toolbox)

    def _relied_on(self, wanted: str) -> bool:
        """Whether a service serves, or a job is done, at the end of this stage."""
        if wanted not in self.reliable:
            service, _, job = wanted.partition("/")
            known = self.lab.services.get(service)
            if known is None:
                self.reliable[wanted] = True
            elif job:
                self.reliable[wanted] = self._job_relied_on(known, job)
            else:
                self.reliable[wanted] = any(
                    self._stays(instance) or self._begins(instance)
                    for instance in self.lab.of_service(known)
                )
        return self.reliable[wanted]

    def _job_relied_on(self, service: Service, name: str) -> bool:
        wanted = f"{service.name}/{name}"
        return wanted in self.finished or self._runs_now(
            service, next(job for job in service.doc.jobs if job.name == name)
        )

    def _runs_now(self, service: Service, job: JobDoc) -> bool:
        """Whether a job that is not done yet can run in this stage."""
        node = service.job_node
        if not (self._node_stays(node) or self._open(node)) or not self._can_ask():
            return False
        own = () if job.when == "before" else (service.name,)
        return all(map(self._relied_on, (*job.needs, *own)))

    def _stays(self, instance: Instance) -> bool:
        """Whether an instance serves through the whole stage."""
        names = {self.lab.container(instance), self.lab.holder(instance.node)}
        return self.condition.serves(instance) and names.isdisjoint(self.turn.containers)

    # what is not part of the lab any more

    def _leftovers(self) -> None:
        leavers = {leaver.container for leaver in self.condition.leavers}
        later = {*leavers, *self.condition.leaving_nodes.values()} - self.turn.containers
        for name, there in sorted(self.observed.containers.items()):
            if name in self.desired.units or name in later:
                continue
            service = self.lab.services.get(there.labels.get(SERVICE, ""))
            drains = name in leavers and not self.turn.at_once
            drain = service.doc.change.drain if service and drains else ()
            grace = service.doc.container.stop_grace_period if service else LEAVING_SECONDS
            self._remove(name, int(grace), drain)
            if service is not None and there.labels.get(KIND) == "instance":
                self._forget(service, self.steps[f"remove:{name}"], there.labels[NODE])
            if there.labels.get(KIND) == "holder":
                node = there.labels.get(NODE)
                tenants = {
                    f"remove:{other}"
                    for other, its in self.observed.containers.items()
                    if other != name and its.labels.get(NODE) == node
                }
                self._add(replace(self.steps[f"remove:{name}"], needs=frozenset(tenants)))

    def _forget(self, service: Service, removal: Step, node: str) -> None:
        """Have a cluster forget a member before its container, the only trace of it, is removed."""
        assert isinstance(removal, Remove)  # noqa: S101 - it was made as one
        command = service.doc.change.forget
        others = (i for i in self.lab.of_service(service) if i.node.name != node)
        by = next((i for i in others if self._stays(i)), None)
        if not command or by is None:
            return
        told = tuple(word.format(node=node) for word in command)
        step = Forget(
            f"forget:{node}/{service.name}",
            leaving=node,
            container=removal.container,
            grace=removal.grace,
            drain=removal.drain,
            by=by.name,
            command=told,
        )
        self._add(step)
        self._add(replace(removal, needs=frozenset({step.id}), grace=0, drain=()))

    def _remove(self, name: str, grace: int = 0, drain: tuple[tuple[str, ...], ...] = ()) -> str:
        running = self.condition.runs(name)
        step = Remove(
            f"remove:{name}",
            container=name,
            cost=0.1,
            grace=grace if running else 0,
            drain=drain if running else (),
        )
        self.steps[step.id] = step
        return step.id

    # images, network, nodes

    def _foundation(self) -> None:
        for role, tag in self.desired.images.items():
            if tag not in self.observed.images:
                self._add(BuildImage(f"image:{role}", role=role, tag=tag, cost=IMAGE_COST))
        actions = {
            node: self._holder_action(self.lab.node(node), unit)
            for node, unit in self.desired.holders.items()
        }
        filtered = self.lab.host_services == "blocked"
        if not self.observed.link or self.observed.filtered != filtered:
            needs = frozenset({"image:node"})
            self._add(CreateLink("link", needs, exists=self.observed.link))
        if self.condition.rewired:
            removals = {name for name in self.steps if name.startswith("remove:")}
            self._add(CreateNetwork("network", frozenset({"link", *removals}), cost=0.1))
        for node, (action, removals) in actions.items():
            if action is not None:
                needs = frozenset({"network", "image:node", *removals})
                self._add(StartHolder(f"holder:{node}", needs, node=node, action=action))

    def _holder_action(self, node: Node | None, unit: Unit) -> tuple[Action | None, set[str]]:
        """A holder's action, and the removals before it: instances are lost with its namespace."""
        assert node is not None  # noqa: S101 - the holders are the lab's nodes'
        name = unit.spec.name
        there = self.condition.there(name)
        due = self.condition.node_due(node)
        blocked = self._blocked(node)
        if blocked or (due and name not in self.turn.containers):
            if blocked and there is not None and self._vacates(name):
                # Remove it now; it is created again when its address is free.
                tenants = self._evict(node, all_of_them=True)
                self._add(replace(self.steps[self._remove(name)], needs=frozenset(tenants)))
            return None, set()
        action, removal = self._action(unit, due=due)
        removals = {f"remove:{self.condition.in_the_way(node)}"}
        if action in ("create", "start"):
            tenants = self._evict(node, all_of_them=action == "create")
            if removal:
                self._add(replace(self.steps[removal], needs=frozenset(tenants)))
            removals |= tenants
        return action, removals | ({removal} if removal else set())

    def _evict(self, node: Node, *, all_of_them: bool) -> set[str]:
        """Remove a node's instances: all, or only those that run in a namespace that is gone."""
        removals = set()
        for instance in self.lab.on_node(node.name):
            there = self.condition.there(self.lab.container(instance))
            if there is not None and (all_of_them or there.status in ("running", "paused")):
                removals.add(self._take_down(instance))
        return removals

    def _take_down(self, instance: Instance) -> str:
        """Remove an instance, gracefully if it serves."""
        doc = instance.service.doc
        drain = () if self.turn.at_once or not self._has_others(instance) else doc.change.drain
        unit = self.desired.instances[instance.name]
        removal = self._remove(unit.spec.name, unit.spec.stop_seconds, drain)
        if self.condition.emptied(instance.node.name):
            self._forget(instance.service, self.steps[removal], instance.node.name)
        return removal

    def _has_others(self, instance: Instance) -> bool:
        return self.condition.strength[instance.service.name] > 1

    def _action(self, unit: Unit, *, due: bool) -> tuple[Action | None, str | None]:
        """The action that a container needs, if any, and the removal that must come first."""
        there = self.condition.there(unit.spec.name)
        if there is None:
            return "create", None
        if f"remove:{there.name}" in self.steps:
            return "create", f"remove:{there.name}"
        if there.status == "created" or due or not self.condition.as_it_should_be(unit):
            # Created but never started: its files may be missing.
            return "create", self._remove(there.name, unit.spec.stop_seconds)
        if there.status == "running":
            return None, None
        return ("unpause", None) if there.status == "paused" else ("start", None)

    def _names(self) -> None:
        """Publish the names of the nodes to those that are running."""
        if self.observed.names == self.desired.names:
            return
        # A node that starts in this stage reads them by itself; one that was paused does not.
        frozen = {
            unit.spec.name: f"holder:{node}"
            for node, unit in self.desired.holders.items()
            if isinstance(step := self.steps.get(f"holder:{node}"), StartHolder)
            and step.action == "unpause"
        }
        holders = tuple(
            name
            for name in self.holders
            if name in frozen or (self.condition.runs(name) and not self._goes(name))
        )
        client = f"holder:{self.lab.client.name}"
        # Members must be able to resolve a new node before it joins their cluster.
        self.introduced = "names" if holders else ""
        if client in self.steps or self.lab.holder(self.lab.client) in holders:
            needs = frozenset({client, *frozen.values()})
            self._add(WriteNames("names", needs, cost=0.1, holders=holders))

    def _empty_nodes(self) -> None:
        """Remove the volumes of nodes that are replaced, once nothing has them mounted."""
        for node in self.lab.nodes:
            holder = self.steps.get(f"holder:{node.name}")
            if not self.condition.emptied(node.name) or holder is None:
                continue
            instances = self.lab.on_node(node.name)
            for instance in instances:
                disk = self.desired.disks.get(instance.name)
                if disk is not None and self.condition.there(disk.spec.name):
                    self._remove(disk.spec.name)
            prefix = f"{self.lab.holder(node)}-"
            mounts = {
                mount.volume
                for instance in instances
                for mount in self.desired.instances[instance.name].spec.volumes
            }
            volumes = tuple(
                sorted(v for v in mounts & self.observed.volumes if v.startswith(prefix))
            )
            removals = {name for name in self.steps if name.startswith(f"remove:{prefix}")}
            if volumes:
                name = f"empty:{node.name}"
                members = tuple(instance.name for instance in instances)
                needs = frozenset(removals)
                self._add(RemoveVolumes(name, needs, volumes=volumes, members=members))

    # services

    def _service(self, service: Service) -> None:
        for job in service.doc.jobs:
            self._job(service, job)
        instances = self.lab.of_service(service)
        leader, founds = self._leader(service, instances)
        in_turn = service.doc.cluster is not None and service.doc.cluster.joins == "in turn"
        in_turn &= service.name not in self.observed.united
        previous: set[str] = set()
        for instance in sorted(instances, key=lambda i: i != leader):
            self._disk(instance)
            if not self._begins(instance):
                continue
            joins = leader not in (None, instance) and (
                founds or instance.name not in self._members()
            )
            after = previous | ({f"ready:{leader.name}"} if leader and joins else set())
            if not self._instance(instance, bootstrap=founds and instance == leader, after=after):
                if instance == leader and instance.name not in self.observed.ready:
                    self._await_one(instance)
            elif in_turn:
                previous = {f"ready:{instance.name}"}
        self._await(service, instances)

    def _leader(
        self, service: Service, instances: Sequence[Instance]
    ) -> tuple[Instance | None, bool]:
        """The member that must be ready before others join, and whether it bootstraps the cluster.

        That is the seed, or whoever is a member already. A cluster that is taken down as a whole
        is founded again by the member that went last.
        """
        if service.doc.cluster is None or service.doc.cluster.start != "seed":
            return None, False
        founder = self.observed.bootstrap_instances.get(service.name)
        if founder is not None:
            return next(i for i in instances if i.name == founder), True
        members = [i for i in instances if i.name in self._members()]
        staying = [i for i in members if self._stays(i)]
        if staying:
            return staying[0], False
        served = [i for i in members if self.condition.serves(i)]
        for last in served[:1]:
            others = frozenset(f"remove:{self.lab.container(i)}" for i in served[1:])
            step = self.steps.get(f"remove:{self.lab.container(last)}")
            if self._begins(last):
                step = self.steps[step.id if step else self._take_down(last)]
                self._add(replace(step, needs=step.needs | others))
                return last, True
        starting = [i for i in (members or instances) if self._begins(i)]
        return (starting[0] if starting else None), not members

    def _members(self) -> frozenset[str]:
        """Instances that have been members of a cluster and keep their data in this stage."""
        return frozenset(
            name
            for name in self.observed.members
            if f"empty:{name.partition('/')[0]}" not in self.steps
        )

    def _disk(self, instance: Instance) -> None:
        """Start the disk of an instance, if it has one. A running disk is kept: it holds data."""
        unit = self.desired.disks.get(instance.name)
        if unit is None:
            return
        if self.condition.runs(unit.spec.name) and not self._goes(unit.spec.name):
            return
        action, removal = self._action(unit, due=False)
        if action is not None:
            needs = frozenset(
                {"image:node", "forget", f"empty:{instance.node.name}", removal or ""}
            )
            name = f"disk:{instance.name}"
            self._add(StartDisk(name, needs, instance=instance.name, action=action))

    def _instance(self, instance: Instance, *, bootstrap: bool, after: Iterable[str]) -> bool:
        unit = self.desired.instances[instance.name]
        name = unit.spec.name
        if self.condition.due(instance) and f"remove:{name}" not in self.steps:
            self._take_down(instance)
        action, removal = self._action(unit, due=False)
        if action is None and instance.name in self.observed.stranded:
            action = "restart"
        if action is None:
            return False
        needs = {
            f"holder:{instance.node.name}",
            f"disk:{instance.name}",
            f"empty:{instance.node.name}",
            self.introduced,
            "forget" if unit.spec.volumes else "",
            f"image:{instance.service.image}",
            removal or "",
            *self._service_needs(instance.service),
            *after,
            # Two active instances would corrupt what they share.
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
        self._join(instance)
        return True

    def _join(self, instance: Instance) -> None:
        """Have an instance that is new in its cluster take its share."""
        new = self.condition.there(self.lab.container(instance)) is None
        command = instance.service.doc.change.join
        others = any(map(self._stays, self.lab.of_service(instance.service)))
        if command and others and (new or self.condition.emptied(instance.node.name)):
            told = tuple(word.format(node=instance.node.name) for word in command)
            needs = frozenset({f"ready:{instance.name}"})
            step = Join(f"join:{instance.name}", needs, instance=instance.name, command=told)
            self._add(step)

    def _around(self) -> None:
        """Restart instances around one that they run beside: stop before it, start after it.

        So the virtual IP moves on before the proxy behind it is taken down.
        """
        for instance in self.lab.instances:
            name = self.lab.container(instance)
            partners = [
                self.lab.container(Instance(instance.node, self.lab.services[service]))
                for service in instance.service.doc.beside
                if service in self.lab.services
            ]
            going = [f"remove:{p}" for p in partners if f"remove:{p}" in self.steps]
            if not going or not self.condition.runs(name):
                continue
            own = f"remove:{name}"
            if own not in self.steps:
                if not self._stays(instance) or f"start:{instance.name}" in self.steps:
                    continue
                own = self._restart(instance)
            for removal in going:
                step = self.steps[removal]
                self._add(replace(step, needs=step.needs | {own}))

    def _drained_first(self) -> None:
        """Keep whoever hands an instance's work over until that has been done."""
        for name in [name for name in self.steps if name.startswith("remove:")]:
            labels = self.observed.containers[name.removeprefix("remove:")].labels
            service = self.lab.services.get(labels.get(SERVICE, ""))
            if service is None or service.doc.change.drained_by is None:
                continue
            if labels.get(KIND) != "instance":
                continue
            node, last = labels[NODE], service.doc.change.drained_by
            for later in (f"forget:{node}/{last}", f"remove:{self.lab.name}-{node}-{last}"):
                if later in self.steps:
                    step = self.steps[later]
                    self._add(replace(step, needs=step.needs | {name}))

    def _restart(self, instance: Instance) -> str:
        """Stop an instance now, and start it when those beside it are ready again."""
        unit = self.desired.instances[instance.name]
        stop = Stop(
            f"stop:{unit.spec.name}", container=unit.spec.name, grace=unit.spec.stop_seconds
        )
        self._add(stop)
        node = instance.node.name
        ready = {
            f"{kind}:{node}/{service}"
            for service in instance.service.doc.beside
            for kind in ("start", "ready")
        }
        self._add(
            StartInstance(
                f"start:{instance.name}",
                frozenset({stop.id, *ready}),
                instance=instance.name,
                action="start",
            )
        )
        self._await_one(instance)
        return stop.id

    def _service_needs(self, service: Service) -> frozenset[str]:
        """The steps that every instance of a service waits for."""
        if service.name not in self.needs:
            jobs = {f"job:{service.name}/{job.name}" for job in _jobs(service, "before")}
            needs = {need for wanted in service.doc.needs for need in self._done(wanted)}
            self.needs[service.name] = frozenset(jobs | needs)
        return self.needs[service.name]

    def _await_one(self, instance: Instance) -> None:
        """One instance's readiness: its cost is what the process burns until it answers."""
        if instance.name not in self.desired.probes:
            return
        doc = instance.service.doc
        own = instance.service.name
        started = {f"job:{own}/{job.name}" for job in _jobs(instance.service, "started")}
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
        """Await a whole service, if any of it is started or does not answer."""
        here = [i for i in instances if self._stays(i) or self._begins(i)]
        started = {f"start:{i.name}" for i in here} & self.steps.keys()
        own = {f"ready:{i.name}" for i in here} & self.steps.keys()
        asked = [i.name for i in here if i.name in self.desired.probes]
        vip = f"vip/{service.name}"
        if vip in self.desired.probes and here:
            asked.append(vip)
        silent = [probe for probe in asked if probe not in self.observed.ready]
        jobs = {
            f"job:{service.name}/{job.name}" for job in _jobs(service, "started")
        } & self.steps.keys()
        if not (started or silent or jobs) or not self._can_ask():
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
        if service.doc.cluster is not None and service.name in self.turn.lost and len(here) > 1:
            self._add(
                AwaitCounted(
                    f"counted:{service.name}",
                    frozenset({f"ready:{service.name}"}),
                    cost=0.1,
                    service=service.name,
                    members=len(here),
                    timeout=timeout,
                )
            )

    # jobs

    def _forget_jobs(self) -> None:
        jobs = tuple(sorted(self.lost))
        if jobs and self._can_ask():
            needs = frozenset({f"holder:{self.lab.client.name}"})
            self._add(ForgetJobs("forget", needs, cost=0.1, jobs=jobs))

    def _job(self, service: Service, job: JobDoc) -> None:
        name = f"{service.name}/{job.name}"
        unit = self.desired.jobs[name]
        if name in self.finished:
            return
        if not self._runs_now(service, job):
            self.postponed = True
            return
        there = self.condition.there(unit.spec.name)
        seed, where = service.nodes[0].name, service.job_node.name
        removal, runs = "", False
        if there is not None:
            same = self.condition.as_it_should_be(unit)
            # Left by a labctl that was interrupted: killed, it would leave half a schema.
            runs = same and there.status == "running" and f"holder:{where}" not in self.steps
            if not runs:
                removal = self._remove(there.name)
        after: dict[str, set[str]] = {
            "before": set(),
            "seed": {f"ready:{seed}/{service.name}"},
            "started": {f"start:{node.name}/{service.name}" for node in service.nodes},
            "ready": {f"ready:{service.name}"},
        }
        needs = {
            removal,
            self.introduced,
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
                running=runs,
                timeout=job.timeout,
            )
        )

    def _done(self, wanted: str) -> list[str]:
        """Steps after which ``service`` (ready, jobs done) or ``service/job`` can be relied on."""
        if "/" in wanted:
            return [f"job:{wanted}"]
        service = self.lab.services.get(wanted)
        jobs = service.doc.jobs if service else ()
        return [f"ready:{wanted}", *(f"job:{wanted}/{job.name}" for job in jobs)]

    def _add(self, step: Step) -> None:
        self.steps[step.id] = step


def _jobs(service: Service, when: str) -> Iterator[JobDoc]:
    return (job for job in service.doc.jobs if job.when == when)
