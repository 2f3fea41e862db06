"""Axes that map seconds to pixels, linear and logarithmic, and their ticks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


@dataclass(frozen=True)
class TimeAxis:
    """Maps a run's seconds, 0 to ``length``, to pixels between ``left`` and ``right``."""

    length: float
    left: float
    right: float

    def x(self, t: float) -> float:
        """A moment's position; moments outside of the run are put on its edge."""
        inside = min(max(t, 0.0), self.length)
        return self.left + (self.right - self.left) * inside / self.length

    def ticks(self) -> Iterator[float]:
        """About ten round moments."""
        step = next((s for s in _STEPS if self.length / s <= 14), math.ceil(self.length / 12))
        for index in range(int(self.length / step) + 1):
            yield index * step

    @staticmethod
    def label(t: float, length: float) -> str:
        """``40 s``, or ``1:20`` in a run of minutes."""
        minutes, seconds = divmod(round(t), 60)
        return f"{minutes}:{seconds:02}" if length >= 120 else f"{t:g} s"


@dataclass(frozen=True)
class LogAxis:
    """Maps seconds from ``low`` to ``high`` to pixels between ``bottom`` and ``top``."""

    low: float
    high: float
    top: float
    bottom: float

    def y(self, seconds: float) -> float:
        """A duration's position."""
        inside = min(max(seconds, self.low), self.high)
        part = math.log10(inside / self.low) / math.log10(self.high / self.low)
        return self.bottom - (self.bottom - self.top) * part

    def ticks(self) -> Iterator[float]:
        """The decades."""
        exponent = round(math.log10(self.low))
        while (value := 10.0**exponent) <= self.high * 1.001:
            yield value
            exponent += 1


def decades(low: float, high: float, top: float, bottom: float) -> LogAxis:
    """An axis of whole decades, at least two, that contains both values."""
    first = math.floor(math.log10(min(max(low, 1e-4), 1e3)) + 1e-9)
    last = math.ceil(math.log10(min(max(high, 1e-3), 1e4)) - 1e-9)
    return LogAxis(10.0**first, 10.0 ** max(last, first + 2), top, bottom)
