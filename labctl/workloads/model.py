"""What a workload is: operations, the sessions that carry them out, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

Config = Mapping[str, Any]
"""A workload's settings and the address of its store, as written by ``load``."""

ERROR_LENGTH = 200
HISTORY_LIMIT = 64 << 20
"""Characters of a run's history: the client ends its workloads there, and a scenario that may reach
it is refused."""


class RefusedError(Exception):
    """The operation certainly did not happen."""


@dataclass(frozen=True)
class Operation:
    """A request to a store: its name, a JSON value, and the member asked, if that is fixed."""

    f: str
    value: Any = None
    at: str = ""
    harmless: bool = False
    """Whether it changes nothing: if it fails in any way it did not happen, so never ``info``."""


@dataclass(frozen=True)
class Done:
    """An acknowledgement: the resulting value, and the member that answered, if known."""

    value: Any
    at: str = ""


class Record(Protocol):
    """Writes an event of a history."""

    def __call__(self, **event: Any) -> None:
        """Write it with the current time."""
        ...


class Session(Protocol):
    """A worker's connection; used by one thread."""

    def steps(self, number: int) -> Iterator[Operation]:
        """The operations of one turn, in order; every turn has a ``number`` of its own."""
        ...

    def apply(self, operation: Operation) -> Done:
        """Carry it out and return when it is acknowledged.

        RefusedError when it certainly was not done; any other exception when that is unknown.
        """
        ...

    def close(self) -> None:
        """Drop the connection after an error; the next operation opens another."""
        ...


Helper = Callable[[Record, Callable[[], bool]], None]
"""Runs alongside the workers until it is told to stop; it sets ``p`` of its events itself."""


class Workload(Protocol):
    """One way of using a store, for one run."""

    def prepare(self) -> Mapping[str, Any]:
        """Create the table, queue, ...; returns facts about it (``member``: who serves it)."""
        ...

    def session(self, worker: int, random: Random) -> Session:
        """The session of a worker."""
        ...

    def helpers(self) -> Sequence[Helper]:
        """What runs all the time, such as consumers."""
        ...

    def final(self) -> Mapping[str, Any]:
        """The current contents: place → values."""
        ...

    def clean(self) -> None:
        """Remove what the run has made."""
        ...


def said(error: BaseException) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:ERROR_LENGTH]
