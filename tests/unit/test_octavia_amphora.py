"""octavia-amphora's agent: what it makes of Octavia's words, and what it answers."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
import threading
import zlib
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
import requests

from labctl.documents import shipped

AMPHORA = "3fd9f238-e8b8-11f1-8da6-0000c612000c"
BALANCER = "0d7f7e9e-6c2a-4a6e-8a39-3a3f3f6a2b11"
PORT = "5b0c9f5e-51a1-4b8e-9a53-1f6f7c0f9d22"
CONFIG = """[health_manager]
controller_ip_port_list = 198.18.0.11:5555, 198.18.0.12:5555
heartbeat_interval = 5
heartbeat_key = a%key
[amphora_agent]
amphora_id = amp-1
"""
VIP = {
    "mac_address": "fa:16:3e:00:00:01",
    "subnet_cidr": "10.71.0.0/24",
    "gateway": "10.71.0.1",
    "vrrp_ip": "10.71.0.7",
    "mtu": 1400,
    "host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.71.0.254"}],
    "additional_vips": [],
}
STATISTICS = """# pxname,svname,scur,stot,bin,bout,ereq,status,weight
listener,FRONTEND,2,{total},100,900,0,OPEN,
pool:listener,m1,0,1,0,0,,UP,1
pool:listener,m2,0,0,0,0,,DOWN,1
pool:listener,m3,0,0,0,0,,UP,0
pool:listener,BACKEND,0,1,0,0,,UP,1
prometheus-exporter-internal,BACKEND,0,1,0,0,,UP,1

"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports one of the service's modules, as its program does."""
    monkeypatch.syspath_prepend(str(shipped.data_dir("compose") / "octavia-amphora"))
    return importlib.import_module


def test_heartbeats_are_read_from_what_octavia_gives_an_amphora(module: Any) -> None:
    found = module("plugged").heartbeats(CONFIG)
    assert found.amphora == "amp-1"
    assert found.managers == (("198.18.0.11", 5555), ("198.18.0.12", 5555))
    assert (found.interval, found.key) == (5.0, "a%key")
    nobody = CONFIG.replace("198.18.0.11:5555, 198.18.0.12:5555", "")
    assert module("plugged").heartbeats(nobody).managers == ()


def test_the_amphoras_own_address_is_the_source_and_the_vip_moves(module: Any) -> None:
    found = module("plugged").of_vip("10.71.0.5", VIP)
    assert found.addresses == ("10.71.0.7/24", "10.71.0.5/32")
    assert found.routes == (("default", "10.71.0.1"), ("10.9.0.0/16", "10.71.0.254"))
    assert found.announced == ("10.71.0.5",)


def test_a_subnet_without_gateway_has_no_default_route(module: Any) -> None:
    assert module("plugged").of_vip("10.71.0.5", {**VIP, "gateway": None}).routes == (
        ("10.9.0.0/16", "10.71.0.254"),
    )


def test_a_network_of_members_has_its_addresses_and_no_default_route(module: Any) -> None:
    fixed = {"ip_address": "10.72.0.3", "subnet_cidr": "10.72.0.0/24", "gateway": "10.72.0.1"}
    found = module("plugged").of_network({"fixed_ips": [{**fixed, "host_routes": []}]})
    assert (found.addresses, found.routes, found.announced) == (("10.72.0.3/24",), (), ())


def test_members_beside_the_vip_share_its_interface(module: Any) -> None:
    own = {"ip_address": "10.71.0.7", "subnet_cidr": "10.71.0.0/24", "host_routes": []}
    more = {"ip_address": "10.73.0.2", "subnet_cidr": "10.73.0.0/24", "host_routes": []}
    info = {"fixed_ips": [own, more], "vip_net_info": {**VIP, "vip": "10.71.0.5"}}
    found = module("plugged").of_network(info)
    assert found.addresses == ("10.71.0.7/24", "10.71.0.5/32", "10.73.0.2/24")
    assert found.announced == ("10.71.0.5",)


def test_haproxy_says_its_version(module: Any) -> None:
    said = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\nStatus: ...\n"
    assert module("plugged").haproxy_version(said) == "2.6.12-1+deb12u4"
    with pytest.raises(ValueError, match="haproxy -v says 'what'"):
        module("plugged").haproxy_version("what")


def test_a_heartbeat_tells_of_growth_and_of_each_member(module: Any) -> None:
    heartbeat = module("heartbeat")
    counters = heartbeat.Counters()

    def said(total: int) -> dict[str, Any]:
        rows = heartbeat.rows(STATISTICS.format(total=total))
        message: dict[str, Any] = heartbeat.message("amp-1", 7, rows, counters)
        return message

    first = said(5)
    assert (first["id"], first["seq"], first["ver"]) == ("amp-1", 7, 3)
    stats = {"tx": 900, "rx": 100, "ereq": 0, "totconns": 5, "conns": 2}
    assert first["listeners"] == {"listener": {"status": "OPEN", "stats": stats}}
    members = {"m1": "UP", "m2": "DOWN", "m3": "DRAIN"}
    assert first["pools"] == {"pool:listener": {"status": "UP", "members": members}}
    assert said(8)["listeners"]["listener"]["stats"]["totconns"] == 3
    # A new HAProxy counts from nothing.
    assert said(2)["listeners"]["listener"]["stats"]["totconns"] == 2


def test_a_heartbeat_is_signed(module: Any) -> None:
    datagram = module("heartbeat").envelope({"id": "amp-1"}, "key")
    payload, signature = datagram[:-64], datagram[-64:].decode()
    assert json.loads(zlib.decompress(payload)) == {"id": "amp-1"}
    assert signature == hmac.new(b"key", payload, hashlib.sha256).hexdigest()


