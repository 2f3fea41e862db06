"""What labctl keeps on disk about a lab, and the lock that lets one labctl work on it at a time.

What is *running* is found by labels; this is only what the engine cannot tell: the requested
topology, secrets, files for the user, the journal of faults.
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
from labctl.state.private import private_directory, private_file

_FILLING = "filling"
REPORTS, RUNS = "reports", "runs"
"""Folders that outlive their lab: results of measurements and of scenario runs."""


@dataclass(frozen=True)
class Record:
    """A lab as requested: its name, its subnet and the whole topology document."""

    name: str
    subnet: IPv4Network
    topology: TopologyDoc
    source: Source
    """The document that it comes from, for messages."""
    placed: Mapping[str, str] = field(default_factory=dict)
    """Active/passive service → the node to which it was moved."""
    choice: Choice = field(default_factory=Choice)
    """Which part of the topology was chosen."""

    @property
    def directory(self) -> Path:
        """The lab's directory (:func:`labctl.state.paths.lab_dir`)."""
        return paths.lab_dir(self.name)


def _path(name: str) -> Path:
    return paths.lab_dir(name) / "lab.yml"


def _exists(path: Path) -> bool:
    """Whether the file exists; EngineError when we have no permission to find out."""
    with paths.accessing(path):
        return path.exists()


def names() -> list[str]:
    """Names of the labs that have a record."""
    labs = paths.home() / "labs"
    if not _exists(labs):
        return []
    with paths.accessing(labs):
        found = [path.name for path in labs.iterdir()]
    return sorted(name for name in found if paths.is_name(name) and _exists(_path(name)))


def known(name: str) -> bool:
    """Whether labctl has ever worked on a lab of this name here, so 'down' of it is no error."""
    return _exists(paths.lab_dir(name)) or _exists(_lock(name))


def no_such_lab(name: str) -> InputError:
    """The error for a lab that does not exist; it lists those that do."""
    existing = ", ".join(names()) or "none; 'labctl up' makes one"
    return InputError(f"there is no lab '{name}' (labs: {existing})")


def load(name: str) -> Record:
    """The record of a lab; InputError when there is none."""
    path = _path(name)
    if not _exists(path):
        raise no_such_lab(name)
    try:
        with path.open("rb"):
            pass  # a lack of permission is not an error in the document
    except FileNotFoundError:
        raise no_such_lab(name) from None  # another labctl has just removed it
    except OSError as error:
        raise paths.inaccessible(path, error) from None
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
        raise InputError(f"{path}: is not a record of a lab ({error}); remove it") from None


def find(name: str) -> Record | None:
    """The record of a lab, or None."""
    try:
        return load(name)
    except InputError:
        # Another labctl may have removed it after it was listed.
        if _exists(_path(name)):
            raise
        return None


def choose(name: str | None) -> Record:
    """The record of the lab that a command is for; see :func:`chosen`."""
    return load(chosen(name))


def chosen(name: str | None) -> str:
    """The name of the lab that a command is for: ``name``, else $LABCTL_LAB, else the only lab.

    A name that was given may have no record. InputError when none was given and there is not
    exactly one lab.
    """
    name = os.environ.get("LABCTL_LAB") or None if name is None else name
    if name is not None:
        return paths.check_name(name)
    existing = names()
    if len(existing) == 1:
        return existing[0]
    if not existing:
        raise InputError("there is no lab; 'labctl up three-controller' makes one")
    raise InputError(f"there are several labs ({', '.join(existing)}): say which with --lab NAME")


def save(record: Record) -> None:
    """Write a record, atomically."""
    with paths.accessing(record.directory):
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


def write_user_files(record: Record, files: Mapping[str, bytes]) -> None:
    """Write files for the user (name → content) into the lab's directory, mode 0600."""
    with paths.accessing(record.directory):
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
    """Remove a lab's state on disk, except its reports and runs.

    Of a symbolic link only the link is removed: its target is outside of the lab's directory.
    """
    directory = paths.lab_dir(name)
    with paths.accessing(directory):
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


def half_filled(name: str) -> str | None:
    """The checkpoint from which a lab was being filled when labctl was interrupted, if it was."""
    path = paths.lab_dir(name) / _FILLING
    return path.read_text(encoding="utf-8") if _exists(path) else None


@contextmanager
def filling(name: str, checkpoint: str) -> Iterator[None]:
    """Keep on record, until the block has ended well, that a lab's data are not whole."""
    path = paths.lab_dir(name) / _FILLING
    private_file(path, checkpoint)
    yield
    path.unlink()


def _lock(name: str) -> Path:
    return paths.home() / "locks" / f"{paths.check_name(name)}.lock"


def restore(name: str, before: Record | None) -> None:
    """Restore a lab's earlier record; None: there was none, so remove it."""
    if before is not None:
        save(before)
    else:
        _path(name).unlink(missing_ok=True)


@contextmanager
def choosing_subnet() -> Iterator[None]:
    """Let no other labctl with this state directory choose a subnet during the block."""
    with claim(paths.home() / "locks" / ".subnets", wait=True):
        yield


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold a lab's lock during the block; LabError that names the process that holds it."""
    path = _lock(name)
    with paths.accessing(path):
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
