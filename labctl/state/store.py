"""What labctl keeps of a lab on disk, and the lock that lets one labctl work on it at a time.

What *runs* is found by labels; this is only what cannot be asked of the engine: the topology
that was asked for, secrets, hand-outs, the journal of faults.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from labctl.documents.reader import dump, read_yaml, validate
from labctl.documents.source import Source
from labctl.errors import InputError, LabError
from labctl.host.files import open_private
from labctl.host.locks import claim
from labctl.model.topology import Choice, TopologyDoc
from labctl.state import paths
from labctl.state.private import private_directory

REPORTS, RUNS = "reports", "runs"
"""Folders that outlive their lab: what was measured and judged in it."""


@dataclass(frozen=True)
class Record:
    """A lab that was asked for: its name, its subnet and the whole topology document."""

    name: str
    subnet: IPv4Network
    topology: TopologyDoc
    source: Source
    """The document it comes from, for messages."""
    placed: Mapping[str, str] = field(default_factory=dict)
    """Service of which one instance is active → the node to which it was moved."""
    choice: Choice = field(default_factory=Choice)
    """What of the topology was chosen."""

    @property
    def directory(self) -> Path:
        """Where everything about the lab is kept."""
        return paths.lab_dir(self.name)


def _path(name: str) -> Path:
    return paths.lab_dir(name) / "lab.yml"


def _there(path: Path) -> bool:
    """Whether there is such a file; EngineError when we may not even look."""
    with paths.kept(path):
        return path.exists()


def names() -> list[str]:
    """Names of the labs that have a record."""
    labs = paths.home() / "labs"
    if not _there(labs):
        return []
    with paths.kept(labs):
        found = [path.name for path in labs.iterdir()]
    return sorted(name for name in found if paths.is_name(name) and _there(_path(name)))


def known(name: str) -> bool:
    """Whether labctl has ever worked on a lab of this name here: 'down' of it is no mistake."""
    return _there(paths.lab_dir(name)) or _there(_lock(name))


def no_lab(name: str) -> InputError:
    """There is none of this name, but perhaps others."""
    there = ", ".join(names()) or "none; 'labctl up' makes one"
    return InputError(f"there is no lab '{name}' (labs: {there})")


def load(name: str) -> Record:
    """The record of a lab; InputError when there is none."""
    path = _path(name)
    if not _there(path):
        raise no_lab(name)
    with paths.kept(path), path.open("rb"):
        pass  # what may not be read is no mistake in the document
    data = read_yaml(path)
    try:
        return Record(
            name=name,
            subnet=IPv4Network(data["subnet"]),
            topology=validate(data["topology"], TopologyDoc, Source(str(path), {})),
            source=Source(str(data["source"]), {}),
            placed=dict(data.get("placed", {})),
            choice=validate(data.get("choice", {}), Choice, Source(str(path), {})),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no record of a lab ({error}); remove it") from None


def find(name: str) -> Record | None:
    """The record of a lab, or None."""
    try:
        return load(name)
    except InputError:
        # Another labctl may have removed it since somebody listed it.
        if _there(_path(name)):
            raise
        return None


def choose(name: str | None) -> Record:
    """The lab that a command is about: the named one, or the only one there is."""
    return load(chosen(name))


def chosen(name: str | None) -> str:
    """Its name, of which there may be no record if it was said: by ``name`` or $LABCTL_LAB."""
    name = os.environ.get("LABCTL_LAB") or None if name is None else name
    if name is not None:
        return paths.check_name(name)
    there = names()
    if len(there) == 1:
        return there[0]
    if not there:
        raise InputError("there is no lab; 'labctl up three-controller' makes one")
    raise InputError(f"there are several labs ({', '.join(there)}): say which with --lab NAME")


def save(record: Record) -> None:
    """Write a record, atomically."""
    with paths.kept(record.directory):
        private_directory(record.directory)
    data = {
        "name": record.name,
        "subnet": str(record.subnet),
        "source": record.source.name,
        "placed": dict(record.placed),
        "choice": record.choice.model_dump(mode="json"),
        "topology": record.topology.model_dump(mode="json", exclude_none=True),
    }
    dump(_path(record.name), data, 0o600)


def hand_out(record: Record, files: Mapping[str, bytes]) -> None:
    """Write files for the person into the lab's directory, mode 0600."""
    with paths.kept(record.directory):
        for name, data in files.items():
            path = record.directory / name
            if path.exists() and path.read_bytes() == data:
                continue
            temporary = path.with_suffix(".new")
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            temporary.replace(path)


def forget(name: str) -> None:
    """Remove all that is kept of a lab, but its reports and runs.

    A symbolic link is removed and what it leads to is not: that is outside of the lab's folder.
    """
    directory = paths.lab_dir(name)
    with paths.kept(directory):
        if directory.is_symlink():
            directory.unlink()
            return
        if not directory.is_dir():
            return
        for path in directory.iterdir():
            is_folder = path.is_dir() and not path.is_symlink()
            if is_folder and path.name in (REPORTS, RUNS) and any(path.iterdir()):
                continue
            shutil.rmtree(path) if is_folder else path.unlink()
        if not any(directory.iterdir()):
            directory.rmdir()


def _lock(name: str) -> Path:
    return paths.home() / "locks" / f"{paths.check_name(name)}.lock"


def put_back(name: str, before: Record | None) -> None:
    """Restore a lab's record to what it was; None: there was none."""
    if before is not None:
        save(before)
    else:
        _path(name).unlink(missing_ok=True)


@contextmanager
def choosing_subnet() -> Iterator[None]:
    """Be the only labctl of this state folder that chooses a subnet and records it."""
    with claim(paths.home() / "locks" / ".subnets", wait=True):
        yield


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lab for one labctl; LabError that names the other one when it is held."""
    path = _lock(name)
    with paths.kept(path):
        private_directory(path.parent)
        opened = os.fdopen(open_private(path), "r+")
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise LabError(
                f"another labctl (process {holder}) is working on lab '{name}': wait until it ends"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
