"""Locks between processes: a file that one of them holds; the kernel lets go when it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.host.files import open_private


@contextmanager
def claim(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock file for the block; False when another process has it and ``wait`` is not set.

    EngineError when the file is not ours to hold, or is a symbolic link.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = open_private(path)
    try:
        yield _locked(descriptor, wait=wait)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
