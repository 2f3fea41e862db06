"""The write-ahead journal of a lab's faults: what is written here is undone, whoever dies.

One file for each fault, ``<lab's directory>/faults/<id>.json``, on disk before the fault is
made and removed when it is healed and proved gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labctl.errors import EngineError, LabError
from labctl.faults.model import Fault
from labctl.host.locks import claim
from labctl.state import paths

State = Literal["injecting", "active"]


@dataclass(frozen=True)
class Entry:
    """A fault and how far it has come."""

    fault: Fault
    state: State


def directory(lab: str) -> Path:
    """Where a lab's faults are journalled."""
    return paths.lab_dir(lab) / "faults"


def write(fault: Fault, state: State) -> None:
    """Record a fault durably: the file and its name are on disk when this returns."""
    folder = directory(fault.lab)
    target = folder / f"{fault.id}.json"
    fresh = target.with_suffix(".new")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"state": state, "fault": fault.to_json()}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(target)
        _sync(folder)
    except OSError as error:
        raise EngineError(
            f"cannot journal the fault in {target}, so it was not made: {error.strerror}"
        ) from None


def entries(lab: str) -> list[Entry]:
    """Everything journalled, oldest first. LabError when a file cannot be understood."""
    found = []
    for path in sorted(directory(lab).glob("*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found.append(Entry(Fault.from_json(data["fault"]), data["state"]))
        except FileNotFoundError:
            continue  # healed by another process since the directory was listed
        except (KeyError, TypeError, ValueError):
            raise LabError(
                f"{path} is no journalled fault; remove it, then `labctl up` repairs the lab"
            ) from None
    return sorted(found, key=lambda entry: entry.fault.begun)


def remove(fault: Fault) -> None:
    """Forget a fault that is healed; absent is well."""
    (directory(fault.lab) / f"{fault.id}.json").unlink(missing_ok=True)


def forget(lab: str) -> None:
    """Forget all of a lab's faults: for ``down``, when nothing is left to heal."""
    for path in directory(lab).glob("*.json"):
        path.unlink(missing_ok=True)


@contextmanager
def exclusive(lab: str, *, wait: bool = True) -> Iterator[bool]:
    """Be the only process that makes or heals this lab's faults; False if another one is.

    The kernel lets go of the lock when its holder dies, so an entry that is still ``injecting``
    under this lock was left by a process that was killed.
    """
    with claim(directory(lab) / "lock", wait=wait) as held:
        yield held


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
