"""The rate at which a client starts to measure itself: a cheap workload, faster and faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from labctl.engine.port import Engine
from labctl.planning.desired import Desired
from labctl.workloads.labs import Wanted, entry
from labctl.workloads.load import Loads

RATES = (50.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0)
"""Operations a second, tried in turn until the client cannot keep up."""
SECONDS = 4.0
"""How long each rate is tried."""
KEPT = 0.95
"""Share of a rate that must be reached; late operations are not made up for."""

_NAME = "pace"
_WORKERS = 16
_CHEAP = (("redis", "set"), ("vip", "probe"))
"""Workloads whose operations cost next to nothing, in order of preference."""


@dataclass(frozen=True)
class Pace:
    """A requested rate and what was reached; times in seconds.

    ``late`` is how often the client woke up too late to start an operation in time, ``most`` by how
    much at most; ``took`` is the median duration of an operation.
    """

    rate: float
    reached: float
    late: int
    most: float
    took: float

    @property
    def kept(self) -> bool:
        """Whether the client kept up, so that it did not measure itself."""
        return not self.late and self.reached >= KEPT * self.rate


def workload(desired: Desired) -> tuple[str, str] | None:
    """Kind and way of the cheapest workload that the lab can run; None if there is none."""
    for kind, way in _CHEAP:
        known = entry(Wanted(_NAME, kind, way))
        if all(name in desired.lab.services for name in known.services):
            return kind, way
    return None


def measure(
    engine: Engine, desired: Desired, secrets: Mapping[str, str], kind: str, way: str
) -> Iterator[Pace]:
    """Try one rate after another, up to the first that is too high. LabError if none can start."""
    for rate in RATES:
        events: list[dict[str, Any]] = []
        wanted = Wanted(_NAME, kind, way, rate, _WORKERS, unbounded=True)
        loads = Loads(
            engine,
            desired,
            secrets,
            [wanted],
            events.append,
            began=time.monotonic(),
            seconds=4 * SECONDS,
        )
        loads.start()
        threading.Event().wait(SECONDS)  # the interval that is measured
        loads.stop()
        loads.clean()
        found = pace(rate, events)
        yield found
        if not found.kept:
            return


def pace(rate: float, events: Sequence[Mapping[str, Any]]) -> Pace:
    """The pace of the client that wrote a history."""
    began = sorted(event["t"] for event in events if event["type"] == "invoke")
    late = [event["seconds"] for event in events if event["type"] == "lag"]
    length = began[-1] - began[0] if len(began) > 1 else 0.0
    took = list(_took(events))
    return Pace(
        rate=rate,
        reached=(len(began) - 1) / length if length else 0.0,
        late=len(late),
        most=max(late, default=0.0),
        took=median(took) if took else 0.0,
    )


def highest(found: Sequence[Pace]) -> float | None:
    """The highest rate at which the client kept up; None if even the lowest was too high."""
    return max((each.rate for each in found if each.kept), default=None)


def _took(events: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    begun: dict[int, float] = {}
    for event in events:
        if event["type"] == "invoke":
            begun[event["p"]] = event["t"]
        elif event["type"] == "ok" and event["p"] in begun:
            yield event["t"] - begun.pop(event["p"])
