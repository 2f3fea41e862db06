"""The workloads there are: one module of :mod:`labctl.workloads.kinds` for each store, or several.

A module there defines ``ENTRIES``. It is shipped to the client node, where there is nothing else of
labctl: it may import what is in this package, and of libraries that only the client has a
:class:`~labctl.workloads.entry.Driver`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module

from labctl.workloads import kinds
from labctl.workloads.entry import Entry


def _registered() -> Mapping[str, Mapping[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for module in pkgutil.iter_modules(kinds.__path__):
        for entry in import_module(f"{kinds.__name__}.{module.name}").ENTRIES:
            ways = found.setdefault(entry.kind, {})
            if entry.way in ways:
                raise ValueError(f"two modules define the workload {entry.kind}/{entry.way}")
            ways[entry.way] = entry
    return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


KINDS: Mapping[str, Mapping[str, Entry]] = _registered()
"""Kind → as → workload."""
