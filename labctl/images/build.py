"""Role images: find the missing ones, build them, remove old ones."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TypedDict

from labctl.documents.images import BASE, roles
from labctl.engine.port import ContainerSpec, Engine, Image
from labctl.errors import EngineError
from labctl.host.locks import claim
from labctl.host.parallel import threads
from labctl.images.base import ROOT, ensure_base, root_tag
from labctl.images.definitions import (
    Definition,
    File,
    base_definition,
    definition,
    definitions,
    tar,
)
from labctl.state import paths
from labctl.state.private import private_directory

__all__ = [
    "build",
    "build_all",
    "current_tags",
    "figures",
    "image_tags",
    "missing",
    "package_dates",
    "prune",
    "refresh",
    "roles",
]

ROLE_LABEL = "labctl.image"
RELEASE_LABEL = "labctl.release"
VERSIONS_LABEL = "labctl.versions"
"""JSON: package → version, for the packages that the Dockerfile names."""

SECONDS_LABEL = "labctl.seconds"
"""How long the build took, without the images that it is based on."""

_VERSIONS_FILE = "/usr/share/labctl/versions"
_PARALLEL_BUILDS = 2

_ROLE_LOCKS: defaultdict[str, Lock] = defaultdict(Lock)
"""By role, so that two images with the same base do not both build it."""

Report = Callable[[str], None]


class Figures(TypedDict):
    """An image's size in bytes with (``size``) and without (``own``) its base, and build time.

    ``seconds`` is None for an image without that label.
    """

    size: int
    own: int
    seconds: float | None


def _silent(_line: str) -> None:
    """Report nothing."""


def image_tags(release: str) -> Mapping[str, str]:
    """Role → tag of every image of a release. Asks no engine; takes a few milliseconds."""
    return {role: found.tag for role, found in definitions(release).items()}


def missing(engine: Engine, release: str, wanted: Iterable[str] | None = None) -> list[str]:
    """Those of the wanted roles (by default all) whose image the engine does not have."""
    tags = image_tags(release)
    return [role for role in (wanted or tags) if engine.image(tags[role]) is None]


def build(engine: Engine, release: str, role: str, report: Report = _silent) -> str:
    """Build a role's image unless it exists; returns the tag. ``report`` gets a line at a time.

    EngineError when a step of the build fails, InputError when there is no such role.
    """
    wanted = definition(role, release)
    if engine.image(wanted.tag) is not None:
        return wanted.tag
    with _ROLE_LOCKS[role], _exclusively(role, report):
        if engine.image(wanted.tag) is None:
            _build(engine, wanted, report)
    return wanted.tag


def _ensure_base(engine: Engine, release: str, report: Report) -> None:
    with _ROLE_LOCKS[BASE], _exclusively(BASE, report):
        ensure_base(engine, release, report)


@contextmanager
def _exclusively(role: str, report: Report) -> Iterator[None]:
    """Let no other labctl of this user build the role's image during the block.

    Otherwise several labs that are brought up at once would all build the same image, slowly.
    """
    path = private_directory(paths.home() / "locks" / "images") / f"{role}.lock"
    with claim(path, wait=False) as free:
        if free:
            yield
            return
    report(f"another labctl is building image {role}: waiting for it")
    with claim(path, wait=True):
        yield


def refresh(
    engine: Engine, release: str, wanted: Iterable[str] | None = None, report: Report = _silent
) -> list[str]:
    """Rebuild images from current packages, after those that they are based on.

    For the wanted roles, by default all. An image is replaced only when the new one is complete.
    Existing labs keep the images that they were created from. Returns the roles built.
    """
    known = definitions(release)
    order: list[str] = []
    for role in wanted or known:
        order += [each for each in reversed(list(_chain(known, role))) if each not in order]
    with _ROLE_LOCKS[BASE], _exclusively(BASE, report):
        ensure_base(engine, release, report, fresh=True)
    for role in order:
        with _ROLE_LOCKS[role], _exclusively(role, report):
            _build(engine, known[role], _prefixed(role, report), fresh=True)
    return order


def package_dates(engine: Engine, release: str) -> dict[str, datetime]:
    """Role → date of the oldest packages in its image.

    That is when the image, or the oldest of those that it is based on, was built. Roles whose
    image is not built are left out.
    """
    known = definitions(release)
    base = engine.image(base_definition(release).tag)
    made = {role: engine.image(found.tag) for role, found in known.items()}
    return {
        role: min(each.created for each in (base, *map(made.get, _chain(known, role))) if each)
        for role, image in made.items()
        if image is not None
    }


def _chain(known: Mapping[str, Definition], role: str) -> Iterator[str]:
    """A role, and the roles that its image is based on."""
    while role != BASE:
        yield role
        role = known[role].base


def _build(engine: Engine, wanted: Definition, report: Report, *, fresh: bool = False) -> None:
    """Build an image, after the one that it is based on."""
    if wanted.base == BASE:
        _ensure_base(engine, wanted.release, report)
    else:
        build(engine, wanted.release, wanted.base, report)
    downloaded = {source.filename: source.read(report) for source in wanted.sources}
    labels = {ROLE_LABEL: wanted.role, RELEASE_LABEL: wanted.release}
    unlabelled = f"{wanted.tag}-unlabelled"
    began = time.monotonic()
    for line in engine.build(wanted.context(downloaded), unlabelled, labels, fresh=fresh):
        report(line)
    labels[SECONDS_LABEL] = f"{time.monotonic() - began:.1f}"
    # The versions are known only once the image is built, so a second build without steps adds
    # them as a label. The tag comes last, so an interrupted build counts as missing.
    labels[VERSIONS_LABEL] = json.dumps(_versions(engine, unlabelled), sort_keys=True)
    relabel = tar({"Dockerfile": File(f"FROM {unlabelled}\n".encode(), executable=False)})
    for line in engine.build(relabel, wanted.tag, labels):
        report(line)
    engine.remove_image(unlabelled)


def figures(engine: Engine, release: str, wanted: Iterable[str]) -> dict[str, Figures]:
    """Role → sizes and build time of its image; roles whose image is not built are left out."""
    known = definitions(release)
    found: dict[str, Figures] = {}
    for role in wanted:
        image = engine.image(known[role].tag)
        base = known[role].base
        under = base_definition(release).tag if base == BASE else known[base].tag
        beneath = engine.image(under)
        if image is not None:
            seconds = image.labels.get(SECONDS_LABEL)
            found[role] = Figures(
                size=image.size,
                own=image.size - (beneath.size if beneath else 0),
                seconds=float(seconds) if seconds else None,
            )
    return found


def build_all(
    engine: Engine,
    release: str,
    wanted: Iterable[str] | None = None,
    report: Report = _silent,
) -> list[str]:
    """Build the missing images of the wanted roles (by default all); returns the roles built."""
    to_build = missing(engine, release, wanted)
    if to_build:
        _ensure_base(engine, release, report)
    with threads(_PARALLEL_BUILDS) as pool:
        for future in [
            pool.submit(build, engine, release, role, _prefixed(role, report)) for role in to_build
        ]:
            future.result()
    return to_build


def current_tags(release: str) -> set[str]:
    """All tags that a release needs, including the base's: those that pruning keeps."""
    return {*image_tags(release).values(), base_definition(release).tag, root_tag(release)}


