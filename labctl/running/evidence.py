"""Read what a diagnosis needs to know: what members say, and what lies on their volumes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from labctl.engine.port import Engine
from labctl.errors import EngineError, LabctlError, LabError
from labctl.host.parallel import together
from labctl.model.lab import Instance, Service
from labctl.planning.desired import Desired
from labctl.planning.recovery import stores as registry
from labctl.planning.recovery.agents import Agent
from labctl.planning.recovery.model import Cluster, Member
from labctl.planning.steps import Observed
from labctl.running.position import TIMEOUT, at_rest

LOG_LINES = 40
"""How much of the end of a log is searched for why an instance ended."""

_SILENCE = "no answer within"
"""How the prober's words begin for one that does not even refuse."""


@dataclass
class Known:
    """What was found out on the way, and stays true until something is done about it."""

    data: dict[str, str] = field(default_factory=dict)
    """Instance → what its position command printed."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Instance → why that failed."""
    waited: set[str] = field(default_factory=set)
    """Services whose members have been watched in vain."""

    def forget(self, service: str, members: Iterable[str]) -> None:
        """Something was done about these."""
        self.waited.discard(service)
        for name in members:
            self.data.pop(name, None)
            self.unreadable.pop(name, None)


def status(desired: Desired, observed: Observed, instance: Instance) -> str | None:
    """The status of an instance's container; None when there is none."""
    container = observed.containers.get(desired.lab.container(instance))
    return container.status if container else None


def has_node(desired: Desired, observed: Observed, name: str) -> bool:
    """Whether an instance's node is there: what runs on one that has ended hears nobody again."""
    node = _instance(desired, name).node
    holder = observed.containers.get(desired.lab.holder(node))
    return holder is not None and holder.status == "running"


def cluster(
    engine: Engine, desired: Desired, observed: Observed, service: Service, known: Known
) -> Cluster:
    """A cluster as it is found now."""
    doc = service.doc.cluster
    assert doc is not None  # noqa: S101 - only clusters have a store
    said = next((c for c in observed.clusters.values() if c["service"] == service.name), {})
    words = said.get("members", {})

    def member(instance: Instance) -> Member:
        state = status(desired, observed, instance)
        runs = state in ("running", "paused")
        says = str(words.get(instance.node.name, "")) if instance.service is service else ""
        emptied = observed.renew.get(instance.node.name, False) and not runs
        has_file = instance.service is service and doc.member_file is not None
        return Member(
            name=instance.name,
            address=instance.node.address,
            runs=runs,
            frozen=state == "paused",
            answers=not says.startswith(_SILENCE),
            serves=runs and instance.name in observed.ready,
            stranded=instance.name in observed.stranded,
            says=says,
            blank=(instance.name not in observed.members or emptied) if has_file else None,
            data="" if emptied else known.data.get(instance.name),
            unreadable=known.unreadable.get(instance.name, ""),
            gave_up=not runs and _gave_up(engine, desired, observed, instance),
        )

    members = tuple(map(member, desired.lab.of_service(service)))
    data = desired.lab.services.get(doc.data or "")
    stores = tuple(map(member, desired.lab.of_service(data))) if data is not None else ()
    return Cluster(
        service=service.name,
        members=members,
        stores=stores,
        founded=_founded(desired, observed, service),
        filled=_filled(observed, service),
        waited=service.name in known.waited,
        patience=registry.registered()[doc.kind].patience(service.settings),
    )


def _filled(observed: Observed, service: Service) -> bool:
    """Whether a cluster has jobs that fill it, and they are on record as done."""
    own = [f"{service.name}/{job.name}" for job in service.doc.jobs]
    return bool(own) and all(job in observed.done for job in own)


