"""The current status of a lab, as reported by the engine, the prober and each node."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from labctl.engine.port import Container, Engine
from labctl.errors import EngineError, LabError
from labctl.faults import Fault, journal, targets
from labctl.host.parallel import threads
from labctl.model.lab import Instance, Node
from labctl.planning.desired import Desired
from labctl.running import records
from labctl.running.probe import Answer, Inspection, client_container, inspect

State = Literal["healthy", "degraded", "down"]
OFF = "off"
"""The state of a node that has no power: its holder has ended, and all else with it."""


class InstanceStatus(TypedDict):
    """An instance: ``state`` from the engine, ``ready`` from its probe (null: not asked)."""

    service: str
    container: str
    state: str
    ready: bool | None
    detail: str


class NodeStatus(TypedDict):
    """A node: ``state`` is that of its holder, or ``off``."""

    name: str
    address: str
    roles: list[str]
    state: str
    instances: list[InstanceStatus]


class FaultStatus(TypedDict):
    """A fault in force: ``due`` is when its lease ends, or has ended (ISO 8601, UTC)."""

    fault: str
    due: str
    overdue: bool


class Status(TypedDict):
    """The document of ``labctl status --json``."""

    lab: str
    topology: str
    profile: str
    state: State
    vip: dict[str, Any]
    nodes: list[NodeStatus]
    jobs: dict[str, bool]
    """``service/job`` → whether it is done, as the lab has recorded it."""
    clusters: Mapping[str, Mapping[str, Any]]
    faults: list[FaultStatus]
    journal: list[str]
    """A sentence for each file in the journal of faults that is not a fault."""


def status(engine: Engine, desired: Desired) -> Status:
    """Check everything once, in parallel; what cannot be asked is reported as such."""
    lab = desired.lab
    journalled, unread = journal.read(lab.name)
    containers = {c.name: c for c in engine.containers(lab.name)}
    with threads(2) as pool:
        holding = pool.submit(_holders, engine, desired, containers)
        inspection = _inspect(engine, desired, containers)
        holders = holding.result()
    nodes = [_node(desired, node, containers, inspection) for node in lab.nodes]
    done = records.read(engine, desired, containers, engine.volumes(lab.name) if containers else ())
    jobs = {name: done.get(name) == job.hash for name, job in desired.jobs.items()}
    return Status(
        lab=lab.name,
        topology=lab.topology,
        profile=lab.profile,
        state=_state(nodes, jobs, holders, inspection, desired),
        vip={"address": lab.vip, "holders": holders},
        nodes=nodes,
        jobs=jobs,
        clusters=inspection.clusters if inspection else {},
        faults=[_fault(entry.fault) for entry in journalled],
        journal=[each.said for each in unread],
    )


def _fault(fault: Fault) -> FaultStatus:
    due = datetime.fromtimestamp(fault.due, UTC).isoformat(timespec="seconds")
    return FaultStatus(fault=fault.title, due=due, overdue=fault.due <= time.time())


def _inspect(
    engine: Engine, desired: Desired, containers: Mapping[str, Container]
) -> Inspection | None:
    client = containers.get(client_container(desired.lab))
    if client is None or client.status != "running":
        return None
    try:
        return inspect(
            engine, desired, {c.name for c in containers.values() if c.status == "running"}
        )
    except (LabError, EngineError):
        return None


def _holders(engine: Engine, desired: Desired, containers: Mapping[str, Container]) -> list[str]:
    if not containers:
        return []
    return targets.vip_holders(engine, desired.lab, containers)


def _node(
    desired: Desired, node: Node, containers: Mapping[str, Container], inspection: Inspection | None
) -> NodeStatus:
    lab = desired.lab
    holder = containers.get(lab.holder(node))
    return NodeStatus(
        name=node.name,
        address=node.address,
        roles=list(node.roles),
        state=_node_state(holder),
        instances=[
            _instance(desired, instance, containers, inspection)
            for instance in lab.on_node(node.name)
        ],
    )


def _node_state(holder: Container | None) -> str:
    if holder is None:
        return "absent"
    return OFF if holder.status in ("exited", "dead") else holder.status


def _instance(
    desired: Desired,
    instance: Instance,
    containers: Mapping[str, Container],
    inspection: Inspection | None,
) -> InstanceStatus:
    name = desired.lab.container(instance)
    container = containers.get(name)
    state = container.status if container else "absent"
    if state != "running":
        answer = Answer(ready=False, detail=state)
    elif instance.name not in desired.probes:
        answer = Answer(ready=True, detail="running")
    elif inspection is None:
        return InstanceStatus(
            service=instance.service.name,
            container=name,
            state=state,
            ready=None,
            detail="the client node cannot be asked",
        )
    else:
        answer = inspection.probes.get(instance.name, Answer(ready=False, detail="not asked"))
    return InstanceStatus(
        service=instance.service.name,
        container=name,
        state=state,
        ready=answer.ready,
        detail=answer.detail,
    )


def _state(
    nodes: list[NodeStatus],
    jobs: Mapping[str, bool],
    holders: list[str],
    inspection: Inspection | None,
    desired: Desired,
) -> State:
    """Healthy: everything works and one node holds the virtual IP. Down: nothing answers there."""
    instances = [instance for node in nodes for instance in node["instances"]]
    at_vip = [name for name in desired.probes if name.startswith("vip/")]
    served = [name for name in at_vip if inspection is not None and inspection.probes[name].ready]
    if not any(i["state"] in ("running", "paused") for i in instances):
        return "down"
    if inspection is None:
        return "degraded"
    if at_vip and not served:
        return "down"
    whole = all(c.get("size") == c.get("expected") for c in inspection.clusters.values())
    complete = all(i["ready"] for i in instances) and all(jobs.values())
    one_holder = len(holders) == 1 or not at_vip
    return "healthy" if complete and whole and served == at_vip and one_holder else "degraded"
