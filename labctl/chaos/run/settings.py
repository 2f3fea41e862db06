"""The settings in force that promises and budgets depend on: the catalogue's, and rendered ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labctl.chaos.model.timers import timers
from labctl.model.lab import Lab, Service
from labctl.planning.desired import Desired

_STORES = {
    "mariadb": "galera",
    "rabbitmq": "rabbitmq",
    "redis": "redis",
    "mongodb": "mongodb",
}
"""Service → the name that workloads have for this store."""

_RENDERED = {
    "mariadb": ("innodb_flush_log_at_trx_commit", "wsrep_sync_wait", "innodb_snapshot_isolation"),
    "redis": ("min-replicas-to-write", "min-replicas-max-lag"),
}
"""Service → directives that are read from its rendered files."""


def effective(desired: Desired) -> dict[str, dict[str, Any]]:
    """Store or service → its settings in force (directives with _ for -), and ``timers``.

    Values that a template has without a setting are read from the rendered file, so that a lab
    sabotaged on purpose is judged by what it really runs.
    """
    found: dict[str, dict[str, Any]] = {"timers": dict(timers(desired.lab))}
    for name, service in desired.lab.services.items():
        values = {**service.settings, **_rendered(desired, name)}
        if name == "mariadb":
            endpoint = service.doc.endpoint
            single = endpoint is not None and endpoint.single
            spread = service.settings.get("spread_clients")
            values["writers"] = 1 if single and not spread else len(service.nodes)
        if values:
            found[name] = values
            found[_STORES.get(name, name)] = values
    return found


def _rendered(desired: Desired, service: str) -> Mapping[str, Any]:
    unit = next((u for n, u in desired.instances.items() if n.endswith(f"/{service}")), None)
    text = "\n".join(file.data.decode("utf-8", "replace") for file in unit.files) if unit else ""
    values: dict[str, Any] = {}
    for directive in _RENDERED.get(service, ()):
        matched = re.search(rf"^{directive}[ \t]*[= \t][ \t]*(\S+)$", text, re.MULTILINE)
        if matched:
            said = matched[1]
            values[directive.replace("-", "_")] = int(said) if said.isdigit() else said
    return values


def places(lab: Lab) -> dict[str, dict[str, list[str]]]:
    """Service → the ``nodes`` that run it and the services that it ``needs``, directly.

    So a run can be judged without its lab: what a fault explains follows from who needs whom.
    """
    return {
        name: {"nodes": [node.name for node in service.nodes], "needs": sorted(_needs(service))}
        for name, service in lab.services.items()
    }


def _needs(service: Service) -> set[str]:
    doc = service.doc
    named = {each.partition("/")[0] for each in (*doc.needs, *doc.uses, *doc.beside)}
    named |= {"haproxy", "keepalived"} if doc.endpoint is not None else set()
    # What it keeps there, or asks there, goes through the virtual IP.
    named |= {"mariadb", "haproxy", "keepalived"} if doc.database is not None else set()
    return named - {service.name}
