"""The process that undoes faults whose lease has ended, even when labctl is gone.

It also repeats what a fault must do again and again while it lasts: crash loops.

``python -P -m labctl.faults.guardian LAB ENGINE-URL``: one for each lab (ensured by a lock file),
which sleeps nearly always and exits when no fault is journalled. It imports an engine only when
there is something to undo.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Event

from labctl.errors import LabctlError
from labctl.faults import journal, kinds
from labctl.faults.lease import LOCK
from labctl.host.locks import claim

NAP = 2.0
"""Seconds between reads of the journal: a new fault may be due before the known ones."""
SHORTEST = 0.2
SLOWEST = 60.0
"""Seconds between attempts at a fault that cannot be undone."""
PATIENCE = 86400.0
"""Seconds of failing after which the guardian leaves a fault to the next labctl command."""


@dataclass(frozen=True)
class _Failing:
    """A fault that could not be undone: since when, and when to retry (seconds)."""

    since: float
    pause: float
    again: float


def watch(lab: str, url: str) -> int:
    """Undo faults when they are due until none is journalled; return the exit code."""
    lock = journal.directory(lab) / LOCK
    while journal.entries(lab):
        with claim(lock, wait=False) as mine:
            if not mine:
                return 0
            if not _serve(lab, url):
                return 1
    return 0


def _serve(lab: str, url: str) -> bool:
    """Serve until no fault is journalled; False when all faults that are left were given up on.

    A fault that cannot be undone is retried at growing intervals, and delays no other.
    """
    failing: dict[str, _Failing] = {}
    while entries := journal.entries(lab):
        now = time.time()
        waiting = {name for name, each in failing.items() if each.again > now}
        if any(e.lapsed(now) and e.fault.id not in waiting for e in entries):
            left = _heal(lab, url, waiting, [e.fault.id for e in entries if e.lapsed(now)])
            for name, said in left.items():
                failing[name] = _next(failing.get(name), now)
                _say(f"{lab}: {said}")
            known = {entry.fault.id for entry in journal.entries(lab)}
            failing = {name: each for name, each in failing.items() if name in known}
            if known and all(_given_up(failing.get(name), now) for name in known):
                return False
        elif any(kinds.repeats(entry.fault) for entry in entries):
            _repeat(lab, url)
        moments = [
            failing[e.fault.id].again if e.fault.id in failing else e.fault.due for e in entries
        ]
        # There is no notification of new files in the journal: poll.
        Event().wait(max(SHORTEST, min(min(moments) - time.time(), NAP)))
    return True


def _next(failed: _Failing | None, now: float) -> _Failing:
    if failed is None:
        return _Failing(now, NAP, now + NAP)
    pause = min(2 * failed.pause, SLOWEST)
    return _Failing(failed.since, pause, now + pause)


def _given_up(failed: _Failing | None, now: float) -> bool:
    return failed is not None and now - failed.since > PATIENCE


def _heal(lab: str, url: str, spare: Collection[str], due: Collection[str]) -> Mapping[str, str]:
    """Undo what is due, except ``spare``; id of each fault that could not be undone → why."""
    # Imported here: an idle guardian holds neither an SDK nor a connection.
    from labctl.engine.choose import connect
    from labctl.faults.verbs import expire_lab

    try:
        healing = expire_lab(connect(url), lab, spare)
    except LabctlError as error:
        return {name: str(error) for name in due if name not in spare}
    for said in (*healing.files, *(evidence.said for evidence in healing.done)):
        _say(f"{lab}: {said}")
    return healing.left


def _repeat(lab: str, url: str) -> None:
    from labctl.engine.choose import connect
    from labctl.faults.verbs import next_turns

    try:
        next_turns(connect(url), lab)
    except LabctlError as error:
        _say(f"{lab}: {error}")


def _say(line: str) -> None:
    """Write to the log: standard error is a file next to the journal."""
    sys.stderr.write(time.strftime("%FT%TZ ", time.gmtime()) + line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(watch(*sys.argv[1:3]))
