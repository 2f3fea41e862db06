"""The lab's record of finished one-shot jobs, kept in the lab itself.

A file on a volume that the client node's holder has mounted: it outlives the jobs' containers
(``docker system prune`` removes those that have ended) and is removed with the lab.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from threading import Lock

from labctl.engine.port import Container, Engine, FileEntry
from labctl.planning.desired import RECORDS, Desired
from labctl.running.volumes import read_file

FILE = f"{RECORDS}/jobs.json"

_writing = Lock()
"""Between threads, as jobs end in several; between processes, the lab's lock does the same."""


def read(
    engine: Engine, desired: Desired, containers: Mapping[str, Container], volumes: Iterable[str]
) -> dict[str, str]:
    """``service/job`` → hash of the container that was run; empty where there is no record."""
    return _parsed(read_record(engine, desired, FILE, containers, volumes))


def read_record(
    engine: Engine,
    desired: Desired,
    path: str,
    containers: Mapping[str, Container],
    volumes: Iterable[str],
) -> bytes | None:
    """A file on the lab's volume of records; None when there is none."""
    if desired.lab.records_volume not in volumes:
        return None
    spec = desired.holders[desired.lab.client.name].spec
    return read_file(engine, spec, path, containers, desired.images)


def add(engine: Engine, desired: Desired, job: str) -> None:
    """Record that a job is done, with its current hash."""
    _change(engine, desired, {job: desired.jobs[job].hash})


def remove(engine: Engine, desired: Desired, jobs: Iterable[str]) -> None:
    """Remove jobs from the record."""
    _change(engine, desired, dict.fromkeys(jobs))


def _change(engine: Engine, desired: Desired, changes: Mapping[str, str | None]) -> None:
    holder = desired.lab.holder(desired.lab.client)
    with _writing:
        changed = {**_parsed(engine.read_file(holder, FILE)), **changes}
        kept = {name: digest for name, digest in changed.items() if digest is not None}
        engine.put_files(holder, [entry(kept)])


def entry(jobs: Mapping[str, str]) -> FileEntry:
    """The record as a file, for who has the volume mounted."""
    return FileEntry(FILE, json.dumps(jobs, indent=1, sort_keys=True).encode(), 0o600)


def _parsed(data: bytes | None) -> dict[str, str]:
    """The record; a truncated one counts as empty, so every job runs again."""
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
