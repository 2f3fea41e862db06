"""A tenant's server and load balancer: laid in order, asked in turn, and nothing stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from labctl.workloads import cloud as clouds
from labctl.workloads import ground
from labctl.workloads.kinds import tenant
from labctl.workloads.loop import operate
from labctl.workloads.model import Operation, RefusedError
from tests.unit.test_workloads_api import answered
from tests.unit.workload_fakes import BASE

CONFIG = {
    **BASE,
    "id": "run-1-w",
    "provider": {"cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1"},
}
USES = {"routers": "networks", "servers": "networks", "loadbalancers": "networks"}
"""Things → what of the same run cannot go before them."""
ONE = {"networks": "network", "routers": "router", "floatingips": "floatingip"} | {
    "security-groups": "security_group",
    "servers": "server",
    "loadbalancers": "loadbalancer",
    "subnets": "subnet",
    "flavors": "flavor",
    "images": "",
}
PARTS = ("listeners", "pools", "healthmonitors")
"""What goes with its load balancer."""
_MANY = {"security-groups": "security_groups"}


class Openstack:
    """APIs in memory; what is in use cannot be deleted, and a router's interface is such a use."""

    def __init__(self) -> None:
        self.things: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in ONE}
        self.plugged: set[str] = set()
        self.made: list[str] = []
        self.parts: list[dict[str, Any]] = []
        self.busy = 0
        """How often a provider network is refused though none is listed."""
        self.status = "ACTIVE"
        self.page = "w.run-1-w.server up 12 s"
        self.silent = 0
        """Pages that are not answered, from now on."""

    def request(self, method: str, url: str, **given: Any) -> Any:  # noqa: C901, PLR0911 - one for each path
        if url.endswith("/auth/tokens"):
            kinds = ("network", "compute", "image", "load-balancer")
            ends = [{"type": k, "endpoints": [{"interface": "public", "url": "u"}]} for k in kinds]
            return answered(201, {"token": {"catalog": ends}}, {"X-Subject-Token": "t"})
        if url.startswith("http://"):
            return self._fetch(url)
        path = re.sub(r"^u(/v2\.0|/v2/lbaas|/v2)?/", "", url)
        name, _, rest = path.partition("?")[0].partition("/")
        if name in PARTS:
            (kind,) = given["json"]
            self.parts.append(given["json"][kind])
            return answered(201, {kind: {"id": kind, **given["json"][kind]}})
        if name == "ports":
            return answered(200, {"ports": self._ports(url.partition("=")[2])})
        if "router_interface" in rest:
            return self._plug(rest, given["json"])
        if method == "POST":
            return self._make(name, given["json"])
        if not rest:
            listed = list(self.things[name].values())
            if "external=true" in url:
                listed = [thing for thing in listed if thing.get("router:external")]
            return answered(200, {_MANY.get(name, name): listed})
        if method == "DELETE":
            return self._delete(name, rest)
        if method == "PUT":
            return answered(204)
        return answered(200, {ONE[name]: self.things[name][rest]})

    def _fetch(self, url: str) -> Any:
        self.silent -= 1
        if self.silent >= 0:
            return answered(503)
        answer = answered(200)
        answer._content = (self.page if url.endswith("/") else '{"version": 3}').encode()
        return answer

    def _make(self, name: str, body: Any) -> Any:
        if name == "security-group-rules":
            return answered(201, {})
        wanted = body[ONE[name]] if ONE[name] else body
        if wanted.get("router:external") and self.busy:
            self.busy -= 1
            return answered(409, "it is there")
        made = {"id": f"{name}-{len(self.made)}", "name": "", **wanted, "status": self.status}
        made |= {"vip_port_id": "vip-port", "provisioning_status": self.status}
        made |= {"floating_ip_address": "203.0.113.7"}
        self.things[name][made["id"]] = made
        self.made.append(name)
        return answered(201, {ONE[name]: made} if ONE[name] else made)

    def _plug(self, rest: str, body: Any) -> Any:
        router, _, how = rest.partition("/")
        if how.startswith("add"):
            self.plugged.add(router)
        else:
            assert body == {"port_id": f"inside-{router}"}
            self.plugged.discard(router)
        return answered(200, {})

    def _ports(self, device: str) -> list[dict[str, Any]]:
        if device.startswith("server"):
            return [{"id": f"port-{device}"}]
        outside = {"id": f"outside-{device}", "device_owner": "network:router_gateway"}
        inside = {"id": f"inside-{device}", "device_owner": tenant._INSIDE[0]}
        return [outside, *([inside] if device in self.plugged else [])]

    def _delete(self, name: str, thing: str) -> Any:
        if self._used(name, thing) or thing in self.plugged:
            return answered(409)
        del self.things[name][thing]
        return answered(204)

    def _used(self, name: str, thing: str) -> bool:
        run = self.things[name][thing]["name"].partition(".")[0]
        above = [
            each
            for user, used in USES.items()
            if used == name
            for each in self.things[user].values()
        ]
        gates = [
            each["external_gateway_info"]["network_id"] for each in self.things["routers"].values()
        ]
        return thing in gates or any(each["name"].startswith(f"{run}.") for each in above)

    @property
    def left(self) -> set[str]:
        """What there is, but for subnets, which go with their networks."""
        return {name for name, things in self.things.items() if things and name != "subnets"}


