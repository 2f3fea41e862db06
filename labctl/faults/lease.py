"""Starts the guardian: a detached process for each lab, which outlives labctl."""

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
"""Variables for reaching the engine, and for the locale."""
_PATHS = ("DOCKER_CERT_PATH", "DOCKER_CONFIG")
"""The same, with paths that may be relative to a directory other than the guardian's."""


def ensure_guardian(lab: str, url: str) -> None:
    """Make sure that a guardian watches the lab's journal; start one if necessary.

    Call it after the fault is journalled: a guardian that is about to exit reads the journal once
    more after releasing its lock, so it cannot miss the fault.
    """
    folder = directory(lab)
    with claim(folder / LOCK, wait=False) as free:
        pass
    if free:
        # -P: do not import a folder named labctl in the working directory.
        argv = [sys.executable, "-P", "-m", "labctl.faults.guardian", lab, url]
        spawn_detached(argv, folder / "guardian.log", only=environment(os.environ))


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The guardian's environment, from that of the command that starts it.

    CI runners recognise the processes that a job leaves behind by their own variables, and end
    them; a guardian must outlive the job. It imports the same labctl and uses the same state.
    """
    kept = {name: given[name] for name in _KEPT if name in given}
    kept |= {name: str(Path(given[name]).absolute()) for name in _PATHS if given.get(name)}
    return {
        **kept,
        "LABCTL_HOME": str(paths.home()),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