class FakeAmphora:
    """Remembers what is asked of it; the real one needs a kernel's permission."""

    def __init__(self, name: str, config: str) -> None:
        self.name, self.asked = name, [("made", config)]

    def interface(self, mac: str) -> str | None:
        return "eth1" if mac == VIP["mac_address"] else None

    def configure(self, balancer: str, text: str) -> None:
        if text == "bad":
            raise importlib.import_module("amphora").RefusedError("HAProxy: no")
        self.asked.append(("configure", balancer, text))

    def start(self, balancer: str) -> None:
        if ("configure", balancer, "good") not in self.asked:
            raise LookupError(balancer)
        self.asked.append(("start", balancer))

    def __getattr__(self, name: str) -> Any:
        return lambda *rest: self.asked.append((name, *rest))


class Asked:
    """An agent with one amphora, and how it is asked."""

    def __init__(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._module = module("agent")
        monkeypatch.setattr(self._module, "Amphora", FakeAmphora)
        self.agent = self._module.Agent("c1")
        assert self("PUT", f"/amphorae/{AMPHORA}", {"config": CONFIG})[0] == 201

    def __call__(
        self, method: str, path: str, body: Any = b"", name: str = AMPHORA
    ) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        said: tuple[int, dict[str, Any]] = self._module.answer(self.agent, method, path, name, data)
        return said

    @property
    def done(self) -> list[tuple[Any, ...]]:
        done: list[tuple[Any, ...]] = self.agent.amphorae[AMPHORA].asked
        return done


@pytest.fixture
def asked(module: Any, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(module, monkeypatch)


def test_a_host_tells_what_it_holds_and_whether_its_switch_is_programmed(
    asked: Asked, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module("switch"), "programmed", lambda: False)
    assert asked("GET", "/amphorae") == (200, {"amphorae": [AMPHORA], "programmed": False})


@pytest.mark.parametrize(
    ("states", "held"), [("true\ntrue\n", True), ("true\nfalse\n", False), ("", False)]
)
def test_a_switch_is_programmed_when_all_its_bridges_are(
    module: Any, monkeypatch: pytest.MonkeyPatch, states: str, held: bool
) -> None:
    switch = module("switch")
    monkeypatch.setattr(switch, "run", lambda *_, **__: states)
    assert switch.programmed() is held


def test_an_amphora_is_made_once_and_ended_once(asked: Asked) -> None:
    assert asked("PUT", f"/amphorae/{AMPHORA}", {"config": "other"})[0] == 201
    assert asked.done == [("made", CONFIG)]
    assert asked("DELETE", f"/amphorae/{AMPHORA}")[0] == 202
    status, said = asked("DELETE", f"/amphorae/{AMPHORA}")
    assert (status, said["details"]) == (404, f"no amphora {AMPHORA} on c1")


def test_ports_are_plugged_and_addressed(asked: Asked) -> None:
    path = f"/amphorae/{AMPHORA}/ports/{PORT}"
    assert asked("PUT", path, {"mac_address": VIP["mac_address"], "mtu": 1400})[0] == 202
    assert asked("POST", "/1.0/plug/vip/10.71.0.5", VIP)[0] == 202
    assert asked.done[1] == ("plug", PORT, "fa:16:3e:00:00:01", 1400)
    name, interface, wanted, mtu = asked.done[2]
    assert (name, interface, wanted.announced, mtu) == ("address", "eth1", ("10.71.0.5",), 1400)


def test_octavia_asks_again_while_an_interface_is_not_there(asked: Asked) -> None:
    status, said = asked("POST", "/1.0/plug/network", {"mac_address": "fa:16:3e:00:00:99"})
    assert (status, said["details"]) == (404, "No suitable network interface found")


def test_a_configuration_comes_before_haproxy(asked: Asked) -> None:
    upload = f"/1.0/loadbalancer/{AMPHORA}/{BALANCER}/haproxy"
    assert asked("PUT", f"/1.0/loadbalancer/{BALANCER}/reload")[0] == 404
    assert asked("PUT", upload, b"bad") == (
        400,
        {"message": "Invalid request", "details": "HAProxy: no"},
    )
    assert asked("PUT", upload, b"good")[0] == 202
    assert asked("PUT", f"/1.0/loadbalancer/{BALANCER}/reload")[0] == 202
    assert asked("DELETE", f"/1.0/listeners/{BALANCER}")[0] == 200
    assert asked.done[-2:] == [("start", BALANCER), ("forget", BALANCER)]


def test_what_an_amphora_cannot_do_is_not_found(asked: Asked) -> None:
    status, said = asked("PUT", f"/1.0/listeners/{AMPHORA}/{BALANCER}/udp_listener", b"x")
    assert status == 404
    assert said["details"].startswith("no PUT /1.0/listeners/")
    other = AMPHORA.replace("3", "4")
    assert asked("GET", "/1.0/info", name=other)[0] == 404


@pytest.fixture
def url(asked: Asked, module: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    handler = module("agent").Handler
    monkeypatch.setattr(handler, "agent", asked.agent, raising=False)
    monkeypatch.setattr(handler, "secret", "known", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "secret", "status"),
    [
        ("/", None, 200),
        (f"/amphorae/{AMPHORA}", None, 401),
        (f"/amphorae/{AMPHORA}", "guessed", 401),
        (f"/amphorae/{AMPHORA}", "known", 200),
    ],
)
def test_whoever_asks_must_know_the_secret(
    url: str, path: str, secret: str | None, status: int
) -> None:
    headers = {"X-Auth-Token": secret} if secret else {}
    assert requests.get(url + path, headers=headers, timeout=5).status_code == status
