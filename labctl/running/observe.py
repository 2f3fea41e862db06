"""What is there: containers, network and volumes by their labels, readiness by asking."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from labctl.engine import link
from labctl.engine.port import LABEL, Container, ContainerSpec, Engine
from labctl.errors import LabError
from labctl.model.lab import Instance, Service
from labctl.planning.desired import KIND, Desired
from labctl.planning.steps import Observed
from labctl.running.probe import Inspection, client_container, inspect

_COMES_BACK = 25.0
"""Seconds in which a member that was cut off is taken in again; RabbitMQ notices within 19."""
_LOOK = 2.0


def observe(engine: Engine, desired: Desired, *, ask_host: bool = False) -> Observed:
    """Ask the engine, and the lab itself when its client runs.

    With ``ask_host`` also whether the engine's host filters what comes from the lab, for which a
    helper container is run.
    """
    lab = desired.lab
    images = {tag for image in engine.images("labctl.image") for tag in image.tags}
    containers = {c.name: c for c in engine.containers(lab.name)}
    network = next(iter(engine.networks(lab.name)), None)
    observed = Observed(
        images=frozenset(images & set(desired.images.values())),
        network=network,
        containers=containers,
    )
    if network is None:
        return observed
    asked = _asked(engine, desired, containers)
    there = _link(engine, desired, observed, ask_host=ask_host)
    return replace(
        observed,
        link=there is not None,
        filtered=there is not None and there.filtered,
        members=frozenset(
            name
            for service in lab.services.values()
            for name in _members(engine, desired, service, containers)
        ),
        ready=frozenset(name for name, answer in asked.probes.items() if answer.ready),
        stranded=_stranded(engine, desired, containers, asked),
    )


def _link(
    engine: Engine, desired: Desired, observed: Observed, *, ask_host: bool
) -> link.Link | None:
    """The veth pair as the host has it.

    Where the host is not asked, a running holder proves the pair, and the filter passes for right.
    """
    image = desired.images["node"]
    holders = (observed.containers.get(unit.spec.name) for unit in desired.holders.values())
    runs = any(holder is not None and holder.status in ("running", "paused") for holder in holders)
    if image in observed.images and (ask_host or not runs):
        return link.find_links(engine, image).get(desired.lab.name)
    right = not ask_host and desired.lab.host_services == "blocked"
    return link.Link(*desired.link, filtered=right) if runs else None


def _asked(engine: Engine, desired: Desired, containers: Mapping[str, Container]) -> Inspection:
    """What the lab itself says; nothing when its client cannot be used."""
    alive = [c.name for c in containers.values() if c.status == "running"]
    if client_container(desired.lab) not in alive:
        return Inspection()
    try:
        return inspect(engine, desired, alive)
    except LabError:
        return Inspection()


def _stranded(
    engine: Engine, desired: Desired, containers: Mapping[str, Container], asked: Inspection
) -> frozenset[str]:
    """Members that run outside of their cluster, and go on to; most come back by themselves."""
    limit, stranded = time.monotonic() + _COMES_BACK, set(_left_out(asked))
    while stranded and time.monotonic() < limit:
        time.sleep(_LOOK)
        stranded &= set(_left_out(_asked(engine, desired, containers)))
    return frozenset(stranded)


def _left_out(asked: Inspection) -> Iterator[str]:
    for cluster in asked.clusters.values():
        for node in cluster.get("stranded", ()):
            yield f"{node}/{cluster['service']}"


def _members(
    engine: Engine, desired: Desired, service: Service, containers: Mapping[str, Container]
) -> Iterator[str]:
    """Instances whose volume has been part of the service's cluster; a running one counts."""
    cluster = service.doc.cluster
    if cluster is None or cluster.start != "seed":
        return
    volumes: set[str] | None = None
    for instance in desired.lab.instances:
        if instance.service.name != service.name:
            continue
        there = containers.get(desired.lab.container(instance))
        if there is not None and there.status in ("running", "paused"):
            yield instance.name
            continue
        volumes = set(engine.volumes(desired.lab.name)) if volumes is None else volumes
        mounts = {mount.volume for mount in desired.instances[instance.name].spec.volumes}
        if mounts & volumes and (
            cluster.member_file is None
            or _has_file(engine, desired, instance, cluster.member_file, there)
        ):
            yield instance.name


def _has_file(
    engine: Engine, desired: Desired, instance: Instance, path: str, there: Container | None
) -> bool:
    if there is not None:
        return engine.read_file(there.name, path) is not None
    # A volume without its container (a recreation was cut short): look through a helper.
    spec = desired.instances[instance.name].spec
    helper = ContainerSpec(
        name=f"{spec.name}-look",
        image=desired.images["node"],
        labels={LABEL: desired.lab.name, KIND: "helper"},
        volumes=spec.volumes,
    )
    engine.remove(helper.name)
    engine.create(helper)
    try:
        return engine.read_file(helper.name, path) is not None
    finally:
        engine.remove(helper.name)
