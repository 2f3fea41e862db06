"""The base image: pulled if a registry has it, otherwise bootstrapped from packages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from labctl.documents.images import BASE, release_doc
from labctl.engine.port import Engine
from labctl.errors import EngineError
from labctl.host import process
from labctl.images.definitions import base_definition
from labctl.state import paths
from labctl.state.private import private_directory

ROOT = "root"
"""Used instead of a role in the tag and label of the bootstrapped root file system's image."""

EXCLUDED = ("doc", "man", "info", "locale")
"""Directories of /usr/share that are left out of a bootstrapped file system."""


def ensure_base(
    engine: Engine, release: str, report: Callable[[str], None], *, fresh: bool = False
) -> str:
    """The base image's tag; it is built if the engine does not have it, rebuilt if ``fresh``.

    The caller must make sure that nobody else builds it meanwhile (as :mod:`labctl.images.build`
    does). EngineError when the image can neither be pulled nor bootstrapped.
    """
    tag = base_definition(release).tag
    if fresh or engine.image(tag) is None:
        root = _root_image(engine, release, report, fresh=fresh)
        context = base_definition(release, root).context({})
        labels = {"labctl.image": BASE, "labctl.release": release}
        for line in engine.build(context, tag, labels, fresh=fresh):
            report(line)
    return tag


def root_tag(release: str) -> str:
    """Tag of the bootstrapped root file system's image."""
    return f"labctl/{ROOT}:{release_doc(release).suite}"


def _root_image(engine: Engine, release: str, report: Callable[[str], None], *, fresh: bool) -> str:
    """Tag of an image with the root file system: the release's own, or a bootstrapped one."""
    named, own = release_doc(release).base, root_tag(release)
    if not fresh and engine.image(named) is not None:
        return named
    report(f"pulling {named}")
    if engine.pull(named):
        return named
    if fresh or engine.image(own) is None:
        report(f"{named} cannot be pulled: bootstrapping it from Debian's packages")
        _bootstrap(engine, release_doc(release).suite, own, report)
    return own


def _bootstrap(engine: Engine, suite: str, tag: str, report: Callable[[str], None]) -> None:
    cache = paths.home() / "cache"
    private_directory(cache)
    with TemporaryDirectory(dir=cache) as directory:
        tarball = Path(directory) / "root.tar"
        for command in _commands(suite, tarball):
            _run(command, report)
        engine.import_image(str(tarball), tag, [f"LABEL labctl.image={ROOT}"])


def _commands(suite: str, tarball: Path) -> list[list[str]]:
    """Commands that create the root file system's tar, from the programs' default mirrors."""
    if process.which("mmdebstrap"):
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED]
        kept = ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
        return [["mmdebstrap", "--variant=minbase", *excluded, *kept, suite, str(tarball)]]
    if process.which("debootstrap"):
        root = tarball.with_suffix("")
        excluded = [f"--exclude=./usr/share/{name}/*" for name in EXCLUDED]
        return [
            ["debootstrap", "--variant=minbase", suite, str(root)],
            ["tar", "--create", "--file", str(tarball), "--directory", str(root), *excluded, "."],
        ]
    raise EngineError(
        "the base image can neither be pulled nor bootstrapped: no registry that has it can be "
        "reached, and neither mmdebstrap nor debootstrap is installed (apt install mmdebstrap)"
    )


def _run(command: list[str], report: Callable[[str], None]) -> None:
    """Run and report each line; an error contains the last lines, which say the cause."""
    last: deque[str] = deque(maxlen=3)
    try:
        for line in process.stream(command):
            last.append(line.strip())
            report(line)
    except EngineError as error:
        reason = "; ".join(filter(None, last)) or str(error)
        raise EngineError(
            f"{command[0]} cannot make the base image: {reason} (a user other than root needs "
            "mmdebstrap and sub-ids in /etc/subuid and /etc/subgid)"
        ) from None
