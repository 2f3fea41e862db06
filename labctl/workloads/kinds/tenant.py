"""What a tenant offers to the outside: a server behind a router, and a load balancer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from labctl.workloads.cloud import SERVED, Cloud, place
from labctl.workloads.entry import Entry, members
from labctl.workloads.ground import PIECES as GROUND
from labctl.workloads.ground import Found, Piece, lay, post, settle
from labctl.workloads.kinds.vip import ping
from labctl.workloads.model import Config, Done, Operation, RefusedError

if TYPE_CHECKING:
    from labctl.model.lab import Lab

_API_TIMEOUT = 30.0
_MADE, _ANSWERS, _PAUSE = 150.0, 150.0, 1.0
"""Seconds until a server or load balancer must be active, then answer; and between two attempts."""
_OK = frozenset({200, 201, 202, 204})
_TAKEN = frozenset({200, 404, 409})
_INSIDE = ("network:ha_router_replicated_interface", "network:router_interface")
"""Neutron's owners of routers' ports in tenants' networks."""
_LBAAS = "/v2/lbaas"
_GUEST_PORT, _BALANCED_PORT, _KEYSTONE = 80, 80, 5000


class _Tenant:
    """Something with a floating address, to which clients send requests all the time."""

    pieces: tuple[str, ...] = ()
    """Its prerequisites in order; the last one is its floating address."""
    questions: tuple[str, ...] = ()
    """The requests that a client alternates between."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cloud = Cloud({**config, "timeout": _API_TIMEOUT})
        self.address = ""

    def prepare(self) -> dict[str, Any]:
        """Create it, and wait until it answers each request."""
        known = {name: self.config[name] for name in ("provider", "members")}
        self.address = lay(self.cloud, self.config["id"], self.pieces, pieces=PIECES, known=known)[
            "address"
        ]
        for question in self.questions:
            asked = partial(self.apply, Operation(question, harmless=True))
            _until(f"{self.address} answers a {question}", asked, _ANSWERS)
        return {"address": self.address}

    def session(self, worker: int, random: Random) -> _Tenant:  # noqa: ARG002 - all are alike
        """A client outside."""
        return self

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def steps(self, number: int) -> Iterator[Operation]:
        """One request."""
        yield Operation(self.questions[number % len(self.questions)], harmless=True)

    def apply(self, operation: Operation) -> Done:
        """Send it."""
        raise NotImplementedError

    def fetch(self, path: str = "/") -> str:
        """A page, fetched over a new connection."""
        wait = self.config["timeout"]
        url = f"http://{self.address}{path}"
        return str(self.cloud.send("GET", url, expect={200}, timeout=wait).text)

    def close(self) -> None:
        """Nothing: each request has its own connection."""

    def final(self) -> dict[str, Any]:
        """Nothing: it has no state."""
        return {}

    def clean(self) -> None:
        """Remove it and all its prerequisites."""
        lay(self.cloud, self.config["id"], self.pieces, remove=True, pieces=PIECES)


class Floating(_Tenant):
    """A server by its floating address, which its router's active instance has."""

    pieces = ("image", "flavor", "network", "outside", "router", "rules", "server", "address")
    questions = ("ping", "fetch")

    def apply(self, operation: Operation) -> Done:
        """A ping, or the page that begins with the guest's name."""
        if operation.f == "ping":
            ping(self.address, 1, self.config["timeout"])
            return Done("echo")
        return Done(self.fetch().partition(" ")[0].strip())


class Balanced(_Tenant):
    """Keystone's servers behind a tenant's load balancer, by its floating address."""

    pieces = ("network", "outside", "router", "balancer", "address")
    questions = ("fetch",)

    def apply(self, operation: Operation) -> Done:  # noqa: ARG002 - there is one question
        """The description of the API, which is the same from every server."""
        return Done(hashlib.sha256(self.fetch("/v3").encode()).hexdigest()[:12])


def _outside(cloud: Cloud, run: str, found: Found) -> Found:
    """The provider network: there can be only one, so an existing one is used."""
    for _ in range(2):
        path = "/v2.0/networks?router:external=true"
        listed = cloud.request("network", "GET", path, expect=_OK).json()["networks"]
        if listed:
            return {"outside": listed[0]["id"]}
        wanted = {
            "name": f"{run}.outside",
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": "external",
        }
        try:
            made = post(cloud, "network", "/v2.0/networks", network=wanted)["network"]["id"]
        except RefusedError:
            continue  # another client has just created it
        subnet = {"network_id": made, "ip_version": 4, "enable_dhcp": False, **found["provider"]}
        post(cloud, "network", "/v2.0/subnets", subnet=subnet)
        return {"outside": made}
    raise RefusedError("there is no provider network, and none can be created")


def _router(cloud: Cloud, run: str, found: Found) -> Found:
    wanted = {
        "name": f"{run}.router",
        "external_gateway_info": {"network_id": found["outside"]},
    }
    # Another client may have created the provider network, and not its subnet yet.
    router = _until(
        "the router is made",
        lambda: post(cloud, "network", "/v2.0/routers", router=wanted)["router"]["id"],
        _API_TIMEOUT,
    )
    path = f"/v2.0/routers/{router}/add_router_interface"
    cloud.request("network", "PUT", path, json={"subnet_id": found["subnet"]}, expect=_OK)
    return {"router": router}


def _unplug(cloud: Cloud, router: str) -> None:
    """Remove a router's interfaces."""
    path = f"/v2.0/ports?device_id={router}"
    for port in cloud.request("network", "GET", path, expect=_OK).json()["ports"]:
        if port["device_owner"] in _INSIDE:
            path = f"/v2.0/routers/{router}/remove_router_interface"
            cloud.request("network", "PUT", path, json={"port_id": port["id"]}, expect=_TAKEN)


