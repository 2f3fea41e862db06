"""Where a workload finds what it uses in a lab, with which account, and at which pace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.workloads.registry import KINDS, Entry

TIMEOUT = 5.0
_API_TIMEOUT = 30.0
_OPENSTACK = ("api", "tenant")


@dataclass(frozen=True)
class Wanted:
    """A workload as it is asked for; what is None is as usual for its kind."""

    name: str
    kind: str
    way: str
    """``as`` in a scenario: set, bank, ..."""
    rate: float | None = None
    """Operations a second, of all workers together."""
    workers: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    unbounded: bool = False
    """Whether it may be faster than one client can be: to find out how fast that is."""


def entry(wanted: Wanted) -> Entry:
    """What is known of a workload. InputError when there is none like that."""
    kinds = KINDS.get(wanted.kind)
    if kinds is None:
        raise InputError(
            f"workload {wanted.name}: no kind '{wanted.kind}'; there are {', '.join(KINDS)}"
        )
    if wanted.way not in kinds:
        raise InputError(
            f"workload {wanted.name}: {wanted.kind} cannot be used as '{wanted.way}', but as"
            f" {', '.join(kinds)}"
        )
    return kinds[wanted.way]


def config(
    wanted: Wanted, lab: Lab, secrets: Mapping[str, str], run: str, seed: int
) -> dict[str, Any]:
    """Everything the client needs to know; holds secrets.

    InputError when the lab has not what it needs, or when it would be too fast for one client.
    """
    known = entry(wanted)
    missing = [name for name in known.services if name not in lab.services]
    if missing:
        raise InputError(
            f"workload {wanted.name}: lab {lab.name} has no {', '.join(missing)}; give it a"
            " larger profile"
        )
    rate = known.rate if wanted.rate is None else wanted.rate
    if not (0 < rate <= known.most or wanted.unbounded):
        raise InputError(
            f"workload {wanted.name}: rate {rate:g} should be above 0 and at most {known.most:g}"
            " a second: a faster client would measure itself"
        )
    timeout = _API_TIMEOUT if wanted.kind == "api" else TIMEOUT
    return {
        "name": wanted.name,
        "id": _id(f"{run}_{wanted.name}", wanted.kind),
        "kind": wanted.kind,
        "as": wanted.way,
        "rate": rate,
        "workers": wanted.workers or known.workers,
        "seed": seed,
        "timeout": timeout,
        **known.settings,
        **wanted.settings,
        **_place(lab, secrets, wanted.kind),
    }


def _id(name: str, kind: str) -> str:
    """What tables, queues and keys are called that are of this run only.

    Some APIs take names only that could be a host's, and SQL none with a hyphen.
    """
    apart = "-" if kind in _OPENSTACK else "_"
    return "".join(c if c.isalnum() else apart for c in name)[:48]


def _place(lab: Lab, secrets: Mapping[str, str], kind: str) -> dict[str, Any]:
    return _PLACES[kind](lab, secrets)


def _galera(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    account = {"user": "root", "password": secrets["mariadb.root"]}
    return {"host": lab.vip, "port": 3306, **account, "members": _members(lab, "mariadb")}


def _rabbitmq(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    user = lab.services["rabbitmq"].settings["user"]
    account = {"user": user, "password": secrets["rabbitmq.password"]}
    return {"port": 5672, "api_port": 15672, **account, "members": _members(lab, "rabbitmq")}


def _redis(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    master = lab.services["sentinel"].settings["master"]
    known = {"master": master, "password": secrets["redis.password"]}
    return {"port": 26379, **known, "members": _members(lab, "sentinel")}


def _mongodb(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    replica_set = lab.services["mongodb"].settings["replica_set"]
    account = {"user": "root", "password": secrets["mongodb.root"]}
    known = {"replica_set": replica_set, **account}
    return {"port": 27017, **known, "members": _members(lab, "mongodb")}


def _api(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    account = {"user": "admin", "password": secrets["keystone.admin"], "project": "admin"}
    return {"host": lab.vip, "port": 5000, **account}


def _tenant(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    gateway = lab.services["provider-gateway"].settings
    provider = {"cidr": gateway["subnet"], "gateway_ip": gateway["address"].partition("/")[0]}
    return {**_api(lab, secrets), "provider": provider, "members": _members(lab, "keystone")}


def _vip(lab: Lab, _: Mapping[str, str]) -> dict[str, Any]:
    ports = [
        service.doc.endpoint.port
        for service in lab.services.values()
        # A database counts connections without a login as attacks.
        if service.doc.endpoint is not None and service.doc.endpoint.mode == "http"
    ]
    if not ports:
        raise InputError(f"lab {lab.name} serves nothing on its virtual IP over HTTP")
    macs = {node.mac.lower(): node.name for node in lab.nodes}
    return {"host": lab.vip, "port": ports[0], "macs": macs}


_PLACES = {
    "galera": _galera,
    "rabbitmq": _rabbitmq,
    "redis": _redis,
    "mongodb": _mongodb,
    "memcached": _api,
    "vip": _vip,
    "tenant": _tenant,
    "api": _api,
}


def _members(lab: Lab, service: str) -> dict[str, str]:
    return {node.name: node.address for node in lab.services[service].nodes}
