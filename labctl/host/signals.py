"""Signals that end labctl: ^C, SIGTERM and a hang-up of the terminal raise the same exception.

So whatever is cleaned up after ^C (a terminal's mode, a lock, a fault) is cleaned up after all.
"""

from __future__ import annotations

import signal
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal that ends this process; raised in its main thread."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def listen() -> None:
    """Make these signals raise :class:`Interrupted`; ignored ones (nohup) stay ignored."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def ignore() -> None:
    """Ignore these signals from now on: the process is about to end anyway."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def name(error: BaseException) -> str:
    """The signal's name, as ``kill`` takes it; INT for anything but an :class:`Interrupted`."""
    number = error.number if isinstance(error, Interrupted) else signal.SIGINT
    return signal.Signals(number).name.removeprefix("SIG")


def exit_code(error: KeyboardInterrupt) -> int:
    """128 plus the signal's number, as in shells: 130 for ^C, 143 for SIGTERM."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def _raise(number: int, _frame: object) -> NoReturn:
    raise Interrupted(number)
