"""What all checks share: values as keys, places of finals, bounded evidence."""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import MAX_EVIDENCE, Evidence, Finding

Finals = Any
"""A workload's final state (its part of finals.json); None when it was not read."""

Settings = Mapping[str, Any]

_SHOWN = 10


def key(value: Any) -> Hashable:
    """A JSON value as a hashable key: itself, if it is one."""
    if isinstance(value, (str, int, float)) or value is None:
        return value
    return json.dumps(value, sort_keys=True)


def shown(values: Iterable[Any]) -> str:
    """The first few of some values, sorted, for a sentence."""
    ordered = sorted(values, key=lambda value: (str(type(value)), value))
    more = ", ..." if len(ordered) > _SHOWN else ""
    return ", ".join(map(str, ordered[:_SHOWN])) + more


def counted(values: Collection[Any], what: str) -> str:
    """``3 acknowledged and lost: 1, 5, 9``."""
    return f"{len(values)} {what}: {shown(values)}"


def evidence(operations: Iterable[Operation], said: str) -> tuple[Evidence, ...]:
    """Operations as evidence, the first MAX_EVIDENCE of them."""
    chosen: list[Evidence] = []
    for operation in operations:
        if len(chosen) == MAX_EVIDENCE:
            break
        chosen.append(quote(operation, said))
    return tuple(chosen)


def quote(operation: Operation, said: str) -> Evidence:
    """One operation as evidence."""
    when = operation.began if operation.ended is None else operation.ended
    where = f" at {operation.at}" if operation.at else ""
    return Evidence(said + where, when, operation.process, operation.f, operation.value)


def kept(check: str, why: str, aspect: Any = "always", **counts: float) -> Finding:
    """A finding that nothing is broken."""
    return Finding(check, broken=False, why=why, aspect=aspect, counts=counts)


def unknown(check: str, why: str, **counts: float) -> Finding:
    """A finding that nothing can be said."""
    return Finding(check, broken=None, why=why, aspect="nothing", counts=counts)


def places(finals: Finals) -> dict[str, list[Any]] | None:
    """Finals that are lists, by place; None when they were not read.

    A place that could not be read (null, or a mapping with ``error``) is left out.
    """
    if not isinstance(finals, Mapping):
        return None
    found = {str(name): values for name, values in finals.items() if isinstance(values, list)}
    return found or None


def ended(operations: Sequence[Operation], end: str) -> list[Operation]:
    """The operations that ended as ``end``."""
    return [operation for operation in operations if operation.end == end]
