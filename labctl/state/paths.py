"""Where labctl keeps what it knows about labs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.documents.source import printable
from labctl.errors import EngineError, InputError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""As of a topology (``labctl.model.service.Name``)."""


def home() -> Path:
    """labctl's state directory: $LABCTL_HOME, else labctl in the XDG state directory.

    EngineError when there is neither, nor a home directory.
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
            f"LABCTL_HOME is '{printable(chosen or '')}', and the working directory that this is "
            f"relative to is gone ({error.strerror}): set it to an absolute path"
        ) from None
    return Path(state) / "labctl"


def is_name(lab: str) -> bool:
    """Whether a lab can have this name."""
    return _NAME.fullmatch(lab) is not None


def check_name(lab: str) -> str:
    """The name as it is. InputError when it is no name that a lab can have."""
    if not is_name(lab):
        raise InputError(
            f"lab name '{printable(lab)}' should be at most 31 lower-case letters, digits "
            "and '-', and begin with a letter"
        )
    return lab


def lab_dir(lab: str) -> Path:
    """What is kept of one lab: secrets, resolved topology, fault journal, reports.

    The one place where a lab's name becomes a path. InputError when it is no name of a lab.
    """
    return home() / "labs" / check_name(lab)


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Work on a file or directory of labctl's state; EngineError where that is refused."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise EngineError(
            f"{where}: {error.strerror or error}; labctl keeps its state there: "
            "set LABCTL_HOME to a directory of your own"
        ) from None
