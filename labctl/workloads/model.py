"""What a workload is: operations, sessions that do them, and how they say how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

Config = Mapping[str, Any]
"""A workload's settings and where it finds its store, as the load wrote them down."""

ERROR_LENGTH = 200
HISTORY_LIMIT = 64 << 20
"""Characters of a run's history: the client ends its workloads there, and a scenario that may reach
it is refused."""


class RefusedError(Exception):
    """The operation surely did not happen."""


@dataclass(frozen=True)
class Operation:
    """Something to ask of a store: a name, a JSON value, and the member asked where that is set."""

    f: str
    value: Any = None
    at: str = ""
    harmless: bool = False
    """It changes nothing: whatever becomes of it, it did not happen (so never ``info``)."""


@dataclass(frozen=True)
class Done:
    """An operation was acknowledged: the value it has then, and who answered, if known."""

    value: Any
    at: str = ""


class Record(Protocol):
    """Writes an event of a history."""

    def __call__(self, **event: Any) -> None:
        """Write it with the time of now."""
        ...


class Session(Protocol):
    """A worker's connection; used by one thread."""

    def steps(self, number: int) -> Iterator[Operation]:
        """What to do at this turn, one after another; ``number`` is no other turn's."""
        ...

    def apply(self, operation: Operation) -> Done:
        """Do it and return when it is acknowledged.

        RefusedError when it surely was not done; any other exception when nobody knows.
        """
        ...

    def close(self) -> None:
        """Drop the connection after an error; the next use makes another."""
        ...


Helper = Callable[[Record, Callable[[], bool]], None]
"""Goes on beside the workers until it is told to stop; what it records has ``p`` set by itself."""


class Workload(Protocol):
    """A kind of use of a store, for one run."""

    def prepare(self) -> Mapping[str, Any]:
        """Make the place to work on; what is worth telling about it (``member``: who serves)."""
        ...

    def session(self, worker: int, random: Random) -> Session:
        """What a worker works with."""
        ...

    def helpers(self) -> Sequence[Helper]:
        """What goes on all the while, such as consumers."""
        ...

    def final(self) -> Mapping[str, Any]:
        """What is there: place → values."""
        ...

    def clean(self) -> None:
        """Remove what the run has made."""
        ...


def said(error: BaseException) -> str:
    """An error in few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:ERROR_LENGTH]
