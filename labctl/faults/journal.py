"""The write-ahead journal of a lab's faults: what is recorded here is undone, whoever dies.

One file for each fault, ``<lab's directory>/faults/<id>.json``, on disk before the fault is made
and removed when it is healed and proved gone. A file has a version and a checksum, to tell a
damaged file from one that a newer labctl wrote; neither prevents work on the other faults.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from labctl.errors import EngineError
from labctl.faults import kinds
from labctl.faults.model import Fault
from labctl.host.locks import claim
from labctl.state import paths

VERSION = 1
"""Version of the file format. A file without one predates versions, and is read."""
State = Literal["injecting", "active", "healing"]
"""Under the lock of :func:`exclusive`, any but ``active`` was left by a labctl that was killed."""

_NO_FAULT = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Entry:
    """A fault, how far it has come, and what it acted on."""

    fault: Fault
    state: State
    ids: Mapping[str, str] = field(default_factory=dict)
    """Container → its id when the fault was made, to recognise a container that was recreated."""

    def lapsed(self, now: float) -> bool:
        """Whether to undo it: its lease is over, or it was left half made or half undone.

        ``now`` is in seconds since the epoch.
        """
        return self.state != "active" or self.fault.due <= now


@dataclass(frozen=True)
class Unread:
    """A file in the journal that is not a fault that this labctl can undo."""

    path: Path
    said: str
    """One sentence: what is wrong, and what to do."""
    damaged: bool
    """False: another labctl may be able to read it, so it is left alone."""


def directory(lab: str) -> Path:
    """The directory of a lab's journal."""
    return paths.lab_dir(lab) / "faults"


def write(entry: Entry) -> None:
    """Record a fault durably: the file and its directory entry are on disk when this returns."""
    folder = directory(entry.fault.lab)
    target = folder / f"{entry.fault.id}.json"
    fresh = target.with_suffix(".new")
    content = {"state": entry.state, "ids": dict(entry.ids), "fault": entry.fault.to_json()}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"version": VERSION, "sum": _sum(content), **content}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(target)
        _sync(folder)
    except OSError as error:
        raise EngineError(
            f"cannot journal the fault in {target}, so it was not made: {error.strerror}"
        ) from None


def read(lab: str) -> tuple[list[Entry], list[Unread]]:
    """All journalled faults, oldest first, and the files that cannot be used. Never fails."""
    found: list[Entry] = []
    unread: list[Unread] = []
    for path in sorted(directory(lab).glob("*.json")):
        with suppress(FileNotFoundError):  # healed by another process since the listing
            each = _read(lab, path)
            found.append(each) if isinstance(each, Entry) else unread.append(each)
    return sorted(found, key=lambda entry: entry.fault.begun), unread


def entries(lab: str) -> list[Entry]:
    """All journalled faults, oldest first."""
    return read(lab)[0]


def set_aside(lab: str) -> list[str]:
    """Rename damaged files to ``*.damaged``; a sentence for each, and for files left alone.

    Call it under :func:`exclusive`.
    """
    said = []
    for unread in read(lab)[1]:
        kept = unread.path.with_name(f"{unread.path.name}.damaged")
        if not unread.damaged:
            said.append(unread.said)
            continue
        try:
            unread.path.rename(kept)
        except OSError as error:
            said.append(f"{unread.path} is damaged and cannot be renamed: {error.strerror}")
            continue
        said.append(
            f"{unread.path} was damaged and is kept as {kept.name}: which fault it was is "
            "unknown; `labctl heal` removes cuts and delays, `labctl up` starts what is not "
            "running, and `labctl down` removes everything"
        )
    return said


def remove(fault: Fault) -> None:
    """Remove a healed fault; no-op if absent."""
    (directory(fault.lab) / f"{fault.id}.json").unlink(missing_ok=True)


def forget(lab: str) -> None:
    """Remove all of a lab's faults, readable or not: for ``down``, when nothing is left to heal."""
    for path in directory(lab).glob("*.json"):
        with suppress(OSError):  # what is left is removed with the lab's folder
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def exclusive(lab: str, *, wait: bool = True) -> Iterator[bool]:
    """Become the only process that makes or heals this lab's faults; False if another one is.

    The kernel releases the lock when its holder dies, so an entry that is still ``injecting``
    under this lock was left by a process that was killed.
    """
    with claim(directory(lab) / "lock", wait=wait) as held:
        yield held


def _read(lab: str, path: Path) -> Entry | Unread:
    """Read a file of the journal. FileNotFoundError when it is gone."""
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
        version = data.get("version", 0)
        if isinstance(version, int) and version > VERSION:
            return _other(path, f"was written by a newer labctl (version {version})")
        content = {key: data[key] for key in ("state", "ids", "fault") if key in data}
        whole = version == 0 or (version == VERSION and data["sum"] == _sum(content))
        if whole and data["fault"]["kind"] not in kinds.registered():
            return _other(path, f"is a fault of an unknown kind ({data['fault']['kind']})")
        fault = Fault.from_json(data["fault"])
        whole = whole and data["state"] in get_args(State)
        if whole and (fault.lab, f"{fault.id}.json") == (lab, path.name):
            return Entry(fault, cast(State, data["state"]), data.get("ids", {}))
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        pass
    except OSError as error:
        said = f"{path} cannot be read ({error.strerror}): make it readable, or remove it"
        return Unread(path, said, damaged=False)
    except _NO_FAULT:
        pass
    return Unread(path, f"{path} is damaged: `labctl heal` sets it aside", damaged=True)


def _other(path: Path, what: str) -> Unread:
    said = f"{path} {what} and is left alone: heal it with that labctl, or run `labctl down`"
    return Unread(path, said, damaged=False)


def _sum(content: Mapping[str, Any]) -> str:
    """The checksum of a file's content, in the form in which it is read back."""
    text = json.dumps(json.loads(json.dumps(content)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
