"""Where labctl keeps what it knows about labs."""

from __future__ import annotations

import os
from pathlib import Path


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