def _founded(desired: Desired, observed: Observed, service: Service) -> bool:
    cluster = service.doc.cluster
    assert cluster is not None  # noqa: S101 - as above
    instances = desired.lab.of_service(service)
    if cluster.member_file is None:
        made = (status(desired, observed, i) for i in instances)
        return any(state not in (None, "created") for state in made)
    if not any(i.name in observed.members for i in instances):
        return False
    # One that jobs found has been founded when they have run.
    return cluster.start == "seed" or not service.doc.jobs or _filled(observed, service)


def _gave_up(engine: Engine, desired: Desired, observed: Observed, instance: Instance) -> bool:
    pattern = instance.service.doc.recovery.gave_up
    if not pattern or status(desired, observed, instance) != "exited":
        return False
    with suppress(EngineError):
        log = engine.logs(desired.lab.container(instance), LOG_LINES)
        return re.search(pattern, log) is not None
    return False


def read(
    engine: Engine, desired: Desired, observed: Observed, names: Sequence[str], known: Known
) -> None:
    """Find out how recent the data of these instances are; what fails is noted as unreadable."""

    def one(name: str) -> None:
        instance = _instance(desired, name)
        try:
            known.data[name] = _position(engine, desired, observed, instance)
        except LabctlError as error:
            known.unreadable[name] = str(error).splitlines()[0]

    together(one, names)


def _instance(desired: Desired, name: str) -> Instance:
    node, _, service = name.partition("/")
    found = desired.lab.instance(node, service)
    assert found is not None  # noqa: S101 - steps name instances of the lab
    return found


def _position(engine: Engine, desired: Desired, observed: Observed, instance: Instance) -> str:
    recovery = instance.service.doc.recovery
    if status(desired, observed, instance) == "running":
        command = _told(recovery.ask or recovery.position, instance)
        name = desired.lab.container(instance)
        result = engine.exec(name, command, timeout=TIMEOUT)
        code, said = result.code, result.stdout
        why = result.stderr or result.stdout
    else:
        command = _told(recovery.position, instance)
        code, said = at_rest(engine, desired, instance, command, "position")
        why = said
    if code != 0:
        last = "".join(why.strip().splitlines()[-1:])
        raise LabError(f"its position cannot be read: {last or f'exit code {code}'}")
    return said


def lead(engine: Engine, desired: Desired, names: Sequence[str], leader: str) -> None:
    """Have these stopped instances take an instance for the leader when they start."""
    chosen = _instance(desired, leader)

    def one(name: str) -> None:
        instance = _instance(desired, name)
        command = _told(instance.service.doc.recovery.lead, instance, chosen)
        code, said = at_rest(engine, desired, instance, command, "lead")
        if code != 0:
            raise LabError(f"{name} could not be told that {leader} leads: {said.strip()}")

    together(one, names)


def _told(command: Sequence[str], instance: Instance, leader: Instance | None = None) -> list[str]:
    """A command of the catalogue with what it is told."""
    words = {"node": instance.node.name}
    if leader is not None:
        words |= {"leader": leader.node.name, "address": leader.node.address}
    return [word.format(**words) for word in command]


def agents(desired: Desired, observed: Observed) -> list[Agent]:
    """The instances whose probe is their control plane's word."""
    found = []
    for instance in desired.lab.instances:
        reports = instance.service.doc.ready.reports
        if reports is None:
            continue
        found.append(
            Agent(
                name=instance.name,
                control=reports.to,
                runs=status(desired, observed, instance) == "running",
                reports=instance.name in observed.ready,
                heard="report" in observed.said.get(instance.name, ""),
                reachable=_reachable(desired, observed, (reports.to, *instance.service.doc.needs)),
            )
        )
    return found


def _reachable(desired: Desired, observed: Observed, services: Iterable[str]) -> bool:
    """Whether at least one instance of each of these services serves."""
    known: Callable[[str], Service | None] = desired.lab.services.get
    return all(
        any(i.name in observed.ready for i in desired.lab.of_service(service))
        for name in services
        if "/" not in name and (service := known(name)) is not None
        if any(i.name in desired.probes for i in desired.lab.of_service(service))
    )
