"""What labctl keeps is for its owner alone, wherever the state directory was made, and by whom."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from labctl.host.files import open_private
from labctl.state import paths

_OURS = {
    "labs",
    "locks",
    "cache",
    "defect.log",
    "dockerd.log",
    "podman.log",
    "containers.conf",
}
"""What the state directory holds: one that holds something else is not labctl's alone."""


def private_directory(path: Path) -> Path:
    """The directory (the state directory, or one in it) with mode 0700; made if it is not there.

    A state directory that others may read is closed to them, unless it holds what is not labctl's.
    OSError when that cannot be done.
    """
    root = paths.home()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close(root)
    below = path.relative_to(root).parts
    for depth in range(len(below)):
        root.joinpath(*below[: depth + 1]).mkdir(mode=0o700, exist_ok=True)
    return path


def private_file(path: Path, text: str) -> None:
    """Write a file in the state directory, mode 0600, in place of what it held.

    OSError or EngineError when that cannot be done.
    """
    private_directory(path.parent)
    with os.fdopen(
        open_private(path, os.O_TRUNC), "w", encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(text)


def _close(root: Path) -> None:
    status = root.stat()
    open_to_others = stat.S_IMODE(status.st_mode) & 0o077
    if not open_to_others or status.st_uid != os.geteuid():
        return
    if {entry.name for entry in root.iterdir()} <= _OURS:
        root.chmod(0o700)
