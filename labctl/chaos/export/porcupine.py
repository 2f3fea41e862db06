r"""Porcupine's log of a register: the lines that its tests read (``test_data/jepsen``).

For example ``INFO  jepsen.util - 3 :invoke :cas [2 4]``, with tabs; a read of nothing is ``nil``.
What failed is left out, for there a ``:fail`` of a compare-and-set says that the value was another;
so are reads without an answer. A write of unknown end has no end, as there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labctl.chaos.export.moments import moments
from labctl.chaos.folder.history import Operation

_KNOWN = frozenset({"read", "write", "cas"})


def registers(operations: Sequence[Operation]) -> Mapping[str, str]:
    """Each key of a workload's registers; nothing of another."""
    if not {op.f for op in operations} <= _KNOWN:
        return {}
    keys: dict[Any, list[str]] = {}
    done = [op for op in operations if op.end == "ok" or (op.end == "info" and op.f != "read")]
    for moment in moments(done):
        name, value = moment.value
        if moment.type != "info":
            said = f"{moment.process}\t:{moment.type}\t:{moment.operation.f}\t{_said(value)}"
            keys.setdefault(name, []).append(f"INFO  jepsen.util - {said}\n")
    return {f".{name}.log": "".join(lines) for name, lines in keys.items()}


def _said(value: Any) -> str:
    if isinstance(value, list):
        return "[" + " ".join(map(_said, value)) + "]"
    return "nil" if value is None else str(value)
