"""Code that may change nothing outside a folder, start no program and reach nobody.

It is refused as the system refuses it, by Python's own audit events: whoever asks, by whatever
function. What cannot be undone is noted, too: a test can say that it was not even tried.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_REMOVES = {"os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.truncate": 1, "shutil.rmtree": 1}
_MAKES = {"os.mkdir": 1, "os.link": 2, "os.chmod": 1, "os.chown": 1, "os.utime": 1}
"""Event → how many of its first arguments are paths."""
_PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn"}
_OTHERS = {"os.kill", "os.killpg"}
_NETWORK = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_folder: str | None = None
_tried: list[str] = []


@contextmanager
def confined(folder: Path) -> Iterator[list[str]]:
    """Confine this process to a folder; the removals outside of it that were tried, and refused."""
    global _folder  # noqa: PLW0603 - an audit hook stays for good, so it is told where
    _tried.clear()
    _folder = os.path.realpath(folder)
    try:
        yield _tried
    finally:
        _folder = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:  # noqa: C901 - a table of events
    if _folder is None:
        return
    if event == "open":
        if arguments[2] & _WRITES and not _inside(arguments[0], follow=True):
            _refuse(errno.EACCES, arguments[0])
    elif event in _REMOVES:
        _paths(event, arguments[: _REMOVES[event]], _tried)
    elif event in _MAKES:
        _paths(event, arguments[: _MAKES[event]], [])
    elif event == "os.symlink":
        _paths(event, arguments[1:2], [])
    elif event in _PROGRAMS:
        _refuse(errno.ENOENT, arguments[0] if arguments else None)
    elif event in _OTHERS:
        _tried.append(f"{event} {arguments}")
        _refuse(errno.EPERM, None)
    elif event in _NETWORK:
        _refuse(errno.ECONNREFUSED, None)
    elif event == "socket.getaddrinfo":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _paths(event: str, paths: tuple[Any, ...], tried: list[str]) -> None:
    for path in paths:
        if not _inside(path, follow=False):
            tried.append(f"{event} {path!r}")
            _refuse(errno.EACCES, path)


def _inside(path: Any, *, follow: bool) -> bool:
    """Whether it is in the folder; what is named by a descriptor was opened, so it is."""
    if isinstance(path, int) or path is None:
        return True
    name = os.fsdecode(path)
    if name == os.devnull:
        return True
    if not follow:
        above, last = os.path.split(name.rstrip("/") or "/")
        name = f"{os.path.realpath(above)}/{last}"
    found = os.path.realpath(name) if follow else name
    return f"{found}/".startswith(f"{_folder}/")


def _refuse(number: int, path: Any) -> None:
    raise OSError(number, os.strerror(number), path)


sys.addaudithook(_hook)
