"""A cluster of which no member is left: which of its volumes has got farthest, and founds it anew.

The rule is the one in Galera's and its distributors' documentation: make sure that nobody is in
a primary component, read how far each node's data have got, compare identities, found with the
farthest, and let the others join one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.host.parallel import together
from labctl.model.lab import Instance, Service
from labctl.planning.desired import KIND, Desired
from labctl.planning.steps import Observed

TIMEOUT = 120.0
"""Seconds that reading a position may take: recovery of a storage engine after a crash."""

STOP_SECONDS = 10
"""A member that serves nobody has nothing to finish: so long it may take to end by itself."""

_ALIVE = ("running", "paused")


def recover(
    engine: Engine, desired: Desired, observed: Observed, note: Callable[[str], None]
) -> Observed:
    """What was observed, with a founder for every cluster that has lost all of its members."""
    founders: dict[str, str] = {}
    for service in desired.lab.services.values():
        lost = _lost(desired, observed, service)
        if lost:
            note(f"{service.name}: no member is left; reading how far each one's data have got")
            founders[service.name] = _founder(engine, desired, observed, service, lost)
            note(f"{service.name}: {founders[service.name]} founds the cluster anew")
    if not founders:
        return observed
    containers = {c.name: c for c in engine.containers(desired.lab.name)}
    return replace(observed, founders=founders, containers=containers)


def _lost(desired: Desired, observed: Observed, service: Service) -> list[Instance]:
    """The members of a cluster that has none left which serves; empty when all is not lost."""
    cluster = service.doc.cluster
    if cluster is None or not cluster.position:
        return []
    instances = desired.lab.of_service(service)
    members = [i for i in instances if i.name in observed.members]
    if any(i.name in observed.ready for i in instances):
        return []
    alive = [i for i in members if _status(desired, observed, i) in _ALIVE]
    asked = bool(observed.ready)
    # One that runs but could not be asked may serve: then nothing is decided over its head.
    return [] if alive and not asked else members


def _status(desired: Desired, observed: Observed, instance: Instance) -> str | None:
    there = observed.containers.get(desired.lab.container(instance))
    return there.status if there else None


def _founder(
    engine: Engine, desired: Desired, observed: Observed, service: Service, lost: list[Instance]
) -> str:
    """Stop what still runs of the cluster, read every position, choose the farthest."""

    def read(instance: Instance) -> tuple[str, int] | None:
        if _status(desired, observed, instance) in _ALIVE:
            engine.stop(desired.lab.container(instance), STOP_SECONDS)
        return _position(engine, desired, instance)

    positions = dict(zip((i.name for i in lost), together(read, lost), strict=True))
    return farthest(service.name, {n: p for n, p in positions.items() if p is not None})


def farthest(service: str, positions: Mapping[str, tuple[str, int]]) -> str:
    """The instance with the highest number; LabError when they are not of one cluster."""
    if not positions:
        raise LabError(
            f"{service}: no member is left and none has data: run 'labctl down', then 'labctl up'"
        )
    if len({identity for identity, _ in positions.values()}) > 1:
        told = ", ".join(f"{name} {identity}" for name, (identity, _) in positions.items())
        raise LabError(
            f"{service}: its members' data are of different clusters ({told}): nothing is "
            "started; remove the volumes of those that are wrong"
        )
    return max(positions, key=lambda name: positions[name][1])


def _position(engine: Engine, desired: Desired, instance: Instance) -> tuple[str, int] | None:
    """Run the cluster's position command beside the stopped instance, on its volumes."""
    unit, cluster = desired.instances[instance.name], instance.service.doc.cluster
    assert cluster is not None  # noqa: S101 - only clusters with a position come here
    name = f"{unit.spec.name}-position"
    spec = replace(
        unit.spec,
        name=name,
        command=cluster.position,
        join=None,
        labels={**unit.spec.labels, KIND: "helper"},
    )
    engine.remove(name)
    engine.create(spec)
    try:
        engine.put_files(name, unit.files)
        engine.start(name)
        code = engine.wait(name, TIMEOUT)
        said = engine.logs(name).strip()
    finally:
        engine.remove(name)
    if code != 0:
        raise LabError(f"{instance.name}: its position cannot be read: {said.splitlines()[-1:]}")
    identity, _, number = said.rpartition(":")
    return (identity, int(number)) if identity else None
