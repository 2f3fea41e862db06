"""Files for their owner alone, in directories that others may be able to write to."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from labctl.errors import EngineError


def open_private(path: Path, flags: int = 0) -> int:
    """A descriptor of a file, read and written; made with mode 0600 if it is not there.

    ``flags`` are further ones of ``os.open``. No symbolic link is followed, so nobody can have
    another file opened, and a file that others may read is closed to them. EngineError when it is
    no plain file or belongs to somebody else (whose file root may open nevertheless); OSError when
    the system refuses.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise EngineError(
                f"{path}: is a symbolic link, where labctl keeps a file: remove it"
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
        raise EngineError(f"{path}: is no plain file, where labctl keeps one: remove it")
    if os.geteuid() not in (0, status.st_uid):
        raise EngineError(
            f"{path}: belongs to another user (uid {status.st_uid}): remove it, or set LABCTL_HOME "
            "to a directory of your own"
        )
