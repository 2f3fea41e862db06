"""Operations as their beginnings and ends, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.chaos.folder.history import Operation

_APART = 10_000


@dataclass(frozen=True, slots=True)
class Moment:
    """The beginning (``invoke``) or the end of an operation; ``t`` in seconds."""

    t: float
    process: int
    type: str
    operation: Operation

    @property
    def value(self) -> Any:
        """What was asked for, or answered."""
        answered = self.type == "ok" and self.operation.answer is not None
        return self.operation.answer if answered else self.operation.asked


def moments(operations: Sequence[Operation]) -> Iterator[Moment]:
    """Beginnings and ends. A process that does not know an end goes on under another number.

    Jepsen's processes do, for the operation may take effect beside what the same client does next.
    """
    found: list[tuple[float, int, int, Moment]] = []
    unknown: dict[int, int] = {}
    for place, op in enumerate(sorted(operations, key=lambda op: op.began)):
        process = op.process + _APART * unknown.get(op.process, 0)
        found.append((op.began, 1, place, Moment(op.began, process, "invoke", op)))
        if op.ended is not None:
            # What ends when another begins ended before that began only if it is earlier.
            found.append((op.ended, 2, place, Moment(op.ended, process, op.end, op)))
        if op.end == "info":
            unknown[op.process] = unknown.get(op.process, 0) + 1
    yield from (moment for *_, moment in sorted(found, key=lambda each: each[:3]))