def _rules(cloud: Cloud, run: str, _: Found) -> Found:
    """Security group rules: pings and HTTP from everywhere."""
    wanted = {"name": f"{run}.rules"}
    path = "/v2.0/security-groups"
    group = post(cloud, "network", path, security_group=wanted)["security_group"]["id"]
    web = {"protocol": "tcp", "port_range_min": _GUEST_PORT, "port_range_max": _GUEST_PORT}
    for rule in ({"protocol": "icmp"}, web):
        inward = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4"}
        post(cloud, "network", "/v2.0/security-group-rules", security_group_rule=inward | rule)
    return {"rules": group}


def _server(cloud: Cloud, run: str, found: Found) -> Found:
    wanted = {
        "name": f"{run}.server",
        "imageRef": found["image"],
        "flavorRef": found["flavor"],
        "networks": [{"uuid": found["network"]}],
        "security_groups": [{"name": found["rules"]}],
    }
    server = post(cloud, "compute", "/servers", server=wanted)["server"]["id"]
    settle(cloud, "compute", f"/servers/{server}", "server", seconds=_MADE)
    path = f"/v2.0/ports?device_id={server}"
    (port,) = cloud.request("network", "GET", path, expect=_OK).json()["ports"]
    return {"port": port["id"]}


def _balancer(cloud: Cloud, run: str, found: Found) -> Found:
    """A load balancer over Keystone's servers, which it reaches through the router.

    Created part by part: when requested as a whole, only the balancer itself became active.
    """
    wanted = {"name": f"{run}.balancer", "vip_subnet_id": found["subnet"]}
    made = post(cloud, "load-balancer", f"{_LBAAS}/loadbalancers", loadbalancer=wanted)
    balancer = made["loadbalancer"]
    path = f"{_LBAAS}/loadbalancers/{balancer['id']}"
    service, key = "load-balancer", "provisioning_status"
    settled = partial(settle, cloud, service, path, "loadbalancer", key=key, seconds=_MADE)

    def part(kind: str, path: str, **wanted: Any) -> str:
        settled()
        body = {kind: {"name": f"{run}.{kind}", **wanted}}
        return str(post(cloud, "load-balancer", f"{_LBAAS}/{path}", **body)[kind]["id"])

    place = {"loadbalancer_id": balancer["id"], "protocol_port": _BALANCED_PORT}
    listener = part("listener", "listeners", protocol="HTTP", **place)
    ways = {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}
    pool = part("pool", "pools", listener_id=listener, **ways)
    for name, address in found["members"].items():
        part("member", f"pools/{pool}/members", address=address, protocol_port=_KEYSTONE, name=name)
    times = {"delay": 3, "timeout": 2, "max_retries": 1, "max_retries_down": 2}
    part("healthmonitor", "healthmonitors", pool_id=pool, type="HTTP", url_path="/v3", **times)
    settled()
    return {"port": balancer["vip_port_id"]}


def _address(cloud: Cloud, run: str, found: Found) -> Found:
    wanted = {
        "floating_network_id": found["outside"],
        "port_id": found["port"],
        "description": f"{run}.address",
    }
    made = post(cloud, "network", "/v2.0/floatingips", floatingip=wanted)["floatingip"]
    return {"address": made["floating_ip_address"]}


PIECES: Mapping[str, Piece] = {
    **GROUND,
    "network": replace(GROUND["network"], waits=True),
    "outside": Piece(_outside, "network", "/v2.0/networks", "networks", waits=True),
    "router": Piece(_router, "network", "/v2.0/routers", "routers", release=_unplug, waits=True),
    "rules": Piece(_rules, "network", "/v2.0/security-groups", "security_groups", waits=True),
    "server": Piece(_server, "compute", "/servers", "servers", waits=True),
    "balancer": Piece(
        _balancer,
        "load-balancer",
        "/v2/lbaas/loadbalancers",
        "loadbalancers",
        query="?cascade=true",
        waits=True,
    ),
    "address": Piece(
        _address, "network", "/v2.0/floatingips", "floatingips", name="description", waits=True
    ),
}
"""The prerequisites of a tenant's network, besides the common ones."""


def _until(what: str, attempt: Callable[[], Any], seconds: float) -> Any:
    """What an attempt returns once it succeeds; its error when it does not in time."""
    end = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except Exception as error:
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds:g} s: {what}: {error}") from error
            time.sleep(_PAUSE)


def _place(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    gateway = lab.services["provider-gateway"].settings
    provider = {"cidr": gateway["subnet"], "gateway_ip": gateway["address"].partition("/")[0]}
    return {**place(lab, secrets), "provider": provider, "members": members(lab, "keystone")}


_OUTSIDE = (*SERVED, "neutron-api", "neutron-l3-agent", "provider-gateway")
_FLOATING = Entry(
    kind="tenant",
    way="floating",
    make=Floating,
    services=(*_OUTSIDE, "nova-api", "glance"),
    place=_place,
    operations='``ping``: null → "echo"; ``fetch``: null → the name of the server',
    check="answers",
    settings={"timeout": 1.0},
    rate=5.0,
    workers=2,
    most=20.0,
    apart="-",
)

ENTRIES = (
    _FLOATING,
    replace(
        _FLOATING,
        way="balanced",
        make=Balanced,
        services=(*_OUTSIDE, "octavia-amphora"),
        operations="``fetch``: null → digest of the page",
        settings={"timeout": 2.0},
    ),
)
