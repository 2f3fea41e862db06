"""Switch the nodes of a lab off, as a power loss does, and on again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import tenacity

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.faults import verbs
from labctl.faults.targets import Target
from labctl.model.lab import Lab, Service
from labctl.planning.desired import Desired
from labctl.running.probe import Inspection, inspect

PATH = "/run/labctl/power.json"
"""The prober's file with the questions that are asked here."""
PAUSE = 1.0
"""Seconds between two looks at what has been started."""


def off(engine: Engine, lab: Lab, nodes: Sequence[str]) -> list[str]:
    """Cut the power of nodes; returns those that were on. They stay off until ``on`` or ``up``."""
    return verbs.switch_off(engine, lab, list(dict.fromkeys(nodes)))


def on(
    engine: Engine, desired: Desired, nodes: Sequence[str], note: Callable[[str], None]
) -> list[str]:
    """Start nodes, and wait until all on them is ready and their clusters count them.

    Returns those that were not on. LabError when something does not become ready in its time, or
    a node has nothing that could be started.
    """
    lab, names = desired.lab, list(dict.fromkeys(nodes))
    there = {c.name: c.status for c in engine.containers(lab.name)}
    started = [name for name in names if there.get(_holder(lab, name)) != "running"]
    missing = [i.name for i in lab.instances if _on(i.node.name, names, lab.container(i), there)]
    gone = [name for name in started if _holder(lab, name) not in there]
    if gone or missing:
        raise LabError(
            f"{', '.join(gone or missing)} is not there to be started: `labctl up` makes it again"
        )
    if started:
        verbs.start(engine, lab, [Target(name) for name in started])
        note(f"{', '.join(started)} started; waiting until all is ready, and counted")
        _await(engine, desired, started)
    return started


def _on(node: str, names: Collection[str], container: str, there: Collection[str]) -> bool:
    """Whether an instance belongs on one of the nodes and has no container."""
    return node in names and container not in there


def _holder(lab: Lab, name: str) -> str:
    node = lab.node(name)
    assert node is not None  # noqa: S101 - the caller knows the lab's nodes
    return lab.holder(node)


def _await(engine: Engine, desired: Desired, nodes: Collection[str]) -> None:
    """Wait until the instances on nodes are ready and their clusters have all that run."""
    lab = desired.lab
    mine = [instance for instance in lab.instances if instance.node.name in nodes]
    asked = [instance.name for instance in mine if instance.name in desired.probes]
    services = {instance.service.name: instance.service for instance in mine}
    longest = max((service.doc.ready.timeout for service in services.values()), default=0.0)

    def missing() -> list[str]:
        running = {c.name for c in engine.containers(lab.name) if c.status == "running"}
        seen = inspect(engine, desired, running, probes=asked, path=PATH)
        return [*_unready(seen, asked), *_uncounted(seen, desired, services.values(), running)]

    try:
        tenacity.Retrying(
            stop=tenacity.stop_after_delay(longest),
            wait=tenacity.wait_fixed(PAUSE),
            retry=tenacity.retry_if_result(bool),
        )(missing)
    except tenacity.RetryError as error:
        first = error.last_attempt.result()[0]
        raise LabError(
            f"{first}, {longest:.0f} s after {', '.join(nodes)} started: "
            "`labctl up` repairs what a start does not"
        ) from None


def _unready(seen: Inspection, asked: Sequence[str]) -> list[str]:
    return [
        f"{name} is not ready ({answer.detail})"
        if (answer := seen.probes.get(name)) is not None
        else f"{name} does not run"
        for name in asked
        if (found := seen.probes.get(name)) is None or not found.ready
    ]


def _uncounted(
    seen: Inspection, desired: Desired, services: Collection[Service], running: Collection[str]
) -> list[str]:
    """Clusters that count fewer members than have instances that run."""
    lab = desired.lab
    sizes = {state["service"]: state["size"] for state in seen.clusters.values()}
    found = []
    for service in services:
        run = sum(lab.container(each) in running for each in lab.of_service(service))
        if service.name in sizes and sizes[service.name] < run:
            found.append(f"{service.name} counts {sizes[service.name]} of {run} members")
    return found
