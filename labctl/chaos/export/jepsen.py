"""Jepsen's history: one operation map to a line, in the order of time.

As Jepsen's ``history.edn`` has them, and Knossos and elle-cli read them: ``{:index 0, :time 12,
:type :invoke, :process 0, :f :read, :value nil}``, with ``:time`` in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labctl.chaos.export.edn import Word, edn
from labctl.chaos.export.moments import Moment, moments
from labctl.chaos.folder.history import Operation

_TXN = "txn"


def whole(operations: Sequence[Operation]) -> Mapping[str, str]:
    """All of a workload's operations."""
    return {".edn": _lines(operations)}


def transactions(operations: Sequence[Operation]) -> Mapping[str, str]:
    """A workload's transactions on lists, or registers as transactions; nothing of another."""
    kinds = {op.f for op in operations}
    if _TXN in kinds:
        return {".list-append.edn": _lines([op for op in operations if op.f == _TXN])}
    if kinds and kinds <= {"read", "write", "cas"} and "write" in kinds:
        # Elle knows no compare-and-set: what it reads and writes is a transaction of both.
        return {".rw-register.edn": _lines(list(map(_as_transaction, operations)))}
    return {}


def _as_transaction(op: Operation) -> Operation:
    asked = _parts(op.f, op.asked)
    answer = _parts(op.f, op.answer) if op.end == "ok" else None
    return replace(op, f=_TXN, asked=asked, answer=answer)


def _parts(f: str, value: Any) -> list[list[Any]]:
    name, rest = value
    if f == "cas":
        return [["r", name, rest[0]], ["w", name, rest[1]]]
    return [["r" if f == "read" else "w", name, rest]]


def _lines(operations: Sequence[Operation]) -> str:
    rows = (_row(index, moment) for index, moment in enumerate(moments(operations)))
    return "".join(edn(row) + "\n" for row in rows)


def _row(index: int, moment: Moment) -> dict[str, Any]:
    op, value = moment.operation, moment.value
    if op.f == _TXN:
        value = [[Word(f), *rest] for f, *rest in value]
    row = {
        "index": index,
        "time": max(0, round(moment.t * 1_000_000_000)),
        "type": Word(moment.type),
        "process": moment.process,
        "f": Word(op.f),
        "value": value,
    }
    return {**row, "error": op.error} if op.error and moment.type != "invoke" else row
