"""The meter: a helper container on the engine's machine that reads what that machine uses."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.resources import files

from labctl.benchmark import meter
from labctl.benchmark.readings import Reading, Spent, Usage, reading
from labctl.engine.helper import NO_LAB
from labctl.engine.port import LABEL, ContainerSpec, Engine, FileEntry
from labctl.errors import EngineError

_SCRIPT = "/usr/local/lib/labctl-meter.py"


class Meter:
    """Reads the engine's machine; made by :func:`metering`."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine, self._container = engine, container

    def read(self, containers: Collection[str] = (), *, memory: bool = False) -> Reading:
        """Measure the machine, and the given containers (ids) separately; memory takes a moment."""
        command = ["python3", "-I", _SCRIPT, *(["--memory"] if memory else [])]
        question = json.dumps(sorted(containers)).encode()
        result = self._engine.exec(self._container, command, stdin=question)
        if result.code != 0:
            said = (result.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            raise EngineError(f"the engine's machine cannot be measured: {said}")
        return reading(json.loads(result.stdout))

    @contextmanager
    def following(self, seconds: float) -> Iterator[list[Spent]]:
        """What every container has used, at this interval in seconds, while the context lasts.

        The list grows meanwhile and is complete afterwards.
        """
        command = ["python3", "-I", _SCRIPT, "--follow", str(seconds)]
        stream = self._engine.exec_stream(self._container, command)
        found: list[Spent] = []

        def listen() -> None:
            for line in stream:
                with contextlib.suppress(ValueError, KeyError):  # the last may be cut short
                    said = json.loads(line)
                    found.append(Spent(float(said["time"]), said["cpu"]))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield found
        finally:
            stream.close()
            listener.join()


def weigh(engine: Engine, lab: str, image: str) -> int | None:
    """Bytes (PSS) that all containers of a lab use now, including the engine's shims.

    None if the engine does not allow that to be read.
    """
    found = [each.id for each in engine.containers(lab) if each.status == "running"]
    usage = _seen_from_here(found)
    try:
        if not usage:
            with metering(engine, image) as helper:
                usage = list(helper.read(found, memory=True).containers.values())
    except EngineError:
        return None
    return sum(each.pss + each.shim_pss for each in usage)


def _seen_from_here(containers: Collection[str]) -> list[Usage]:
    """Usage without a helper, which root on the engine's machine can read; else empty."""
    if os.geteuid() != 0:
        return []
    rows = reading(meter.measure(sorted(containers), memory=True)).containers.values()
    return list(rows) if all(row.pss and row.shim_pss for row in rows) else []


@contextmanager
def metering(engine: Engine, image: str) -> Iterator[Meter]:
    """A meter while the context lasts. ``image`` must have python3.

    It may read what all processes use (SYS_PTRACE, DAC_READ_SEARCH), which AppArmor's profile for
    containers would refuse, and nothing else.
    """
    name = f"{NO_LAB}-meter-{os.getpid()}"
    spec = ContainerSpec(
        name=name,
        image=image,
        labels={LABEL: NO_LAB, "labctl.kind": "helper"},
        command=("sleep", "infinity"),
        host_pid=True,
        cap_add=("SYS_PTRACE", "DAC_READ_SEARCH"),
        apparmor=False,
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
