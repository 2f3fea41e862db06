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


def names() -> list[str]:
    """Names of the labs that have a record."""
    return sorted(path.parent.name for path in (paths.home() / "labs").glob("*/lab.yml"))


def load(name: str) -> Record:
    """The record of a lab; InputError when there is none."""
    path = _path(name)
    if not path.exists():
        known = ", ".join(names()) or "none; 'labctl up' makes one"
        raise InputError(f"there is no lab '{name}' (labs: {known})")
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
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no record of a lab ({error}); remove it") from None


def find(name: str) -> Record | None:
    """The record of a lab, or None."""
    return load(name) if _path(name).exists() else None


def choose(name: str | None) -> Record:
    """The lab that a command is about: the named one, or the only one there is."""
    name = name or os.environ.get("LABCTL_LAB")
    if name:
        return load(name)
    known = names()
    if len(known) == 1:
        return load(known[0])
    if not known:
        raise InputError("there is no lab; 'labctl up three-controller' makes one")
    raise InputError(f"there are several labs ({', '.join(known)}): say which with --lab NAME")


def save(record: Record) -> None:
    """Write a record, atomically."""
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
    """Remove all that is kept of a lab, but its reports and runs."""
    directory = paths.lab_dir(name)
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if path.name in (REPORTS, RUNS) and any(path.iterdir()):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not any(directory.iterdir()):
        directory.rmdir()


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
    directory = private_directory(paths.home() / "locks")
    with os.fdopen(open_private(directory / f"{name}.lock"), "r+") as file:
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
