"""How each kind of cluster is recovered: one module for each.

A module here defines ``STORE`` (:class:`~labctl.planning.recovery.model.Store`) and needs no other
registration: ``recover``, ``up`` and the table in docs/recovery.md use this registry.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.planning.recovery.model import Store


@cache
def registered() -> Mapping[str, Store]:
    """Kind of cluster → how it is recovered."""
    found: dict[str, Store] = {}
    for module in pkgutil.iter_modules(__path__):
        store = import_module(f"{__name__}.{module.name}").STORE
        if store.kind in found:
            raise ValueError(f"two modules define the store '{store.kind}'")
        found[store.kind] = store
    return found
