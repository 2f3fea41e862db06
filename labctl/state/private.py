"""Keep labctl's state private to its owner, wherever the state directory is and who created it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from labctl.host.files import open_private
from labctl.state import paths

_OWN_ENTRIES = {
    "labs",
    "checkpoints",
    "locks",
    "cache",
    "defect.log",
    "dockerd.log",
    "podman.log",
    "containers.conf",
}
"""What labctl creates in the state directory; one with other entries has other uses as well."""


def private_directory(path: Path) -> Path:
    """Create the state directory, or one in it, with mode 0700 if it is missing; returns it.

    Others' permissions are removed from the state directory, unless it has content that is not
    labctl's. OSError when the system refuses.
    """
    root = paths.home()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _restrict(root)
    below = path.relative_to(root).parts
    for depth in range(len(below)):
        root.joinpath(*below[: depth + 1]).mkdir(mode=0o700, exist_ok=True)
    return path


def private_file(path: Path, text: str) -> None:
    """Write a file in the state directory with mode 0600, replacing its content.

    OSError when the system refuses, EngineError as of :func:`labctl.host.files.open_private`.
    """
    private_directory(path.parent)
    with os.fdopen(
        open_private(path, os.O_TRUNC), "w", encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(text)


def _restrict(root: Path) -> None:
    status = root.stat()
    open_to_others = stat.S_IMODE(status.st_mode) & 0o077
    if not open_to_others or status.st_uid != os.geteuid():
        return
    if {entry.name for entry in root.iterdir()} <= _OWN_ENTRIES:
        root.chmod(0o700)
