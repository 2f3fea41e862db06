"""Connect a command in a container to our terminal or pipes."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterator

from labctl.engine.streams import STDOUT, Channel
from labctl.errors import EngineError, ReaderGoneError

_IN, _OUT, _ERR = 0, 1, 2
_CHUNK = 1 << 16

Resize = Callable[[int, int], object]
"""Called with the terminal's height and width, in characters."""


def attach(channel: Channel, resize: Resize) -> None:
    """Give the command our terminal until it ends: every key goes to it, including ^C."""
    with _raw(), _window(resize), _input(channel):
        for chunk in channel.chunks():
            _write(_OUT, chunk)


def pipe(channel: Channel, *, stdin: bool) -> None:
    """Connect the command's standard output and error, and with ``stdin`` its input, to ours.

    ReaderGoneError when nobody reads our output any more, EngineError when it cannot be written.
    """
    with _input(channel) if stdin else contextlib.nullcontext():
        for stream, chunk in channel.frames():
            _write(_OUT if stream == STDOUT else _ERR, chunk)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise ReaderGoneError from None
            which = "output" if descriptor == _OUT else "error"
            raise EngineError(f"standard {which} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Raw mode: the terminal passes every key on unchanged."""
    before = termios.tcgetattr(_IN)
    tty.setraw(_IN)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal may have hung up
            termios.tcsetattr(_IN, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _window(resize: Resize) -> Iterator[None]:
    """Keep the command's terminal the same size as ours."""

    def follow(*_: object) -> None:
        columns, rows = shutil.get_terminal_size()
        resize(rows, columns)

    follow()
    before = signal.signal(signal.SIGWINCH, follow)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _input(channel: Channel) -> Iterator[None]:
    """Forward our input in a thread until the command ends."""
    woken, wake = os.pipe()

    def pump() -> None:
        while True:
            ready, _, _ = select.select([_IN, woken], [], [])
            if woken in ready:
                return
            try:
                data = os.read(_IN, _CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                data = b""  # the terminal hung up
            if not data:
                channel.end_input()
                return
            channel.send(data)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        channel.close()  # the thread may be blocked sending to a command that does not read
        os.close(wake)
        thread.join()
        os.close(woken)
