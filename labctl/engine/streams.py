"""A command's two-way connection, and lines of text decoded from bytes as they arrive.

An engine answers "start this command" by turning the HTTP connection into a raw one. Without a
terminal the output comes in frames (eight bytes of header: stream and length); with one it comes
as it is.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

STDOUT, STDERR = 1, 2
_CHUNK = 1 << 16


class Channel:
    """A command's input and output."""

    def __init__(self, connection: Any) -> None:
        """``connection`` is what the SDK returns for ``exec_start(socket=True)``."""
        self._response = connection._response
        # The reader that parsed the HTTP header may already have buffered the first frames:
        # reading from the socket directly would lose them.
        self._reader = self._response.raw._fp.fp
        self._socket: socket.socket = getattr(connection, "_sock", connection)
        self._socket.settimeout(None)

    def send(self, data: bytes) -> None:
        """Write to the command's input; no-op when it no longer reads or the channel is closed."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def end_input(self) -> None:
        """Close the command's input; its output still comes."""
        # The base class's method: that of a TLS socket would shut down reading as well.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def feed(self, data: bytes) -> None:
        """Send all data, then close the input.

        A large amount is sent in a thread, so that the caller can read meanwhile: otherwise both
        sides could block on full buffers.
        """

        def pump() -> None:
            self.send(data)
            self.end_input()

        if len(data) < _CHUNK:
            pump()
        else:
            threading.Thread(target=pump, daemon=True).start()

    def frames(self, deadline: float | None = None) -> Iterator[tuple[int, bytes]]:
        """``(stream, bytes)`` as they arrive; TimeoutError past ``deadline`` (monotonic)."""
        while header := self._exactly(8, deadline):
            stream, size = struct.unpack(">BxxxL", header)
            while size and (chunk := self._read(min(size, _CHUNK), deadline)):
                size -= len(chunk)
                yield stream, chunk

    def chunks(self) -> Iterator[bytes]:
        """The output of a command that has a terminal."""
        while chunk := self._read(_CHUNK, None):
            yield chunk

    def collect(self, deadline: float) -> tuple[str, str]:
        """All of standard output and standard error; TimeoutError past ``deadline``."""
        parts: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
        for stream, chunk in self.frames(deadline):
            parts.setdefault(stream, []).append(chunk)
        return text(b"".join(parts[STDOUT])), text(b"".join(parts[STDERR]))

    def close(self) -> None:
        """Close both directions; a read that is blocked in another thread returns."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        with contextlib.suppress(OSError, ValueError):
            self._response.close()

    def _exactly(self, size: int, deadline: float | None) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._read(size - len(data), deadline)
            if not chunk:
                return b""
            data += chunk
        return data

    def _read(self, size: int, deadline: float | None) -> bytes:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
        try:
            return bytes(self._reader.read1(size))
        except TimeoutError:
            raise
        except (OSError, ValueError):
            return b""  # closed by us or by the engine: end of output in both cases


class LineStream:
    """Lines of output as it arrives (implements :class:`labctl.engine.port.Stream`)."""

    def __init__(self, chunks: Iterable[bytes], close: Callable[[], None]) -> None:
        self._lines = lines(chunks)
        self._close = close

    def __iter__(self) -> Iterator[str]:
        """Lines without their newline."""
        return self._lines

    def close(self) -> None:
        """Stop reading; may be called from another thread, and more than once."""
        self._close()


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of chunks that may end anywhere, even in the middle of a character."""
    pending = b""
    for chunk in chunks:
        *whole, pending = (pending + chunk).split(b"\n")
        yield from map(text, whole)
    if pending:
        yield text(pending)


def text(data: bytes) -> str:
    """A command's output as text; bytes that are not UTF-8 are replaced."""
    return data.decode("utf-8", "replace")
