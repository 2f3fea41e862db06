"""Observe what exists: containers, network and volumes by their labels, readiness by probes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import tenacity

from labctl.engine import link
from labctl.engine.port import Container, Engine
from labctl.errors import LabError
from labctl.model.lab import Service
from labctl.planning.desired import Desired
from labctl.planning.steps import Observed
from labctl.running import names, records
from labctl.running.probe import Inspection, client_container, inspect
from labctl.running.volumes import read_file

_REJOIN_SECONDS = 25.0
"""How long a member that was cut off may take to rejoin; RabbitMQ notices it within 19 s."""
_RECHECK_SECONDS = 2.0


@dataclass(frozen=True)
class Filled:
    """What is on volumes that have just been filled: see :class:`Observed`."""

    done: Mapping[str, str]
    members: frozenset[str]
    united: frozenset[str]


def observe(
    engine: Engine, desired: Desired, *, ask_host: bool = False, filled: Filled | None = None
) -> Observed:
    """Ask the engine, and the lab itself if its client is running.

    With ``ask_host``, also find out whether the engine's host filters traffic from the lab, for
    which a helper container is run. Of volumes that were ``filled`` just now it is known what is
    on them, and nobody has to look.
    """
    lab = desired.lab
    images = {tag for image in engine.images("labctl.image") for tag in image.tags}
    containers = {c.name: c for c in engine.containers(lab.name)}
    volumes = frozenset(engine.volumes(lab.name))
    observed = Observed(
        images=frozenset(images & set(desired.images.values())),
        network=next(iter(engine.networks(lab.name)), None),
        containers=containers,
        volumes=volumes,
    )
    if filled is not None:
        observed = replace(observed, done=filled.done, members=filled.members, united=filled.united)
    else:
        observed = replace(
            observed,
            names=names.read(engine, desired, containers, volumes),
            done=records.read(engine, desired, containers, volumes),
            # Needed even if the network is gone, as after a prune while the lab was off.
            members=frozenset(
                name
                for service in lab.services.values()
                for name in _members(engine, desired, service, containers, volumes)
            ),
        )
    if observed.network is None:
        return observed
    inspection = _inspection(engine, desired, containers)
    found = _link(engine, desired, observed, ask_host=ask_host)
    return replace(
        observed,
        link=found is not None,
        filtered=found is not None and found.filtered,
        asked=bool(inspection.probes),
        ready=frozenset(name for name, answer in inspection.probes.items() if answer.ready),
        said={name: answer.detail for name, answer in inspection.probes.items()},
        clusters=inspection.clusters,
        stranded=_stranded(engine, desired, containers, inspection),
    )


def _link(
    engine: Engine, desired: Desired, observed: Observed, *, ask_host: bool
) -> link.Link | None:
    """The lab's veth pair on the host, if it exists.

    If the host is not asked, a running holder proves that the pair exists, and its filter is
    assumed to be as desired.
    """
    image = desired.images["node"]
    holders = (observed.containers.get(unit.spec.name) for unit in desired.holders.values())
    runs = any(holder is not None and holder.status in ("running", "paused") for holder in holders)
    if image in observed.images and (ask_host or not runs):
        return link.find_links(engine, image).get(desired.lab.name)
    filtered = not ask_host and desired.lab.host_services == "blocked"
    return link.Link(*desired.link, filtered=filtered) if runs else None


def _inspection(
    engine: Engine, desired: Desired, containers: Mapping[str, Container]
) -> Inspection:
    """What the lab's prober reports; empty when its client cannot be used."""
    alive = {c.name for c in containers.values() if c.status == "running"}
    if client_container(desired.lab) not in alive:
        return Inspection()
    try:
        return inspect(engine, desired, alive)
    except LabError:
        return Inspection()


def _stranded(
    engine: Engine, desired: Desired, containers: Mapping[str, Container], inspection: Inspection
) -> frozenset[str]:
    """Running members that stay outside of their cluster; most rejoin by themselves."""
    stranded = set(_stranded_now(inspection))

    def check_again() -> set[str]:
        stranded.intersection_update(_stranded_now(_inspection(engine, desired, containers)))
        return stranded

    if stranded:
        tenacity.Retrying(
            stop=tenacity.stop_after_delay(_REJOIN_SECONDS),
            wait=tenacity.wait_fixed(_RECHECK_SECONDS),
            retry=tenacity.retry_if_result(bool),
            retry_error_callback=lambda _: None,
        )(check_again)
    return frozenset(stranded)


def _stranded_now(inspection: Inspection) -> Iterator[str]:
    for cluster in inspection.clusters.values():
        for node in cluster.get("stranded", ()):
            yield f"{node}/{cluster['service']}"


def _members(
    engine: Engine,
    desired: Desired,
    service: Service,
    containers: Mapping[str, Container],
    volumes: Collection[str],
) -> Iterator[str]:
    """Instances whose volume has been in the service's cluster; running ones always count."""
    cluster = service.doc.cluster
    if cluster is None or (cluster.start != "seed" and cluster.member_file is None):
        return
    for instance in desired.lab.of_service(service):
        container = containers.get(desired.lab.container(instance))
        if container is not None and container.status in ("running", "paused"):
            yield instance.name
            continue
        spec = desired.instances[instance.name].spec
        if any(mount.volume in volumes for mount in spec.volumes) and (
            cluster.member_file is None
            or read_file(
                engine,
                spec,
                cluster.member_file.format(node=instance.node.name),
                containers,
                desired.images,
            )
            is not None
        ):
            yield instance.name
