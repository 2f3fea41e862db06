"""Runs workloads in the client node: ships and starts them, and collects their histories."""

from __future__ import annotations

import io
import json
import secrets as randomness
import threading
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.engine.port import Engine, FileEntry
from labctl.errors import EngineError, LabError
from labctl.planning.desired import Desired
from labctl.running.probe import client_container
from labctl.workloads.labs import Wanted, config
from labctl.workloads.model import HISTORY_LIMIT

ARCHIVE = "/run/labctl/workloads.pyz"
_HERE = ("labs", "load")
"""Modules that are not shipped."""
_MAIN = "import sys\nfrom labctl.workloads.client import main\nsys.exit(main(sys.argv[1:]))\n"
_START_LIMIT = 360.0
"""Seconds until all are prepared: a server boots slowly without KVM."""
_FINAL_LIMIT = 240.0
_SAME_CLOCK = 0.05
"""Seconds that a line takes from the client. Clocks that differ by less are the same clock."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Counts:
    """Number of operations of a workload so far, by their end."""

    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0


class Loads:
    """The workloads of one run. Times are in seconds.

    ``began`` is the start of the run on this process's monotonic clock, from which the times of
    events passed to ``write`` are counted. The workloads run until :meth:`stop`, for ``seconds`` at
    most, and end with this process.
    """

    def __init__(
        self,
        engine: Engine,
        desired: Desired,
        secrets: Mapping[str, str],
        wanted: Sequence[Wanted],
        write: Callable[[Event], None],
        *,
        began: float,
        seconds: float,
        seed: int = 0,
    ) -> None:
        self._engine, self._write, self._began = engine, write, began
        self._container = client_container(desired.lab)
        run = f"run_{randomness.token_hex(4)}"
        self._configs = [config(each, desired.lab, secrets, run, seed) for each in wanted]
        self._document = {"seconds": seconds, "limit": HISTORY_LIMIT, "workloads": self._configs}
        self._path = f"/run/labctl/{run}.json"
        self._uid = int(desired.instances[desired.lab.toolbox.name].spec.user.partition(":")[0])
        self._counts = {each.name: Counts() for each in wanted}
        self._prepared: dict[str, dict[str, Any]] = {}
        self._broken: list[str] = []
        self._lost = ""
        self._stopping = False
        self._offset = float("inf")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self.full = False
        """Whether the client stopped because the history reached its limit."""

    @property
    def names(self) -> Mapping[str, str]:
        """Workload → the name of its table, queue, key or things in the store."""
        return {each["name"]: each["id"] for each in self._configs}

    def start(self) -> Mapping[str, Mapping[str, Any]]:
        """Start all; returns what each reported when prepared (``member``: who serves it).

        LabError when one cannot be prepared: then none runs.
        """
        document = json.dumps(self._document).encode()
        self._engine.put_files(
            self._container,
            [
                FileEntry(ARCHIVE, archive(), 0o444),
                FileEntry(self._path, document, 0o400, self._uid, self._uid),
            ],
        )
        self._thread.start()
        self._ready.wait(_START_LIMIT)
        if self._broken:
            raise LabError(f"the workloads did not start: {'; '.join(self._broken)}")
        if not self._prepared:
            self._halt()
            why = self._lost or "the client reported nothing"
            raise LabError(f"the workloads did not start: {why}")
        return self._prepared

    def counts(self) -> Mapping[str, Counts]:
        """The counts so far, by workload."""
        return dict(self._counts)

    @property
    def running(self) -> bool:
        """Whether the client is running."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Start no more operations and wait for those under way.

        LabError when they do not end, or the client had ended before.
        """
        first, self._stopping = not self._stopping, True
        if not self._thread.is_alive():
            if not first or not self._prepared:
                return
            full = "its history reached its limit" if self.full else ""
            why = self._lost or full or "its time was over, or it was killed"
            raise LabError(f"the workloads ended before the run did: {why}")
        self._halt()
        slowest = max(each["timeout"] for each in self._configs)
        self._thread.join(4 * slowest + 30)
        if self._thread.is_alive():
            raise LabError("the workloads did not stop: the rest of their history is lost")

    def finals(self) -> Mapping[str, Any]:
        """The current contents: workload → place → values, or {"error": reason}."""
        try:
            result = self._run("final")
        except EngineError as error:
            return {each["name"]: {"error": str(error)} for each in self._configs}
        if result.code != 0:
            last = (result.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            return {each["name"]: {"error": last} for each in self._configs}
        found = json.loads(result.stdout)
        errors = {name: {"error": error} for name, error in found["errors"].items()}
        finals: dict[str, Any] = found["finals"] | errors
        return finals

    def clean(self) -> list[str]:
        """Remove what they have created in the lab; returns what could not be removed."""
        result = self._run("clean")
        return result.stderr.strip().splitlines() if result.code else []

    def _run(self, what: str) -> Any:
        command = ["python3", ARCHIVE, self._path, what]
        return self._engine.exec(self._container, command, timeout=_FINAL_LIMIT)

    def _halt(self) -> None:
        stop = self._path.removesuffix(".json") + ".stop"
        self._engine.put_files(self._container, [FileEntry(stop, b"")])

    def _collect(self) -> None:
        command = ["python3", ARCHIVE, self._path, "run"]
        try:
            for line in self._engine.exec_stream(self._container, command):
                try:
                    event: Event = json.loads(line)
                except ValueError:
                    continue  # cut short with the client
                self._take(event)
        except EngineError as error:
            self._lost = str(error)
        finally:
            self._ready.set()

    def _take(self, event: Event) -> None:
        kind = event["type"]
        if kind == "hello":
            self._offset = min(self._offset, time.monotonic() - event["t"])
        elif kind == "broken":
            self._broken.append(f"{event['w']}: {event['error']}")
        elif kind == "ready":
            self._prepared = event["value"]
            self._ready.set()
        elif kind == "full":
            self.full = True
        else:
            apart = 0.0 if abs(self._offset) < _SAME_CLOCK else self._offset
            event["t"] = round(event["t"] + apart - self._began, 6)
            self._count(event)
            self._write(event)

    def _count(self, event: Event) -> None:
        now = self._counts.get(event["w"])
        if now is None or event["type"] not in ("ok", "fail", "info"):
            return
        self._counts[event["w"]] = Counts(
            now.acknowledged + (event["type"] == "ok"),
            now.failed + (event["type"] == "fail"),
            now.unknown + (event["type"] == "info"),
        )


def archive() -> bytes:
    """The modules of the workloads as one zip file that Python can run."""
    here = Path(__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("__main__.py", _MAIN)
        packed.writestr("labctl/__init__.py", "")
        for path in sorted(here.rglob("*.py")):
            if path.stem not in _HERE:
                packed.write(path, f"labctl/workloads/{path.relative_to(here)}")
    return buffer.getvalue()