def prune(engine: Engine, keep: Collection[str]) -> list[str]:
    """Remove labctl's images that are not in ``keep`` and that no container uses.

    Returns the tags removed, or the id of an image without any.
    """
    used = {container.image for container in engine.containers()}
    removed: list[str] = []
    for image in sorted(engine.images(ROLE_LABEL), key=_has_base, reverse=True):
        names = {image.id, *image.tags}
        if names & used or names & set(keep):
            continue
        try:
            engine.remove_image(image.id)
        except EngineError:
            continue  # it is the base of another image, or used by a container not of labctl
        removed += image.tags or [image.id]
    return sorted(removed)


def _has_base(image: Image) -> bool:
    return image.labels.get(ROLE_LABEL) not in (BASE, ROOT)


def _versions(engine: Engine, tag: str) -> dict[str, str]:
    """Versions of the image's main packages, read from a container that is never started."""
    name = tag.replace("/", "-").replace(":", "-")
    engine.remove(name)
    engine.create(ContainerSpec(name=name, image=tag, labels={ROLE_LABEL: tag}))
    try:
        text = (engine.read_file(name, _VERSIONS_FILE) or b"").decode()
    finally:
        engine.remove(name)
    return {package: version for package, version in map(str.split, text.splitlines())}


def _prefixed(role: str, report: Report) -> Report:
    return lambda line: report(f"{role}: {line}")
