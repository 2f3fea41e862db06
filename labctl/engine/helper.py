"""Short-lived helper containers: run a script on the engine's machine with few capabilities."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from labctl.engine.port import LABEL, ContainerSpec, Engine
from labctl.errors import EngineError

NO_LAB = "labctl-helper"
"""Lab label of a helper that belongs to no lab; leftover helpers are found by it."""

_KIND = {"labctl.kind": "helper"}
_SECONDS = 60.0


def run_helper(
    engine: Engine,
    name: str,
    image: str,
    script: str,
    arguments: Sequence[str] = (),
    *,
    lab: str = NO_LAB,
    cap_add: tuple[str, ...] = (),
    host_network: bool = False,
    devices: tuple[str, ...] = (),
) -> tuple[int, str]:
    """Run a shell script in a new container; returns its exit code and its output.

    A leftover container with the same name is replaced; the new one is removed at the end.
    Without ``host_network`` the script has an empty network namespace of its own. EngineError
    when the container cannot be run or the script takes more than 60 seconds.
    """
    spec = ContainerSpec(
        name=name,
        image=image,
        labels={LABEL: lab, **_KIND},
        command=("sh", "-c", script, name, *arguments),
        cap_add=cap_add,
        host_network=host_network,
        devices=devices,
    )
    engine.remove(name)
    engine.create(spec)
    try:
        engine.start(name)
        return engine.wait(name, _SECONDS), engine.logs(name)
    finally:
        with contextlib.suppress(EngineError):
            engine.remove(name)