@pytest.fixture
def openstack(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Openstack]:
    made = Openstack()
    for name in ("vmlinuz", "initrd", "disk"):
        (tmp_path / name).write_bytes(b"0")
    monkeypatch.setattr(ground, "GUEST", tmp_path)
    monkeypatch.setattr(ground, "_PAUSE", 0)
    monkeypatch.setattr(tenant, "_PAUSE", 0)
    monkeypatch.setattr(tenant, "ping", lambda *_: None)
    monkeypatch.setattr(clouds.requests, "request", made.request)
    yield made


def test_a_server_is_laid_asked_and_removed(openstack: Openstack) -> None:
    floating = tenant.Floating(CONFIG)
    assert floating.prepare() == {"address": "203.0.113.7"}
    assert openstack.made[-2:] == ["servers", "floatingips"]
    (address,) = openstack.things["floatingips"].values()
    (server,) = openstack.things["servers"]
    assert address["port_id"] == f"port-{server}"
    asked = [operation for number in (0, 1, 2) for operation in floating.steps(number)]
    assert [operation.f for operation in asked] == ["ping", "fetch", "ping"]
    answers = [floating.apply(operation).value for operation in asked]
    assert answers == ["echo", "w.run-1-w.server", "echo"]
    # Whoever removes it is another process.
    tenant.Floating(CONFIG).clean()
    assert openstack.left == set()


def test_a_balancer_is_laid_over_keystone_and_removed(openstack: Openstack) -> None:
    openstack.silent = 2
    balanced = tenant.Balanced(CONFIG)
    assert balanced.prepare() == {"address": "203.0.113.7"}
    (balancer,) = openstack.things["loadbalancers"].values()
    parts = [(part["name"], part.get("address")) for part in openstack.parts]
    assert parts == [
        ("run-1-w.listener", None),
        ("run-1-w.pool", None),
        ("c1", "10.0.0.1"),
        ("c2", "10.0.0.2"),
        ("run-1-w.healthmonitor", None),
    ]
    assert balancer["vip_subnet_id"].startswith("subnets-")
    (address,) = openstack.things["floatingips"].values()
    assert address["port_id"] == "vip-port"
    tenant.Balanced(CONFIG).clean()
    assert openstack.left == set()


def test_what_another_run_made_stays(openstack: Openstack) -> None:
    tenant.Balanced(CONFIG).prepare()
    tenant.Balanced({**CONFIG, "id": "run-1-w2"}).prepare()
    tenant.Balanced({**CONFIG, "id": "run-1-w2"}).clean()
    assert {len(openstack.things[name]) for name in ("routers", "loadbalancers")} == {1}
    outside = [n for n in openstack.things["networks"].values() if n.get("router:external")]
    assert [network["name"] for network in outside] == ["run-1-w.outside"]


def test_a_provider_network_that_somebody_else_just_makes_is_used(openstack: Openstack) -> None:
    openstack.busy = 1
    assert tenant.Balanced(CONFIG).prepare()
    openstack.things["networks"].clear()
    openstack.busy = 2
    with pytest.raises(RefusedError) as caught:
        tenant.Balanced(CONFIG).prepare()
    assert str(caught.value) == "there is no provider network, and none can be created"


def test_what_comes_out_in_error_says_so(openstack: Openstack) -> None:
    openstack.status = "ERROR"
    with pytest.raises(RuntimeError) as caught:
        tenant.Floating(CONFIG).prepare()
    assert str(caught.value) == "the server to work on is in ERROR"
    tenant.Floating(CONFIG).clean()
    assert openstack.left == set()


@pytest.mark.parametrize(
    ("name", "limit", "says"),
    [
        ("_MADE", {"status": "BUILD"}, "the loadbalancer to work on is still BUILD"),
        (
            "_ANSWERS",
            {"silent": 99},
            "not within 0 s: 203.0.113.7 answers a fetch: status 503: null",
        ),
    ],
)
def test_what_does_not_come_in_time(
    openstack: Openstack, monkeypatch: pytest.MonkeyPatch, name: str, limit: Any, says: str
) -> None:
    monkeypatch.setattr(tenant, name, 0)
    vars(openstack).update(limit)
    with pytest.raises(TimeoutError) as caught:
        tenant.Balanced(CONFIG).prepare()
    assert str(caught.value) == says


def test_what_stays_is_said(openstack: Openstack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "_GOING", 0.05)
    tenant.Balanced(CONFIG).prepare()
    monkeypatch.setitem(USES, "routers", "loadbalancers")
    with pytest.raises(TimeoutError) as caught:
        tenant.Balanced(CONFIG).clean()
    assert str(caught.value) == "/v2/lbaas/loadbalancers/loadbalancers-5 stays, and 0 more"


def test_a_question_that_is_not_answered_changed_nothing(openstack: Openstack) -> None:
    balanced = tenant.Balanced(CONFIG)
    balanced.prepare()
    openstack.silent = 1
    ends: list[dict[str, Any]] = []
    question = Operation("fetch", harmless=True)
    operate(balanced.session(0, None), question, lambda **event: ends.append(event))  # type: ignore[arg-type]
    assert ends[-1]["type"] == "fail"
