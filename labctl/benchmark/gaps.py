"""The gap in service that a client sees through the virtual IP when something dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import tenacity

from labctl.benchmark import samples
from labctl.chaos.model import vrrp
from labctl.engine.port import Engine, FileEntry, Stream
from labctl.errors import LabError
from labctl.faults import Target, halt, heal_all, inject, vip_holders
from labctl.planning.desired import Desired
from labctl.running.probe import client_container
from labctl.running.status import status

Kind = Literal["service", "power"]

SECONDS: Mapping[Kind, float] = {"service": 15.0, "power": 30.0}
"""How long a client sends requests. A node stays without power until its peers have noticed: if it
comes back sooner, their brokers can keep its own from starting (Erlang's global locks)."""
INTERVAL = 0.01
TIMEOUT = 0.1
"""Seconds between two requests, and until a request fails."""

_SETTLED = 100
"""Requests before the fault: the series must start with successes."""
_HEALTHY_WITHIN = 240.0
_SCRIPT = "/run/labctl/asker.py"
_BALANCER, _MOVER = "haproxy", "keepalived"


@dataclass(frozen=True)
class Trial:
    """One fault: the virtual IP's holder, what the client saw, and the bound in seconds."""

    node: str
    gap: samples.Gap
    bound: float


def measurable(desired: Desired) -> bool:
    """Whether the virtual IP can move: two nodes can hold it, and something answers HTTP on it."""
    mover = desired.lab.services.get(_MOVER)
    return mover is not None and len(mover.nodes) > 1 and _question(desired) is not None


def trial(engine: Engine, desired: Desired, kind: Kind) -> Trial:
    """Kill HAProxy on the virtual IP's holder, or the holder, and measure; healed afterwards.

    The lab must be healthy, and is again at the end. LabError when the client got no answers
    before the fault, or none after it.
    """
    lab = desired.lab
    holders = vip_holders(engine, lab)
    if len(holders) != 1:
        raise LabError(f"the virtual IP {lab.vip} has {len(holders)} holders, should be 1")
    node = holders[0]
    target = Target(node, _BALANCER if kind == "service" else None)
    try:
        seen = _watch(engine, desired, target, SECONDS[kind])
    finally:
        heal_all(engine, lab).check()
    await_healthy(engine, desired)
    gap = samples.gap(seen)
    if gap is None:
        raise LabError(f"killing {target.name}: the client got no more answers")
    timers = _timers(desired)
    bound = vrrp.service_death if kind == "service" else vrrp.power_loss
    return Trial(node, gap, bound(timers, node))


def await_healthy(engine: Engine, desired: Desired) -> None:
    """Wait until the lab is healthy; LabError after some minutes."""
    last = tenacity.Retrying(
        stop=tenacity.stop_after_delay(_HEALTHY_WITHIN),
        wait=tenacity.wait_fixed(1),
        retry=tenacity.retry_if_result(lambda state: state != "healthy"),
        retry_error_callback=lambda attempt: attempt.outcome and attempt.outcome.result(),
    )(lambda: status(engine, desired)["state"])
    if last != "healthy":
        raise LabError(
            f"lab '{desired.lab.name}' is {last} {_HEALTHY_WITHIN:.0f} s after it was healed:"
            f" see 'labctl status --lab {desired.lab.name}'"
        )


def _watch(
    engine: Engine, desired: Desired, target: Target, seconds: float
) -> list[samples.Sample]:
    """What the client sees while the fault is made."""
    stream = _ask(engine, desired, seconds)
    settled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        # Read as it comes: a full pipe would block the client, which would look like a gap.
        reading = pool.submit(lambda: list(_counted(stream, settled)))
        try:
            if not settled.wait(seconds):
                raise LabError("the client node does not start to send requests")
            inject(engine, halt(engine, desired.lab, "kill", [target]))
            return samples.parse(reading.result())
        finally:
            stream.close()


def _ask(engine: Engine, desired: Desired, seconds: float) -> Stream:
    question = _question(desired)
    assert question is not None  # noqa: S101 - measurable() said so
    container = client_container(desired.lab)
    script = files("labctl.benchmark").joinpath("asker.py").read_bytes()
    engine.put_files(container, [FileEntry(_SCRIPT, script, 0o444)])
    port, path = question
    numbers = (seconds, INTERVAL, TIMEOUT)
    arguments = [desired.lab.vip, str(port), path, *map(str, numbers)]
    return engine.exec_stream(container, ["python3", "-I", _SCRIPT, *arguments])


def _counted(stream: Stream, settled: threading.Event) -> Iterator[str]:
    for number, line in enumerate(stream):
        if number == _SETTLED:
            settled.set()
        yield line


def _question(desired: Desired) -> tuple[int, str] | None:
    """Port and path of the first HTTP endpoint behind the virtual IP."""
    for service in desired.lab.services.values():
        doc = service.doc
        ready = (doc.vip_ready or doc.ready).http
        if doc.endpoint is not None and doc.endpoint.mode == "http" and ready is not None:
            return doc.endpoint.port, ready.path
    return None


def _timers(desired: Desired) -> dict[str, vrrp.Timers]:
    """Node → the timers in its keepalived's configuration."""
    found = {}
    for node in desired.lab.services[_MOVER].nodes:
        unit = desired.instances[f"{node.name}/{_MOVER}"]
        conf = next(f.data for f in unit.files if f.path.endswith("keepalived.conf"))
        found[node.name] = vrrp.timers(conf.decode())
    return found
