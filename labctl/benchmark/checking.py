"""The cost of judging: CPU time of the checkers on generated histories of a correct store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from labctl.chaos.checks import checker
from labctl.chaos.folder import history
from labctl.chaos.folder.history import Operation
from labctl.workloads.registry import KINDS

OPERATIONS = 100_000
"""More than a run of minutes has: 500 operations a second for over three minutes."""

_STORE = "galera"
"""The store whose workloads are generated: it has all ways that are expensive to check."""
_PROCESSES = 4
_APART = 0.005
"""Seconds from one operation to the next."""

Answer = tuple[str, Any, Any]
"""Operation, value requested, and value returned."""


@dataclass(frozen=True)
class Checked:
    """A checked history: number of operations, CPU-seconds, and what was found wrong."""

    operations: int
    cpu: float
    broken: tuple[str, ...]


def measure(operations: int = OPERATIONS) -> dict[str, Checked]:
    """Check a history of each way, and read and pair one from its lines (``read and pair``).

    Nothing may be found broken: the store is a dictionary.
    """
    found = {}
    for way, store in _STORES.items():
        made, finals = generate(store, operations)
        check = checker(_STORE, way)
        assert check is not None  # noqa: S101 - of the ways above
        began = time.process_time()
        findings = check(made, finals, KINDS[_STORE][way].settings)
        spent = time.process_time() - began
        wrong = tuple(finding.check for finding in findings if finding.broken is not False)
        found[way] = Checked(len(made), spent, wrong)
        if way == "set":
            found["read and pair"] = _read(made)
    return found


Store = Callable[[int, Random, dict[Any, Any]], Answer]
"""Answers operation ``number``; the dictionary is its state."""


def generate(store: Store, operations: int) -> tuple[list[Operation], Mapping[str, Any]]:
    """The history of several concurrent processes, and the final contents of each place."""
    dice = Random(1)  # noqa: S311 - to repeat it
    kept: dict[Any, Any] = {}
    made = []
    for number in range(operations):
        f, asked, answer = store(number, dice, kept)
        done = number * _APART
        # No process has two at a time, as its next is four later.
        began, ended = done - dice.uniform(0, 1.9) * _APART, done + dice.uniform(0, 1.9) * _APART
        process = number % _PROCESSES
        made.append(Operation("load", process, f, asked, began, ended, "ok", answer))
    end = kept.get("values", kept)
    return sorted(made, key=lambda each: each.began), dict.fromkeys(("c1", "c2"), end)


def _set(number: int, _: Random, kept: dict[Any, Any]) -> Answer:
    kept.setdefault("values", []).append(number)
    return "add", number, number


def _bank(number: int, dice: Random, kept: dict[Any, Any]) -> Answer:
    settings = KINDS[_STORE]["bank"].settings
    for account in range(settings["accounts"]) if not kept else ():
        kept[str(account)] = settings["balance"]
    if number % 4 == 0:
        return "read", None, dict(kept)
    one, other = dice.sample(sorted(kept), 2)
    amount = dice.randint(0, min(5, kept[one]))
    kept[one], kept[other] = kept[one] - amount, kept[other] + amount
    told = {"from": one, "to": other, "amount": amount}
    return "transfer", told, told


def _register(number: int, dice: Random, kept: dict[Any, Any]) -> Answer:
    name = _key("register", number)
    values, old = kept.setdefault("values", []), kept.get(name)
    if old is None:
        kept[name] = old = [name, None]
        values.append(old)
    word = dice.choice(("read", "write", "cas"))
    if word == "read":
        return word, [name, None], [name, old[1]]
    asked = [name, number] if word == "write" else [name, [old[1], number]]
    old[1] = number
    return word, asked, asked


def _append(number: int, _: Random, kept: dict[Any, Any]) -> Answer:
    name = _key("append", number)
    kept.setdefault(name, []).append(number)
    asked = [["append", name, number], ["r", name, None]]
    return "txn", asked, [["append", name, number], ["r", name, list(kept[name])]]


_STORES: Mapping[str, Store] = {
    "set": _set,
    "bank": _bank,
    "register": _register,
    "append": _append,
}


def _key(way: str, number: int) -> int:
    """Keys as the workload uses them: a few at a time, each for a number of operations."""
    settings = KINDS[_STORE][way].settings
    at_once, each = settings["keys"], settings["per_key"]
    return int(number // (at_once * each) * at_once + number % at_once)


def _read(made: list[Operation]) -> Checked:
    lines = sorted(_lines(made))
    began = time.process_time()
    paired = history.pair(history.parse((line for _, line in lines), "history.jsonl"))
    spent = time.process_time() - began
    return Checked(len(paired), spent, () if len(paired) == len(made) else ("pairs",))


def _lines(made: list[Operation]) -> Iterator[tuple[float, str]]:
    for each in made:
        about = {"w": each.workload, "p": each.process, "f": each.f}
        for t, kind, value in (
            (each.began, "invoke", each.asked),
            (each.ended or each.began, each.end, each.answer),
        ):
            row = {"t": t, "type": kind, "value": value, "error": "", **about}
            yield t, json.dumps(row) + "\n"
