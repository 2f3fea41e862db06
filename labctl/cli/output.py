"""Standard streams that neither raise nor lose anything silently, whatever they are connected to.

What labctl does is not left half-done because of who reads it, or does not: bytes that cannot be
written are dropped, and the exit code says so in the end.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from dataclasses import dataclass
from typing import TextIO

from labctl.errors import EngineError, ReaderGoneError

_CHUNK = 1 << 16


class Descriptor(io.RawIOBase):
    """A file descriptor that everything is written to, or nothing any more after an error.

    Waits where the descriptor is non-blocking and full.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.error: OSError | None = None
        """Why bytes were dropped."""
        self._dropping = False

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Write all, or drop it; the number of bytes either way."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left and not self._dropping:
            try:
                left = left[os.write(self._number, left[:_CHUNK]) :]
            except BlockingIOError:
                select.select([], [self._number], [])
            except OSError as error:
                self.error, self._dropping = error, True
        return size

    def drop(self) -> None:
        """Drop what is still to come."""
        self._dropping = True

    def check(self) -> None:
        """ReaderGoneError when nobody reads any more, EngineError when it cannot be written."""
        if self.error is not None and self.error.errno == errno.EPIPE:
            raise ReaderGoneError
        if self.error is not None:
            raise EngineError(f"standard output cannot be written: {self.error.strerror}")

    def writable(self) -> bool:
        """Whether it is for writing: yes."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._number)


@dataclass(frozen=True)
class Streams:
    """Standard output and error of this process."""

    out: Descriptor
    err: Descriptor


def connect() -> Streams:
    """Put them in the place of ``sys.stdout`` and ``sys.stderr``, and see that 0, 1, 2 are open.

    Streams that somebody else has put there (a test) stay.
    """
    _open_standard()
    streams = Streams(Descriptor(1), Descriptor(2))
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a descriptor
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(streams.out, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(streams.err, sys.stderr)
    return streams


def check() -> None:
    """As :meth:`Descriptor.check` of standard output, for what would go on and on."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, Descriptor):
        raw.check()


def _open_standard() -> None:
    """Open what was closed by the caller, lest a connection gets its number.

    Output is opened for reading: writing to it fails as it does when it is closed.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)


def _text(raw: Descriptor, now: TextIO | None) -> TextIO:
    """Text on the descriptor as Python has set it up; what the encoding lacks is escaped."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw, _CHUNK),  # type: ignore[type-var]
        encoding=now.encoding if now is not None else None,
        errors="backslashreplace",
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )
