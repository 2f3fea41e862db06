"""A command in a container on this terminal, or on this process's pipes."""

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
    """Give the command this terminal until it ends: every key goes to it, ^C too."""
    with _raw(), _window(resize), _input(channel):
        for chunk in channel.chunks():
            _write(_OUT, chunk)


def pipe(channel: Channel, *, stdin: bool) -> None:
    """Connect standard output and error of the command, and its input if it has one, with ours.

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
    """The terminal passes every key on as it is."""
    before = termios.tcgetattr(_IN)
    tty.setraw(_IN)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # a terminal that hung up has no mode
            termios.tcsetattr(_IN, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _window(resize: Resize) -> Iterator[None]:
    """The command's terminal has the size of ours, and follows it."""

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
    """Pass our input on, beside the output, until the command ends."""
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
                data = b""  # a terminal that hung up
            if not data:
                channel.end_input()
                return
            channel.send(data)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        channel.close()  # a command that does not read would have the thread wait for ever
        os.close(wake)
        thread.join()
        os.close(woken)
