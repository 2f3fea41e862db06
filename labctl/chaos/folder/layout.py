"""The files of a run's folder, written so that the folder of a killed run can be read."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from labctl.documents.reader import shown
from labctl.errors import EngineError, InputError
from labctl.state import paths
from labctl.state.store import RUNS

RUN, SCENARIO, TIMELINE, HISTORY = "run.json", "scenario.yml", "timeline.json", "history.jsonl"
CHANGES = "changes.json"
"""The changes of the lab and their windows; only in a run that has any."""
FORMAT = 2
"""The format of a run's folder that is written: ``format`` in run.json. 1 had neither ``services``
nor ``sealed``; it is still read."""
OBSERVATIONS, FINALS, LOGS, VERDICT = "observations.jsonl", "finals.json", "logs", "verdict.json"


def make(lab: str) -> Path:
    """Make the folder of a new run, 0700; names sort by time."""
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{secrets.token_hex(3)}"
    folder = paths.lab_dir(lab) / RUNS / name
    try:
        (folder / LOGS).mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise EngineError(f"{folder}: cannot be created: {error.strerror}") from None
    for each in (folder.parent, folder):
        each.chmod(0o700)
    return folder


def find(run: str) -> Path:
    """The folder of a run, given by path or by id (of any lab). InputError if there is none."""
    if (Path(run) / RUN).is_file():
        return Path(run)
    found = [path.parent for path in (paths.home() / "labs").glob(f"*/{RUNS}/*/{RUN}")]
    chosen = [folder for folder in found if folder.name == run]
    if len(chosen) == 1:
        return chosen[0]
    newest = max((folder.name for folder in found), default=None)
    advice = f"the newest is {newest}" if newest else "start one with `labctl chaos run`"
    raise InputError(f"there is no run '{run}': {advice}")


def write(folder: Path, name: str, text: str) -> None:
    """Write a file, 0600, atomically: a reader sees the old file or the new one."""
    fresh = folder / f".{name.replace('/', '_')}.new"
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(_opened(fresh), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(folder / name)
    except OSError as error:
        raise EngineError(f"{folder / name}: cannot be written: {error.strerror}") from None


def write_json(folder: Path, name: str, data: Any) -> None:
    """Write a JSON file, as ``write`` does."""
    write(folder, name, json.dumps(data, indent=1, default=str) + "\n")


def read_json(folder: Path, name: str) -> Any:
    """A JSON file of a run. InputError when it is missing or damaged."""
    path = folder / name
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{shown(path)}: is missing: the run did not get that far") from None
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{shown(path)}: is not JSON ({error})") from None


class Lines:
    """A file of JSON lines that several threads add to; each line is written at once.

    Lines beyond ``most`` bytes, after ``close`` or on a full disk are left out, and counted in
    ``missed``; ``written`` counts the lines that are there.
    """

    def __init__(self, path: Path, most: int = 256 << 20) -> None:
        self._file: int | None = _opened(path)
        self._lock = threading.Lock()
        self._size, self._most = 0, most
        self.written, self.missed = 0, 0

    def add(self, *rows: Any) -> None:
        """Add rows, in order."""
        text = "".join(json.dumps(row, default=str) + "\n" for row in rows).encode()
        with self._lock:
            if self._put(text):
                self.written += len(rows)
            else:
                self.missed += len(rows)

    def close(self) -> None:
        """Close the file; further lines are missed."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file = None

    def _put(self, text: bytes) -> bool:
        """Write all of the text or, on a full disk, none of it: no reader sees half a line."""
        if self._file is None or self._size + len(text) > self._most:
            return False
        try:
            whole = os.write(self._file, text) == len(text)
        except OSError:
            whole = False
        if whole:
            self._size += len(text)
        else:
            os.ftruncate(self._file, self._size)
        return whole


def seal(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file that a verdict is made from, as they are when a run ends.

    A file that is cut, doubled or changed afterwards is not what the run recorded.
    """
    found = {}
    for name in (TIMELINE, CHANGES, HISTORY, OBSERVATIONS, FINALS):
        digest = hashlib.sha256()
        with suppress(OSError), (folder / name).open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
            found[name] = digest.hexdigest()
    return found


def sort_lines(path: Path) -> None:
    """Sort the lines of a history by time."""
    rows: Iterable[dict[str, Any]] = map(json.loads, path.read_text("utf-8").splitlines())
    ordered = sorted(rows, key=lambda row: row["t"])
    write(path.parent, path.name, "".join(json.dumps(row) + "\n" for row in ordered))


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
