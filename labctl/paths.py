"""Where labctl's own data lives, and where it keeps what it knows about labs."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_dir(kind: str) -> Path:
    """The directory of shipped data: ``images``, ``compose`` or ``topologies``.

    In a checkout these are at the top level; an installed wheel carries them in the package.
    """
    installed = _PACKAGE / "data" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def home() -> Path:
    """labctl's state directory: $LABCTL_HOME, else labctl in the XDG state directory."""
    chosen = os.environ.get("LABCTL_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "labctl"


def lab_dir(lab: str) -> Path:
    """What is kept of one lab: secrets, resolved topology, fault journal, reports."""
    return home() / "labs" / lab
