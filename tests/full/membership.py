"""Whether an instance takes part: in HAProxy's backends, in its system's list, at the brokers.

That it answers (``labctl status``) is not enough: what is dead for the others may answer well.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

import openstack
import requests

from labctl.engine.port import Engine
from labctl.model.lab import Instance, Lab
from labctl.running.lifecycle import Prepared

LISTS: Mapping[str, tuple[str, str, str]] = {
    "nova-": ("compute", "/os-services", "services"),
    "cinder-": ("volumev3", "/os-services", "services"),
    "neutron-": ("network", "/v2.0/agents", "agents"),
    "heat-engine": ("orchestration", "/services", "services"),
}
"""Service's name or the beginning of it → type in the catalog, path, and key of the list."""

_OWN = re.compile("[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}")
"""In the names of queues for replies and fan-outs, which a process makes anew when it starts."""


class Membership:
    """Asked from the host, which has an address in the lab."""

    def __init__(self, engine: Engine, prepared: Prepared, clouds: str) -> None:
        self._engine = engine
        self._lab: Lab = prepared.lab
        self._secrets = prepared.secrets
        config = openstack.config.OpenStackConfig(config_files=[clouds])
        self._session = config.get_one(cloud=prepared.lab.name).get_session()

    def listed(self, instance: Instance) -> bool | None:
        """Alive in its own system's list; None where there is none, or it is not in it."""
        name = instance.service.name
        key = next((key for key in LISTS if name.startswith(key)), None)
        if key is None or LISTS[key][0] not in self._types():
            return None
        kind, path, field = LISTS[key]
        answer = self._session.get(
            path, endpoint_filter={"service_type": kind, "interface": "public"}
        )
        # What is active on one node bears the same name on all of them.
        alone = instance.service.doc.active == "one"
        states = [
            _alive(entry)
            for entry in answer.json()[field]
            if entry["binary"] == name and (alone or _host(entry) == instance.node.name)
        ]
        return any(states) if states else None

    def balanced(self, instance: Instance) -> bool | None:
        """Up in every HAProxy that runs; None when no port of it is served on the virtual IP."""
        if instance.service.doc.endpoint is None:
            return None
        states = [
            entry["status"]
            for node in self._lab.services["haproxy"].nodes
            for entry in self._haproxy(node.address)
            if (entry["# pxname"], entry["svname"]) == (instance.service.name, instance.node.name)
        ]
        return bool(states) and all(state.startswith("UP") for state in states)

    def consumers(self) -> dict[str, int]:
        """How many take from each of the brokers' queues, but those of a single process."""
        broker = next(i for i in self._lab.instances if i.service.name == "rabbitmq")
        command = ["rabbitmqctl", "-q", "list_queues", "name", "consumers", "--formatter", "json"]
        answer = self._engine.exec(self._lab.container(broker), command)
        assert answer.code == 0, answer.stderr
        queues = {entry["name"]: entry["consumers"] for entry in json.loads(answer.stdout)}
        return {name: count for name, count in queues.items() if not _OWN.search(name)}

    def schedule(self, node: str, how: Literal["enable", "disable"]) -> None:
        """Whether Nova may put new servers on a compute node."""
        nova = {"endpoint_filter": {"service_type": "compute", "interface": "public"}}
        headers = {"OpenStack-API-Version": "compute 2.53"}
        query = f"/os-services?binary=nova-compute&host={node}"
        found = self._session.get(query, headers=headers, **nova).json()["services"]
        (service,) = (entry["id"] for entry in found)
        change = {"status": f"{how}d"}
        self._session.put(f"/os-services/{service}", json=change, headers=headers, **nova)

    def _haproxy(self, address: str) -> list[dict[str, str]]:
        password = self._secrets["haproxy.stats"]
        port = self._lab.services["haproxy"].doc.ready.http
        assert port is not None
        url = f"http://{address}:{port.port}/stats;csv"
        answer = requests.get(url, auth=("labctl", password), timeout=5)
        return list(csv.DictReader(answer.text.splitlines()))

    def _types(self) -> set[str]:
        services = self._lab.services.values()
        return {entry.type for service in services for entry in service.doc.catalog}


def _alive(entry: Mapping[str, Any]) -> bool:
    """Nova, Cinder and Heat say a state; Neutron says alive."""
    return (
        bool(entry["alive"])
        if "alive" in entry
        else entry.get("state", entry.get("status")) == "up"
    )


def _host(entry: Mapping[str, Any]) -> str:
    """The node: Cinder adds the backend's name to it."""
    return str(entry["host"]).partition("@")[0]
