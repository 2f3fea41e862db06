"""The names of a lab's nodes: one file on a volume of the lab, which every holder reads.

A holder makes it its /etc/hosts when it starts and whenever it is told to; the instances on its
node share that file. So a node can come or go without a restart of any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labctl.engine.port import Container, Engine, FileEntry
from labctl.planning.desired import NAMES, Desired
from labctl.running.records import read_record

TOLD = f"{NAMES}.told"
"""The names that every holder knows: written last, so that an interrupted change is repeated."""


def entry(desired: Desired) -> FileEntry:
    """The file, for a holder that is about to start."""
    return FileEntry(NAMES, desired.names.encode())


def read(
    engine: Engine, desired: Desired, containers: Mapping[str, Container], volumes: Iterable[str]
) -> str | None:
    """The names that every holder knows; None when that is unknown."""
    told = read_record(engine, desired, TOLD, containers, volumes)
    return told.decode() if told is not None else None


def write(engine: Engine, desired: Desired, holders: Iterable[str]) -> None:
    """Write the names, have running holders read them, and record that they have."""
    client = desired.lab.holder(desired.lab.client)
    engine.put_files(client, [entry(desired)])
    for holder in holders:
        engine.kill(holder, "SIGHUP")
    engine.put_files(client, [FileEntry(TOLD, desired.names.encode())])
