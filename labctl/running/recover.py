"""Recover a cluster that has no member left: choose the most advanced one to bootstrap it.

This is the procedure in Galera's and its distributors' documentation: make sure that no node is in
a primary component, read the position of each node's data, check that their identities agree,
bootstrap from the most advanced node, and let the others join one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import tenacity

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.host.parallel import together
from labctl.model.lab import Instance, Service
from labctl.planning.desired import Desired
from labctl.planning.steps import Observed
from labctl.running.position import position
from labctl.running.probe import inspect

STOP_SECONDS = 10
"""Seconds until a member that does not stop is killed: short, as it is serving nobody."""

PATIENCE = 40.0
"""Seconds in which members that run may find each other again: Galera takes evs.inactive_timeout
(15 s) to part with those that are gone, and then restores its primary component by itself."""

PAUSE = 1.0
"""Seconds between two looks at them."""

QUESTION = "/run/labctl/recover.json"

_ALIVE = ("running", "paused")


def recover(
    engine: Engine, desired: Desired, observed: Observed, note: Callable[[str], None]
) -> Observed:
    """Add to what was observed which instance bootstraps each cluster that has no member left.

    Members of such a cluster that still run are stopped. LabError when none can be chosen. ``note``
    gets a line of progress at a time.
    """
    chosen: dict[str, str] = {}
    for service in desired.lab.services.values():
        if service.name in observed.united:
            continue
        lost = _lost(desired, observed, service)
        alive = [i for i in lost if _status(desired, observed, i) == "running"]
        if alive:
            note(f"{service.name}: no member serves; those that run may find each other again")
            back = _back(engine, desired, alive)
            observed = replace(observed, ready=observed.ready | back)
            lost = lost if not back else []
        if lost:
            note(f"{service.name}: no member is left; reading the position of each one's data")
            chosen[service.name] = _choose(engine, desired, observed, service, lost)
            note(f"{service.name}: {chosen[service.name]} bootstraps the cluster")
    if not chosen:
        return observed
    containers = {c.name: c for c in engine.containers(desired.lab.name)}
    return replace(observed, bootstrap_instances=chosen, containers=containers)


def _lost(desired: Desired, observed: Observed, service: Service) -> list[Instance]:
    """The members of a cluster, if none of them serves any more; otherwise empty."""
    cluster = service.doc.cluster
    if cluster is None or not cluster.position:
        return []
    instances = desired.lab.of_service(service)
    members = [i for i in instances if i.name in observed.members]
    if any(i.name in observed.ready for i in instances):
        return []
    alive = [i for i in members if _status(desired, observed, i) in _ALIVE]
    asked = bool(observed.ready)
    # A running member that could not be asked may be serving: then leave the cluster alone.
    return [] if alive and not asked else members


def _back(engine: Engine, desired: Desired, members: list[Instance]) -> frozenset[str]:
    """Members that run and serve again within the cluster's own timers; one look proves nothing."""
    names = [member.name for member in members]

    def ready() -> frozenset[str]:
        answers = inspect(engine, desired, probes=names, path=QUESTION).probes
        return frozenset(name for name, answer in answers.items() if answer.ready)

    attempts = tenacity.Retrying(
        stop=tenacity.stop_after_delay(PATIENCE),
        wait=tenacity.wait_fixed(PAUSE),
        retry=tenacity.retry_if_result(lambda found: not found),
        retry_error_callback=lambda _: frozenset[str](),
    )
    return attempts(ready)


def _status(desired: Desired, observed: Observed, instance: Instance) -> str | None:
    container = observed.containers.get(desired.lab.container(instance))
    return container.status if container else None


def _choose(
    engine: Engine, desired: Desired, observed: Observed, service: Service, lost: list[Instance]
) -> str:
    """Stop members that still run, read all positions, choose the most advanced member."""
    cluster = service.doc.cluster
    assert cluster is not None  # noqa: S101 - only clusters with a position come here

    def read(instance: Instance) -> tuple[str, int] | None:
        if _status(desired, observed, instance) in _ALIVE:
            engine.stop(desired.lab.container(instance), STOP_SECONDS)
        return position(engine, desired, instance, cluster.position)

    positions = dict(zip((i.name for i in lost), together(read, lost), strict=True))
    return most_advanced(service.name, {n: p for n, p in positions.items() if p is not None})


def most_advanced(service: str, positions: Mapping[str, tuple[str, int]]) -> str:
    """The instance with the highest position; ``positions`` are (cluster identity, number).

    LabError when there are none, or they are not of the same cluster.
    """
    if not positions:
        raise LabError(
            f"{service}: no member is left and none has data: run 'labctl down', then 'labctl up'"
        )
    if len({identity for identity, _ in positions.values()}) > 1:
        listed = ", ".join(f"{name} {identity}" for name, (identity, _) in positions.items())
        raise LabError(
            f"{service}: its members have data of different clusters ({listed}): nothing was "
            "started; remove the volumes of those that are wrong"
        )
    return max(positions, key=lambda name: positions[name][1])
