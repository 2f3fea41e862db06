"""The guardian, seen from outside: one detached process a lab that outlives labctl."""

from __future__ import annotations

import sys

from labctl.faults.journal import directory
from labctl.host.locks import claim
from labctl.host.process import spawn_detached

LOCK = "guardian.lock"


def summon(lab: str, url: str) -> None:
    """See to it that a guardian watches the lab's journal.

    Called after the fault is journalled: a guardian that is about to leave looks once more after
    it has let go of its lock, so one of the two sees the other.
    """
    folder = directory(lab)
    with claim(folder / LOCK, wait=False) as free:
        pass
    if free:
        spawn_detached(
            [sys.executable, "-m", "labctl.faults.guardian", lab, url], folder / "guardian.log"
        )
