"""Image definitions in ``images/``: what an image is made of, and the tag derived from that.

Fast: no engine and no network. A tag contains a hash of everything in this repository that
determines the image's content, so an image whose tag exists need not be built.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from labctl.documents import shipped
from labctl.documents.images import BASE, DOCUMENT, TEMPLATE, release_doc, roles
from labctl.documents.reader import load, read_yaml
from labctl.documents.templates import render_text
from labctl.errors import InputError
from labctl.images import downloads
from labctl.model.image import ImageDoc


@dataclass(frozen=True)
class File:
    """A file of a build context."""

    data: bytes
    executable: bool


@dataclass(frozen=True)
class Definition:
    """An image of a release: its Dockerfile and the other files of its build context."""

    role: str
    release: str
    base: str
    """The role whose image it is based on, or BASE."""
    dockerfile: str
    files: Mapping[str, File]
    """Path in the build context → file, without downloads."""
    sources: tuple[downloads.Source, ...]

    @cached_property
    def tag(self) -> str:
        """``labctl/<role>:<release>-<hash>``."""
        content = {
            "dockerfile": self.dockerfile,
            "files": {
                name: [hashlib.sha256(file.data).hexdigest(), file.executable]
                for name, file in self.files.items()
            },
            "sources": [[source.filename, source.identity] for source in self.sources],
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"labctl/{self.role}:{self.release}-{digest[:12]}"

    def context(self, downloaded: Mapping[str, bytes]) -> bytes:
        """The build context as a tar; ``downloaded`` is the content of each source by filename."""
        files = {
            "Dockerfile": File(self.dockerfile.encode(), executable=False),
            **self.files,
            **{name: File(data, executable=True) for name, data in downloaded.items()},
        }
        return tar(files)


def tar(files: Mapping[str, File]) -> bytes:
    """A reproducible tar: the same for the same files, so the engine's build cache works."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, file in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(file.data)
            entry.mode = 0o755 if file.executable else 0o644
            archive.addfile(entry, io.BytesIO(file.data))
    return buffer.getvalue()


def base_definition(release: str, root: str | None = None) -> Definition:
    """The base image's definition; ``root`` is the root file system's image, if already known.

    Pulled or bootstrapped, it is the same release: callers use the tag without ``root``.
    """
    doc = release_doc(release)
    common = read_yaml(shipped.data_dir("images") / "users.yml")
    return _read(BASE, release, ImageDoc(), {"base": root or doc.base, "users": common})


def definition(role: str, release: str) -> Definition:
    """The definition of a role's image. InputError when there is no such role or it is invalid."""
    return _Definitions(release).role(role)


def definitions(release: str) -> dict[str, Definition]:
    """Role → definition of its image, for all roles."""
    found = _Definitions(release)
    return {role: found.role(role) for role in roles()}


class _Definitions:
    """The definitions of a release, each read only once."""

    def __init__(self, release: str) -> None:
        self._release = release
        self._read: dict[str, Definition] = {BASE: base_definition(release)}

    def role(self, role: str, users: tuple[str, ...] = ()) -> Definition:
        """A role's definition; ``users`` are the roles that are based on it, outermost first."""
        known = roles()
        if role not in known and users:
            place = shipped.data_dir("images") / users[-1] / DOCUMENT
            raise InputError(f"{place}: base: no image '{role}'; choose from {', '.join(known)}")
        if role not in known:
            raise InputError(f"unknown image role '{role}'; choose from {', '.join(known)}")
        if role in users:
            place = shipped.data_dir("images") / users[-1] / DOCUMENT
            raise InputError(f"{place}: base: '{role}' is itself built on this image")
        if role not in self._read:
            document = shipped.data_dir("images") / role / DOCUMENT
            doc = load(document, ImageDoc) if document.is_file() else ImageDoc()
            if doc.base != BASE:
                self.role(doc.base, (*users, role))
            context = {"base": self._read[doc.base].tag}
            self._read[role] = _read(role, self._release, doc, context)
        return self._read[role]


def _read(role: str, release: str, doc: ImageDoc, context: Mapping[str, object]) -> Definition:
    directory = shipped.data_dir("images") / role
    sources = tuple(downloads.source(fetch) for fetch in doc.fetch)
    fetched = {source.doc.name: source.filename for source in sources}
    template = (directory / TEMPLATE).read_text(encoding="utf-8")
    name = f"images/{role}/{TEMPLATE}"
    dockerfile = render_text(template, name, {**context, "release": release, "fetched": fetched})
    if doc.users:
        first, _, rest = dockerfile.partition(f"FROM {context['base']}\n")
        dockerfile = f"{first}FROM {context['base']}\n{_useradd(doc.users)}{rest}"
    return Definition(role, release, doc.base, dockerfile, _files(directory), sources)


def _useradd(users: Mapping[str, int]) -> str:
    """A Dockerfile step that creates users in the same way as the base image."""
    made = (
        f"groupadd --system --gid {number} {name} && useradd --system --uid {number} "
        f"--gid {number} --home-dir /var/lib/{name} --no-create-home --shell /usr/sbin/nologin "
        f"{name}"
        for name, number in users.items()
    )
    return f"RUN {' && '.join(made)}\n"


def _files(directory: Path) -> dict[str, File]:
    """The files beside the template by path, without Python's caches."""
    return {
        path.relative_to(directory).as_posix(): File(
            path.read_bytes(), executable=bool(path.stat().st_mode & 0o100)
        )
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        and path.name not in (TEMPLATE, DOCUMENT)
        and "__pycache__" not in path.parts
    }
