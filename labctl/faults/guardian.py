"""The process that undoes faults whose lease has ended, though labctl be gone.

It also keeps up what must be done again and again while a fault lasts: crash loops.

``python -m labctl.faults.guardian LAB ENGINE-URL``: one for each lab (a lock file sees to that),
asleep nearly always, gone when the journal is empty. It imports an engine only when there is
something to undo.
"""

from __future__ import annotations

import sys
import time
from threading import Event

from labctl.errors import LabctlError
from labctl.faults import journal, kinds
from labctl.faults.lease import LOCK
from labctl.host.locks import claim

NAP = 2.0
"""Seconds between looks at the journal: a new fault may be due before the ones known."""
SLOWEST = 60.0
"""Seconds between attempts when healing keeps failing."""
PATIENCE = 86400.0
"""Seconds of failing after which the guardian leaves the rest to the next labctl command."""


def watch(lab: str, url: str) -> int:
    """Undo what becomes due until the journal is empty; the exit code."""
    lock = journal.directory(lab) / LOCK
    while journal.entries(lab):
        with claim(lock, wait=False) as mine:
            if not mine:
                return 0
            if not _serve(lab, url):
                return 1
    return 0


def _serve(lab: str, url: str) -> bool:
    """Serve until the journal is empty; False when patience has ended."""
    pause, failing_since = NAP, 0.0
    while entries := journal.entries(lab):
        now = time.time()
        soonest = min(entry.fault.due for entry in entries)
        if soonest <= now or any(entry.state == "injecting" for entry in entries):
            try:
                _heal(lab, url)
                pause, failing_since = NAP, 0.0
            except LabctlError as error:
                failing_since = failing_since or now
                if now - failing_since > PATIENCE:
                    return False
                pause = min(2 * pause, SLOWEST)
                _say(f"{lab}: {error}")
        elif any(kinds.repeats(entry.fault) for entry in entries):
            _crash(lab, url)
        # Nothing tells of a new file in the journal: look again after a nap.
        Event().wait(max(0.2, min(soonest - time.time(), NAP)) if pause == NAP else pause)
    return True


def _heal(lab: str, url: str) -> None:
    # Imported here: an idle guardian holds neither an SDK nor a connection.
    from labctl.engine.choose import connect
    from labctl.faults.verbs import expire_lab

    for evidence in expire_lab(connect(url), lab):
        _say(f"{lab}: {evidence.said}")


def _crash(lab: str, url: str) -> None:
    from labctl.engine.choose import connect
    from labctl.faults.verbs import go_on

    try:
        go_on(connect(url), lab)
    except LabctlError as error:
        _say(f"{lab}: {error}")


def _say(line: str) -> None:
    """To the log: standard error is a file next to the journal."""
    sys.stderr.write(time.strftime("%FT%TZ ", time.gmtime()) + line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(watch(*sys.argv[1:3]))
