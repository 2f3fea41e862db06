"""What the tests of the workloads' modules share: settings, fake libraries, how things end."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from importlib import import_module
from random import Random
from typing import Any

import pytest

from labctl.workloads.loop import operate
from labctl.workloads.model import Operation

BASE = {
    "name": "w",
    "id": "run_1_w",
    "as": "set",
    "host": "vip",
    "port": 1,
    "user": "u",
    "password": "p",
    "project": "admin",
    "timeout": 1.0,
    "members": {"c1": "10.0.0.1", "c2": "10.0.0.2"},
    "master": "lab",
    "replica_set": "rs0",
    "workers": 2,
    "consumers": 1,
    "keys": 2,
    "per_key": 10,
    "accounts": 3,
    "balance": 10,
    "locking": True,
    "spread": False,
    "sync_wait": False,
    "through_vip": False,
    "lock_reads": False,
}


def fake(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(contents)
    return module


def error(name: str, *bases: type[Exception]) -> type[Exception]:
    return type(name, bases or (Exception,), {})


def importer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a module of the workloads over fake libraries."""
    loaded: list[str] = []

    def get(name: str, **libraries: types.ModuleType) -> Any:
        for library, module in libraries.items():
            monkeypatch.setitem(sys.modules, library.replace("__", "."), module)
        # Anew, for tests that change its classes.
        monkeypatch.delitem(sys.modules, f"labctl.workloads.kinds.{name}", raising=False)
        loaded.append(f"labctl.workloads.kinds.{name}")
        return import_module(f"labctl.workloads.kinds.{name}")

    yield get
    for name in loaded:
        sys.modules.pop(name, None)


def dice(seed: int = 1) -> Random:
    return Random(seed)  # noqa: S311 - repeatable


def end(session: Any, f: str, value: Any = None, harmless: bool = False) -> dict[str, Any]:
    """How an operation ended."""
    events: list[dict[str, Any]] = []
    operate(session, Operation(f, value, harmless=harmless), lambda **event: events.append(event))
    return events[-1]
