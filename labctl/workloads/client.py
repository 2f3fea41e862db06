"""The program in the client node: several workloads in one process.

``client.py CONFIG.json run`` prepares all workloads and reports that (``ready``, or ``broken`` with
the reason), then prints their histories until its time is over, its input ends, or a file with the
configuration's name and the suffix ``.stop`` appears. ``client.py CONFIG.json final`` prints the
contents at the end as one JSON mapping: workload → place → values, with the reasons for those that
cannot be read under ``errors``. ``client.py CONFIG.json clean`` removes what the run has created.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from labctl.workloads.loop import Recorder, run
from labctl.workloads.model import Config, Workload, said
from labctl.workloads.registry import KINDS

_HELLOS = 5
_FINALS_TRIES = 3


def load(config: Config) -> Workload:
    """The workload of a configuration."""
    entry = KINDS[config["kind"]][config["as"]]
    workload: Workload = entry.make(config)
    return workload


def main(arguments: list[str]) -> int:
    """Run one of the three commands; returns the exit code."""
    path = Path(arguments[0])
    document = json.loads(path.read_text())
    configs: Mapping[str, Config] = {each["name"]: each for each in document["workloads"]}
    if arguments[1] == "run":
        over = threading.Event()
        threading.Thread(target=_watch_input, args=(over.set,), daemon=True).start()
        marked = path.with_suffix(".stop").exists
        return begin(document, configs, sys.stdout, lambda: over.is_set() or marked())
    workloads = {name: load(config) for name, config in configs.items()}
    if arguments[1] == "final":
        found = _all(workloads, read)
        sys.stdout.write(json.dumps(_sorted(found)) + "\n")
        return 0
    broken = [error for error in _all(workloads, lambda each: each.clean()).values() if error]
    sys.stderr.write("".join(f"{error}\n" for error in broken))
    return 1 if broken else 0


def begin(
    document: Config, configs: Mapping[str, Config], out: TextIO, stop: Callable[[], bool]
) -> int:
    """Prepare and run; returns the exit code."""
    record = Recorder(out, document["limit"])
    for _ in range(_HELLOS):
        # From when these arrive labctl learns the offset of this clock from its own.
        record(w="client", type="hello")
        time.sleep(0.01)
    workloads = {name: load(config) for name, config in configs.items()}
    prepared = _all(workloads, lambda each: dict(each.prepare()))
    for name, answer in prepared.items():
        if isinstance(answer, Exception):
            record(w=name, type="broken", error=said(answer))
    if any(isinstance(answer, Exception) for answer in prepared.values()):
        return 1
    record(w="client", type="ready", value=prepared)
    pairs = {name: (configs[name], workload) for name, workload in workloads.items()}
    run(pairs, record, stop, document["seconds"])
    return 0


def read(workload: Workload) -> Mapping[str, Any]:
    """The contents at the end; tried several times, as the lab has only just been healed."""
    for _ in range(_FINALS_TRIES - 1):
        try:
            return workload.final()
        except Exception:
            time.sleep(1)
    return workload.final()


def _all(workloads: Mapping[str, Workload], do: Callable[[Workload], Any]) -> dict[str, Any]:
    """Call ``do`` with all workloads in parallel: name → answer or exception."""

    def attempt(workload: Workload) -> Any:
        try:
            return do(workload)
        except Exception as error:
            return error

    with ThreadPoolExecutor(max(1, len(workloads))) as pool:
        return dict(zip(workloads, pool.map(attempt, workloads.values()), strict=True))


def _sorted(found: Mapping[str, Any]) -> dict[str, Any]:
    """Separate answers from errors."""
    errors = {n: said(a) for n, a in found.items() if isinstance(a, Exception)}
    finals = {n: a for n, a in found.items() if n not in errors}
    return {"finals": finals, "errors": errors}


def _watch_input(over: Callable[[], None]) -> None:
    """Stop when the input ends: whoever started the program is gone."""
    while sys.stdin.buffer.read(1):
        pass
    over()
