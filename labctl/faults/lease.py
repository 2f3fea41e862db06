"""The guardian, seen from outside: one detached process a lab that outlives labctl."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from labctl.faults.journal import directory
from labctl.host.locks import claim
from labctl.host.process import spawn_detached
from labctl.state import paths

LOCK = "guardian.lock"

_KEPT = (
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION",
    "SSH_AUTH_SOCK",
)
"""What an engine is reached by, and how text is read."""
_PATHS = ("DOCKER_CERT_PATH", "DOCKER_CONFIG")
"""The same, of files that may be named relative to a directory that the guardian is not in."""


def summon(lab: str, url: str) -> None:
    """See to it that a guardian watches the lab's journal.

    Called after the fault is journalled: a guardian that is about to leave looks once more after
    it has let go of its lock, so one of the two sees the other.
    """
    folder = directory(lab)
    with claim(folder / LOCK, wait=False) as free:
        pass
    if free:
        # -P: a folder named labctl in whatever directory a person works in is not the guardian.
        argv = [sys.executable, "-P", "-m", "labctl.faults.guardian", lab, url]
        spawn_detached(argv, folder / "guardian.log", only=environment(os.environ))


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a guardian is started with, of the environment of the command that starts it.

    Runners of CI jobs find by their own variables what a job has left behind, and end it; a
    guardian must outlive the job. labctl is imported from where it is now, its state is where
    it is now.
    """
    kept = {name: given[name] for name in _KEPT if name in given}
    kept |= {name: str(Path(given[name]).absolute()) for name in _PATHS if given.get(name)}
    return {
        **kept,
        "LABCTL_HOME": str(paths.home()),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
