"""Checkpoints on disk: archives, a manifest, and the SHA-256 of each.

A checkpoint is a directory: written whole under another name, and renamed when it is complete. It
holds data with secrets, so only its owner can read it. ``sha256sum -c SHA256SUMS`` checks it too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from labctl.errors import InputError, LabError
from labctl.host.files import open_private
from labctl.host.locks import claim
from labctl.model.checkpoint import FORMAT, Manifest, Part
from labctl.state import paths
from labctl.state.private import private_directory

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
_PIECE = 1 << 20
_MOST = 16 << 20
"""Bytes of a manifest; more is none."""


def names() -> list[str]:
    """The names of all checkpoints, whole or not."""
    root = paths.home() / "checkpoints"
    with paths.accessing(root):
        found = [path.name for path in root.iterdir()] if root.is_dir() else []
    return sorted(name for name in found if paths.is_name(name))


def find(name: str) -> Path:
    """The directory of a checkpoint; InputError, which lists those that exist, without one."""
    path = paths.checkpoint_dir(name)
    with paths.accessing(path):
        if path.is_dir():
            return path
    existing = ", ".join(names()) or "none; 'labctl checkpoint save' makes one"
    raise InputError(f"there is no checkpoint '{name}' (checkpoints: {existing})")


def load(name: str) -> Manifest:
    """The manifest of a checkpoint. InputError when it is not what was written."""
    path = find(name)
    data = _read(path / MANIFEST, name)
    sums = _read(path / SUMS, name).decode(errors="replace").splitlines(keepends=True)
    if sums[:1] != [_line(hashlib.sha256(data).hexdigest(), MANIFEST)]:
        raise _damaged(name, MANIFEST, "altered or cut short")
    try:
        return Manifest.model_validate_json(data)
    except ValidationError:
        raise InputError(
            f"checkpoint '{name}' is of another version of labctl, not of format {FORMAT}: "
            f"remove it with 'labctl checkpoint remove {name}'"
        ) from None


def verify(name: str, manifest: Manifest) -> None:
    """InputError unless every archive of a checkpoint is what was written."""
    path = find(name)
    digests = [_line(hashlib.sha256(_read(path / MANIFEST, name)).hexdigest(), MANIFEST)]
    for part in manifest.parts:
        file = path / part.file
        size, digest = _measure(file, name)
        if size != part.size:
            how = "cut short" if size < part.size else "altered"
            raise _damaged(name, part.file, f"{how}: {size} of {part.size} bytes")
        digests.append(_line(digest, part.file))
    written = _read(path / SUMS, name).decode(errors="replace")
    for line in digests:
        if line not in written.splitlines(keepends=True):
            raise _damaged(name, line.split()[1], "altered")
    if written != "".join(digests):
        raise _damaged(name, SUMS, "altered")


def digest(name: str) -> str:
    """A short digest of a whole checkpoint."""
    return hashlib.sha256(_read(find(name) / SUMS, name)).hexdigest()[:16]


def pieces(name: str, part: Part) -> Iterator[bytes]:
    """An archive of a checkpoint, piece by piece."""
    path = find(name) / part.file
    with paths.accessing(path), path.open("rb") as file:
        yield from iter(lambda: file.read(_PIECE), b"")


def remove(name: str) -> None:
    """Remove a checkpoint; what an interrupted removal leaves is no checkpoint."""
    path = find(name)
    gone = path.with_name(f".{name}.gone")
    with paths.accessing(path):
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        shutil.rmtree(gone)


class Draft:
    """A checkpoint that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sums: list[str] = []

    def add(self, name: str, volumes: tuple[str, ...], pieces: Iterable[bytes]) -> Part:
        """Write an archive as it arrives."""
        part = Part(name=name, volumes=volumes, size=0)
        digest, size = hashlib.sha256(), 0
        with _created(self._path / part.file) as file:
            for piece in pieces:
                digest.update(piece)
                size += file.write(piece)
        self._sums.append(_line(digest.hexdigest(), part.file))
        return part.model_copy(update={"size": size})

    def complete(self, manifest: Manifest) -> None:
        """Write what makes it a checkpoint; its parts are those that were added, in that order."""
        data = manifest.model_dump_json(indent=1).encode()
        first = _line(hashlib.sha256(data).hexdigest(), MANIFEST)
        for name, content in ((MANIFEST, data), (SUMS, "".join([first, *self._sums]).encode())):
            with _created(self._path / name) as file:
                file.write(content)


@contextmanager
def drafting(name: str) -> Iterator[Draft]:
    """Write a new checkpoint during the block, at the end of which it is there, whole.

    InputError when there is one of that name; hold :func:`claimed` meanwhile.
    """
    unused(name)
    path = paths.checkpoint_dir(name)
    temporary = path.with_name(f".{name}.new")
    with paths.accessing(path):
        shutil.rmtree(temporary, ignore_errors=True)
        private_directory(path.parent)
        temporary.mkdir(mode=0o700)
    try:
        yield Draft(temporary)
        with paths.accessing(path):
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unused(name: str) -> None:
    """InputError when there is a checkpoint of that name."""
    if paths.checkpoint_dir(name).exists():
        raise InputError(
            f"there is a checkpoint '{name}': choose another name, or run "
            f"'labctl checkpoint remove {name}' first"
        )


@contextmanager
def claimed(name: str) -> Iterator[None]:
    """Let no other labctl write, read or remove a checkpoint during the block."""
    paths.check_name(name, "checkpoint")
    lock = paths.home() / "locks" / f".checkpoint-{name}"
    with paths.accessing(lock), claim(lock, wait=False) as held:
        if not held:
            raise LabError(f"another labctl is using checkpoint '{name}': wait until it ends")
        yield


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    with paths.accessing(path), os.fdopen(open_private(path, os.O_EXCL), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _line(digest: str, file: str) -> str:
    return f"{digest}  {file}\n"


def _read(path: Path, name: str) -> bytes:
    with paths.accessing(path):
        try:
            with path.open("rb") as file:
                return file.read(_MOST)
        except FileNotFoundError:
            raise _damaged(name, path.name, "missing") from None


def _measure(path: Path, name: str) -> tuple[int, str]:
    """Size and SHA-256 of an archive."""
    found, size = hashlib.sha256(), 0
    with paths.accessing(path):
        try:
            with path.open("rb") as file:
                for piece in iter(lambda: file.read(_PIECE), b""):
                    found.update(piece)
                    size += len(piece)
        except FileNotFoundError:
            raise _damaged(name, path.name, "missing") from None
    return size, found.hexdigest()


def _damaged(name: str, file: str, how: str) -> InputError:
    return InputError(
        f"checkpoint '{name}' is damaged ({file} is {how}): nothing was made of it; remove it with "
        f"'labctl checkpoint remove {name}' and save it again"
    )
