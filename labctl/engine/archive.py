"""Copy files to and from a container: engines accept and return tar archives."""

from __future__ import annotations

import posixpath
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedReader, BytesIO, RawIOBase
from typing import Any

from labctl.engine.port import FileEntry, Sent

_MAX_LINKS = 8
_PIECE = 1 << 20


def pack(files: Sequence[FileEntry], root: str = "/") -> bytes:
    """A tar of the files, to be unpacked at ``root``, which must contain all of them.

    It has no entries for directories: engines create missing parents (root, 0755) and leave
    existing ones unchanged.
    """
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(posixpath.relpath(file.path, root))
            entry.size = len(file.data)
            entry.mode, entry.uid, entry.gid = file.mode, file.uid, file.gid
            entry.mtime = int(time.time())
            archive.addfile(entry, BytesIO(file.data))
    return buffer.getvalue()


def first_file(chunks: Iterable[bytes]) -> tuple[bytes | None, str]:
    """The content of an archive's first entry, and its target if it is a symbolic link.

    The content is None unless the entry is a regular file; the target is "" unless it is a link.
    """
    with tarfile.open(fileobj=BytesIO(b"".join(chunks))) as archive:
        entry = archive.next()
        if entry is None:
            return None, ""
        if entry.issym():
            return None, entry.linkname
        extracted = archive.extractfile(entry) if entry.isreg() else None
        return (extracted.read() if extracted else None), ""


def packing(files: Iterable[Sent]) -> Iterator[bytes]:
    """A tar of files, root's and private, to be unpacked at ``/``; it is never held whole."""
    for file in files:
        entry = tarfile.TarInfo(file.path.lstrip("/"))
        entry.size, entry.mode, entry.mtime = file.size, 0o600, int(time.time())
        yield entry.tobuf(tarfile.PAX_FORMAT)
        yield from file.pieces
        yield bytes(-file.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def unpacking(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of an archive's first entry, a regular file, as it arrives."""
    with tarfile.open(fileobj=BufferedReader(_Arriving(chunks), _PIECE), mode="r|") as archive:
        entry = archive.next()
        file = archive.extractfile(entry) if entry is not None and entry.isreg() else None
        while file is not None and (piece := file.read(_PIECE)):
            yield piece


class _Arriving(RawIOBase):
    """What arrives in chunks of any size, to be read like a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = filter(None, chunks)
        self._rest = b""

    def readable(self) -> bool:
        """It is; nothing else."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the next chunk goes; 0 at the end."""
        chunk = self._rest or next(self._chunks, b"")
        size = min(len(buffer), len(chunk))
        buffer[:size], self._rest = chunk[:size], chunk[size:]
        return size


def follow_links(path: str, fetch: Callable[[str], tuple[bytes | None, str]]) -> bytes | None:
    """Read a file, following symbolic links; None if there is no regular file at their end.

    ``fetch`` takes a path and returns the same as :func:`first_file`.
    """
    for _ in range(_MAX_LINKS):
        data, link = fetch(path)
        if not link:
            return data
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return None
