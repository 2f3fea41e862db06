"""Where labctl keeps its state."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.documents.source import printable
from labctl.errors import EngineError, InputError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""The same as for a topology's name (``labctl.model.service.Name``)."""


def home() -> Path:
    """labctl's state directory: $LABCTL_HOME, or else ``labctl`` in the XDG state directory.

    EngineError when neither is set and there is no home directory, or when $LABCTL_HOME is
    relative to a working directory that was removed.
    """
    chosen = os.environ.get("LABCTL_HOME")
    try:
        if chosen:
            return Path(chosen).expanduser().absolute()
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        raise EngineError(
            "you have no home directory to keep state in: set LABCTL_HOME to a directory"
        ) from None
    except OSError as error:
        raise EngineError(
            f"LABCTL_HOME is '{printable(chosen or '')}', relative to a working directory that no "
            f"longer exists ({error.strerror}): set it to an absolute path"
        ) from None
    return Path(state) / "labctl"


def is_name(lab: str) -> bool:
    """Whether this is a valid name for a lab."""
    return _NAME.fullmatch(lab) is not None


def check_name(name: str, of: str = "lab") -> str:
    """Return the name unchanged. InputError when it is not a valid name for a lab (or ``of``)."""
    if not is_name(name):
        raise InputError(
            f"{of} name '{printable(name)}' should be at most 31 lower-case letters, digits "
            "and '-', and begin with a letter"
        )
    return name


def lab_dir(lab: str) -> Path:
    """The directory of one lab: its secrets, record, fault journal and reports.

    The only place where a lab's name becomes a path. InputError when the name is not valid.
    """
    return home() / "labs" / check_name(lab)


def checkpoint_dir(name: str) -> Path:
    """The directory of one checkpoint. InputError when the name is not valid."""
    return home() / "checkpoints" / check_name(name, "checkpoint")


@contextmanager
def accessing(path: Path) -> Iterator[None]:
    """Turn an OSError while accessing a file or directory of the state into an EngineError."""
    try:
        yield
    except OSError as error:
        raise inaccessible(path, error) from None


def inaccessible(path: Path, error: OSError) -> EngineError:
    """The error for a file or directory of the state that cannot be accessed."""
    where = error.filename if isinstance(error.filename, str) else path
    return EngineError(
        f"{where}: {error.strerror or error}; labctl keeps its state there: "
        "set LABCTL_HOME to a directory of your own"
    )
