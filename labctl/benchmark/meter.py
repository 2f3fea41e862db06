"""Reads CPU time and memory of the machine, of containers and of the engine from /proc.

Runs by itself, inside a container of the engine's process namespace: standard library only.
Standard input is a JSON list of container ids; ``--memory`` reads memory too. The answer is one
JSON document on standard output, times in CPU-seconds, memory in bytes (PSS):

``{"busy", "cpus", "containers": {id: {"cpu", "pss", "shim_cpu", "shim_pss"}},
"engine": {"cpu", "pss"}}``

``--follow SECONDS`` prints at this interval, until its input is closed, a line
``{"time": seconds since the epoch, "cpu": {id: CPU-seconds}}`` of all containers there are.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
DAEMONS = ("dockerd", "containerd", "podman", "docker-proxy")
SHIMS = ("containerd-shim", "conmon")
"""Prefixes of process names, which the kernel truncates to 15 characters."""
BUSY = ("user", "nice", "system", "idle", "iowait", "irq", "softirq")

_ID = re.compile(r"[0-9a-f]{64}")


def busy(stat: str) -> float:
    """CPU-seconds used on all CPUs, from the text of ``/proc/stat``.

    Without idle and I/O wait, and without time stolen by a hypervisor; guests count in ``user``.
    """
    fields = dict(zip(BUSY, stat.splitlines()[0].split()[1:], strict=False))
    return sum(int(v) for k, v in fields.items() if k not in ("idle", "iowait")) / TICKS


def spent(stat: str) -> float:
    """CPU-seconds of a process and its ended children, from the text of ``/proc/PID/stat``."""
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def pss(rollup: str) -> int:
    """Bytes of the ``Pss`` line of ``/proc/PID/smaps_rollup``; 0 when there is none."""
    found = re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def owner(cgroup: str, wanted: Iterable[str]) -> str | None:
    """The container, of those wanted, that a process is in, from ``/proc/PID/cgroup``'s text."""
    ids = set(_ID.findall(cgroup))
    return next((name for name in wanted if name in ids), None)


def usage(directory: Path) -> float:
    """CPU-seconds of a cgroup of either version; 0 if it has just been removed."""
    try:
        old = directory / "cpuacct.usage"
        if old.exists():
            return int(old.read_text()) / 1e9
        new = (directory / "cpu.stat").read_text()
        return int(dict(line.split() for line in new.splitlines())["usage_usec"]) / 1e6
    except (OSError, KeyError, ValueError):
        return 0.0


def cgroups(root: Path, wanted: Iterable[str] | None = None) -> Iterator[tuple[str, Path]]:
    """(Container, directory of its cgroup) of those wanted, or of all, below ``root``."""
    ids = None if wanted is None else set(wanted)
    base = next((root / n for n in ("cpuacct", "cpu,cpuacct") if (root / n).is_dir()), root)
    for top, directories, _ in os.walk(base):
        for name in list(directories):
            found = _ID.search(name)
            if found and (ids is None or found[0] in ids):
                directories.remove(name)
                yield found[0], Path(top) / name


def views(daemons: Iterable[str]) -> Iterator[Path]:
    """Where to find cgroups: as seen by one of the engine's daemons, or by the machine's init.

    This container sees at most its own, and may not look through every process.
    """
    for pid in [*daemons, "1"]:
        root = Path("/proc", pid, "root/sys/fs/cgroup")
        try:
            if any(root.iterdir()):
                yield root
        except OSError:
            continue


def measure(wanted: list[str], *, memory: bool) -> dict[str, Any]:
    """Measure everything now."""
    blank = {"cpu": 0.0, "pss": 0, "shim_cpu": 0.0, "shim_pss": 0}
    containers = {name: dict(blank) for name in wanted}
    engine = {"cpu": 0.0, "pss": 0}
    daemons = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if _add(process, containers, engine, memory=memory) is engine:
                daemons.append(process.name)
        except (OSError, ValueError, IndexError):
            continue  # it ended while it was looked at
    # A cgroup also counts processes that have ended; without one, the living ones must do.
    for root in islice(views(daemons), 1):
        for name, directory in cgroups(root, wanted):
            containers[name]["cpu"] = usage(directory) or containers[name]["cpu"]
    return {
        "busy": busy(Path("/proc/stat").read_text()),
        "cpus": os.cpu_count(),
        "containers": containers,
        "engine": engine,
    }


def _add(
    process: Path,
    containers: dict[str, dict[str, float]],
    engine: dict[str, float],
    *,
    memory: bool,
) -> dict[str, float] | None:
    """Add a process to the figures it belongs to; returns these, or None."""
    name = (process / "comm").read_text().strip()
    if name.startswith(SHIMS):
        command = (process / "cmdline").read_text()
        found = next((i for i in _ID.findall(command) if i in containers), None)
        place, prefix = (containers[found] if found else None), "shim_"
    elif name in DAEMONS:
        place, prefix = engine, ""
    else:
        found = owner((process / "cgroup").read_text(), containers)
        place, prefix = (containers[found] if found else None), ""
    if place is not None:
        place[f"{prefix}cpu"] += spent((process / "stat").read_text())
        if memory:
            place[f"{prefix}pss"] += pss((process / "smaps_rollup").read_text())
    return place


def follow(seconds: float) -> None:
    """Print what the containers have used, again and again, until the input is closed."""
    names = ((path.name, path / "comm") for path in Path("/proc").glob("[0-9]*"))
    daemons = [pid for pid, comm in names if _text(comm).strip() in DAEMONS]
    roots = list(islice(views(daemons), 1))
    while True:
        spent = {name: usage(path) for root in roots for name, path in cgroups(root)}
        sys.stdout.write(json.dumps({"time": time.time(), "cpu": spent}) + "\n")
        sys.stdout.flush()
        if select.select([0], [], [], seconds)[0]:
            return


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # it ended while it was looked at


if __name__ == "__main__":
    if "--follow" in sys.argv[1:]:
        follow(float(sys.argv[-1]))
        sys.exit()
    json.dump(measure(json.load(sys.stdin), memory="--memory" in sys.argv[1:]), sys.stdout)
