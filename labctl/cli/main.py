"""Entry point: runs a command and turns what it raises into a message and an exit code.

Imports little: until :func:`run` handles signals, ^C would print a traceback.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from pathlib import Path

from labctl.cli import output
from labctl.errors import EngineError, InputError, LabctlError
from labctl.host import signals

_PATIENCE = 1.2
"""Seconds that an interrupted labctl waits for its threads to remove what they made."""


def run() -> None:
    """Entry point of the ``labctl`` program."""
    streams = output.connect()
    signals.listen()
    try:
        code = _guarded()
        sys.stdout.flush()
        streams.out.check()
    except KeyboardInterrupt as interrupt:
        signals.ignore()
        _interrupted(interrupt)
        code = signals.exit_code(interrupt)
        _exit_now(streams, code)
    except LabctlError as error:
        # The command's own exit code says more than that its output was lost.
        code = code or _said(error)
    sys.exit(code)


def app() -> int:
    """Run the command; imported late because the import is slow."""
    from labctl.cli import commands

    return commands.run()


def _guarded() -> int:
    try:
        return app()
    except LabctlError as error:
        return _said(error)
    except OSError as error:
        return _said(_refused(error))
    except Exception as error:
        return _defect(error)


def _said(error: LabctlError) -> int:
    # What is wrong with an input is one line, whatever the input is; of a lab several may be said.
    if text := str(error):
        _say(_shown(text, lines=not isinstance(error, InputError)))
    return error.exit_code


def _shown(text: str, *, lines: bool) -> str:
    """Text with what a terminal would obey, and not show, written out."""
    spared = "\n" if lines else ""
    return "".join(c if c.isprintable() or c == spared else repr(c)[1:-1] for c in text)


def _refused(error: OSError) -> EngineError:
    """An operating system error that nothing more specific has handled."""
    where = f"{error.filename}: " if error.filename else ""
    return EngineError(f"{where}{error.strerror or error}")


def _interrupted(interrupt: KeyboardInterrupt) -> None:
    """Print the notes that the command added to the interrupt; an empty note prints nothing."""
    notes = getattr(interrupt, "__notes__", ["interrupted"])
    if text := "; ".join(filter(None, notes)):
        _say(text)


def _exit_now(streams: output.Streams, code: int) -> None:
    """Exit although threads still wait for an engine: it cancels what nobody waits for."""
    from labctl.host import process

    flushing = threading.Thread(target=sys.stdout.flush)
    flushing.start()
    sys.stderr.flush()
    streams.err.drop()  # nothing is printed after the reason
    process.terminate_all()
    until = time.monotonic() + _PATIENCE
    left = [thread for thread in threading.enumerate() if not thread.daemon]
    for thread in left:
        if thread is not threading.current_thread():
            thread.join(max(until - time.monotonic(), 0))
    if any(t.is_alive() for t in left if t is not threading.current_thread()):
        os._exit(code)


def _defect(error: Exception) -> int:
    """A defect in labctl: one line for the user, the traceback in a file for its developers."""
    path = _log_defect("".join(traceback.format_exception(error)))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = path or f"it: {frame.filename}:{frame.lineno}"
    _say(f"a defect in labctl ({type(error).__name__}: {error}); please report {where}")
    return LabctlError.exit_code


def _log_defect(text: str) -> Path | None:
    """Write the text to a file and return its path; None when that fails."""
    from labctl.state import paths
    from labctl.state.private import private_file

    try:
        path = paths.home() / "defect.log"
        private_file(path, text)
    except (OSError, LabctlError):
        return None
    return path


def _say(text: str) -> None:
    sys.stderr.write(f"labctl: {text}\n")
