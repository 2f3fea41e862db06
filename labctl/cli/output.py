"""Standard streams that neither raise nor lose anything silently, whatever they are connected to.

labctl's work must not be left half-done because its output cannot be written: such bytes are
dropped, and the exit code reports it at the end.
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
    """A raw stream that writes everything to a file descriptor, and drops all after an error.

    Waits when the descriptor is non-blocking and full.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.error: OSError | None = None
        """Why bytes were dropped; None if none were."""
        self._dropping = False

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Write all of it or drop it; return the number of bytes either way."""
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
        """Drop everything written from now on."""
        self._dropping = True

    def check(self) -> None:
        """Raise ReaderGoneError when the reader is gone, EngineError after another write error."""
        if self.error is not None and self.error.errno == errno.EPIPE:
            raise ReaderGoneError
        if self.error is not None:
            raise EngineError(f"standard output cannot be written: {self.error.strerror}")

    def writable(self) -> bool:
        """Whether it can be written to: yes."""
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
    """Install them as ``sys.stdout`` and ``sys.stderr``, and make sure that 0, 1 and 2 are open.

    Streams that have been replaced already (by a test) stay.
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
    """Flush and :meth:`Descriptor.check` standard output, for commands that would never end."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, Descriptor):
        raw.check()


def _open_standard() -> None:
    """Open the descriptors that the caller closed, so that no connection gets their numbers.

    Output is opened for reading: writing to it fails just as if it were closed.
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
    """A text stream on the descriptor; characters that the encoding lacks are escaped."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw, _CHUNK),  # type: ignore[type-var]
        encoding=now.encoding if now is not None else None,
        errors="backslashreplace",
        line_buffering=raw.isatty() or raw.fileno() == 2,
    )
