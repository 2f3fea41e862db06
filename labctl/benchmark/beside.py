"""The same lab brought up by the real ``docker compose up --wait``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labctl.benchmark.gaps import await_healthy
from labctl.benchmark.phases import Commands, Phase, services
from labctl.documents.reader import dump
from labctl.engine.link import create_link, remove_link
from labctl.engine.port import Engine
from labctl.host import process
from labctl.planning.composefile import compose
from labctl.planning.desired import Desired

_WAIT_SECONDS = "600"


@dataclass(frozen=True)
class Beside:
    """What Compose took: to return, until the lab was healthy, and to take it down."""

    up: Phase
    services: Mapping[str, str]
    """The lab's containers (id → service), which ``up.after`` measured."""
    healthy: float
    """Seconds from the start until labctl found the lab healthy."""
    down: Phase


def program() -> list[str] | None:
    """The command for Compose here: from PyPI, from the path, or Docker's plugin; None if none."""
    own = Path(sys.executable).with_name("docker-compose")
    if own.exists():
        return [str(own)]
    if process.which("docker-compose"):
        return ["docker-compose"]
    plugin = ["docker", "compose"]
    if process.which("docker") and process.run([*plugin, "version"], timeout=20).code == 0:
        return plugin
    return None


def run(engine: Engine, desired: Desired, commands: Commands, argv: list[str]) -> Beside:
    """Bring the lab up with Compose, wait until it is healthy, and take it down.

    The lab must not exist; its images must. LabError when Compose fails.
    """
    with tempfile.TemporaryDirectory(prefix="labctl-") as directory, _link(engine, desired):
        path = Path(directory) / "compose.yml"
        dump(path, compose(desired), 0o600)
        call = [*argv, "-f", str(path)]
        try:
            began = time.monotonic()
            up = commands.program([*call, "up", "--wait", "--wait-timeout", _WAIT_SECONDS])
            found = services(engine, desired.lab.name)
            up = commands.settled(up, found)
            await_healthy(engine, desired)
            healthy = time.monotonic() - began
        finally:
            down = commands.program([*call, "down", "--volumes", "--timeout", "10"])
        return Beside(up, found, healthy, down)


@contextmanager
def _link(engine: Engine, desired: Desired) -> Iterator[None]:
    """Create the lab's link, which Compose cannot do."""
    lab, image = desired.lab, desired.images["node"]
    parent, host_end = desired.link
    address = f"{lab.host_address}/{lab.subnet.partition('/')[2]}"
    create_link(engine, lab.name, parent, host_end, address, image)
    try:
        yield
    finally:
        remove_link(engine, lab.name, parent, host_end, image)
