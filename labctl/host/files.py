"""Files that only their owner can access, in directories that others may be able to write to."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from labctl.errors import EngineError


def open_private(path: Path, flags: int = 0) -> int:
    """Open a file for reading and writing, creating it with mode 0600; returns its descriptor.

    ``flags`` are additional ones for ``os.open``. Symbolic links are not followed, so nobody can
    make us open another file, and others' permissions are removed from an existing file.
    EngineError when it is not a regular file or belongs to another user (which root may open);
    OSError when the system refuses.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise EngineError(
                f"{path}: is a symbolic link, but labctl needs a regular file there: remove it"
            ) from None
        raise
    try:
        _check(path, os.fstat(descriptor))
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise EngineError(f"{path}: is not a regular file, but labctl needs one there: remove it")
    if os.geteuid() not in (0, status.st_uid):
        raise EngineError(
            f"{path}: belongs to another user (uid {status.st_uid}): remove it, or set LABCTL_HOME "
            "to a directory of your own"
        )
