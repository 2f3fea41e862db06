"""A command in a container on this terminal, or on this process's pipes."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator

from labctl.engine.streams import STDOUT, Channel

_CHUNK = 1 << 16

Resize = Callable[[int, int], object]
"""Called with the terminal's height and width, in characters."""


def attach(channel: Channel, resize: Resize) -> None:
    """Give the command this terminal until it ends: every key goes to it, ^C too."""
    with _raw(), _window(resize), _input(channel):
        for chunk in channel.chunks():
            _write(sys.stdout.fileno(), chunk)


def pipe(channel: Channel) -> None:
    """Connect standard input, output and error of the command with this process's own."""
    with _input(channel):
        for stream, chunk in channel.frames():
            _write(sys.stdout.fileno() if stream == STDOUT else sys.stderr.fileno(), chunk)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """The terminal passes every key on as it is."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


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
        source = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([source, woken], [], [])
            if woken in ready:
                return
            data = os.read(source, _CHUNK)
            if not data:
                channel.end_input()
                return
            channel.send(data)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(wake)
        thread.join()
        os.close(woken)
