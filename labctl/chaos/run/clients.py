"""What a run asks of its workloads: so much, that a test can play them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Event = Mapping[str, Any]
"""A line of the history."""


class Clients(Protocol):
    """The workloads of a scenario: clients in the client node that record what they do."""

    @property
    def names(self) -> Mapping[str, str]:
        """Workload → how its table, queue, key or things are called in the store."""
        ...

    def start(self) -> object:
        """Prepare the stores and begin. LabError when one cannot be prepared."""
        ...

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Workload → operations so far, by their end: ok, fail, info."""
        ...

    def stop(self) -> None:
        """Let what has begun end. LabError when it does not."""
        ...

    def finals(self) -> Mapping[str, Any]:
        """What is there now: workload → place → value, or why it cannot be read."""
        ...

    def clean(self) -> object:
        """Remove what they have made in the lab."""
        ...


Write = Callable[[dict[str, Any]], None]
"""Takes an event, in the run's own time, for the history."""

Hire = Callable[[Any, Write, float, int], Clients]
"""(scenario, history, the run's zero on the monotonic clock, seed) → its workloads, not begun."""
