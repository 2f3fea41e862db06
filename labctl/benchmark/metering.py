"""The meter: a helper container where the engine runs that reads what its machine spends."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.resources import files

from labctl.benchmark.readings import Reading, reading
from labctl.engine.helper import NO_LAB
from labctl.engine.port import LABEL, ContainerSpec, Engine, FileEntry
from labctl.errors import EngineError

_SCRIPT = "/usr/local/lib/labctl-meter.py"


class Meter:
    """Reads the engine's machine; made by :func:`metering`."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine, self._container = engine, container

    def read(self, containers: Collection[str] = (), *, memory: bool = False) -> Reading:
        """The machine now, with the named containers (ids) apart; memory costs a moment."""
        command = ["python3", "-I", _SCRIPT, *(["--memory"] if memory else [])]
        question = json.dumps(sorted(containers)).encode()
        result = self._engine.exec(self._container, command, stdin=question)
        if result.code != 0:
            said = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise EngineError(f"the engine's machine cannot be measured: {said}")
        return reading(json.loads(result.stdout))


@contextmanager
def metering(engine: Engine, image: str) -> Iterator[Meter]:
    """A meter while the context lasts. ``image`` has python3.

    It may read what others' processes use (SYS_PTRACE, DAC_READ_SEARCH), which AppArmor's
    profile for containers would refuse, and nothing else.
    """
    name = f"{NO_LAB}-meter-{os.getpid()}"
    spec = ContainerSpec(
        name=name,
        image=image,
        labels={LABEL: NO_LAB, "labctl.kind": "helper"},
        command=("sleep", "infinity"),
        host_pid=True,
        cap_add=("SYS_PTRACE", "DAC_READ_SEARCH"),
        security_opt=("apparmor=unconfined",),
        stop_signal="SIGKILL",
    )
    script = files("labctl.benchmark").joinpath("meter.py").read_bytes()
    engine.create(spec)
    try:
        engine.put_files(name, [FileEntry(_SCRIPT, script, 0o444)])
        engine.start(name)
        yield Meter(engine, name)
    finally:
        with contextlib.suppress(EngineError):
            engine.remove(name)
