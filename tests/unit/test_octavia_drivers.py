"""Octavia's drivers for amphorae on nodes, with Octavia, Neutron and the nodes stood in for."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import pytest
import requests

from labctl.documents import shipped

NODES = {"c1": "198.18.0.11", "c2": "198.18.0.12"}
FILES = {"/etc/octavia/amphora-agent.conf": "[health_manager]"}


class Errors:
    """Octavia's exceptions, which take their words by name."""

    class NotFound(Exception):  # noqa: N818 - Octavia's name
        def __init__(self, resource: str, id: str) -> None:
            super().__init__(f"{resource} {id} not found.")

    class ComputeBuildException(Exception):  # noqa: N818 - Octavia's name
        def __init__(self, fault: str) -> None:
            super().__init__(fault)

    class ComputeUnknownException(Exception):  # noqa: N818 - Octavia's name
        def __init__(self, exc: str) -> None:
            super().__init__(exc)


class Group(types.SimpleNamespace):
    """Settings, by attribute and by group."""

    def __getitem__(self, _: str) -> Any:
        return self.labctl_amphora

    def register_opts(self, *_: object, **__: object) -> None:
        """They are there."""


class Neutron:
    """Ports, as far as the driver goes."""

    def __init__(self) -> None:
        self.ports: dict[str, dict[str, Any]] = {}
        self.status = "ACTIVE"

    def create_port(self, body: Any) -> Any:
        return self._port(f"p{len(self.ports)}", body["port"])

    def update_port(self, name: str, body: Any) -> Any:
        return self._port(name, body["port"])

    def show_port(self, name: str) -> Any:
        return {"port": {**self.ports[name], "status": self.status}}

    def show_network(self, name: str) -> Any:
        return {"network": {"id": name, "mtu": 1400}}

    def list_ports(self, name: str) -> Any:
        return {"ports": [port for port in self.ports.values() if port.get("name") == name]}

    def delete_port(self, name: str) -> None:
        del self.ports[name]

    def _port(self, name: str, fields: Any) -> Any:
        port = self.ports.setdefault(
            name, {"id": name, "mac_address": "fa:16", "network_id": "n", "fixed_ips": []}
        )
        port.update(fields)
        return {"port": port}


class Hosts:
    """The nodes' agents: an answer for each, or an error."""

    def __init__(self) -> None:
        self.held = {"c1": 2, "c2": 1}
        self.programmed = {"c1": True, "c2": True}
        self.asked: list[tuple[str, str, str, Any]] = []
        self.dead: set[str] = set()

    def request(self, method: str, url: str, json: Any, headers: Any, timeout: Any) -> Any:
        address, _, path = url.removeprefix("http://").partition("/")
        node = next(name for name, each in NODES.items() if address == f"{each}:9443")
        if node in self.dead:
            raise requests.ConnectionError("refused")
        self.asked.append((method, node, f"/{path}", json))
        assert headers == {"X-Auth-Token": "known"}
        said = {"amphorae": ["x"] * self.held[node], "programmed": self.programmed[node]}
        return types.SimpleNamespace(status_code=200, ok=True, json=lambda: said)


@pytest.fixture
def hosts() -> Hosts:
    return Hosts()


@pytest.fixture
def neutron() -> Neutron:
    return Neutron()


@pytest.fixture
def drivers(monkeypatch: pytest.MonkeyPatch, hosts: Hosts, neutron: Neutron) -> Any:
    """The module, imported where nothing of Octavia is."""
    settings = types.SimpleNamespace(nodes=NODES, port=9443, secret="known", wired=0)
    conf = Group(labctl_amphora=settings, neutron=types.SimpleNamespace())
    option = lambda *_, **__: None  # noqa: E731
    cfg = types.SimpleNamespace(CONF=conf, DictOpt=option, PortOpt=option, StrOpt=option)
    cfg.IntOpt = option
    quiet = types.SimpleNamespace(warning=print, info=print)
    modules: dict[str, dict[str, Any]] = {
        "octavia.common": {
            "clients": None,
            "constants": types.SimpleNamespace(
                ACTIVE="ACTIVE", ERROR="ERROR", UP="UP", DOWN="DOWN"
            ),
            "data_models": types.SimpleNamespace(Amphora=types.SimpleNamespace),
            "exceptions": Errors,
        },
        "octavia.common.config": {"cfg": cfg},
        "octavia.compute": {"compute_base": types.SimpleNamespace(ComputeBase=object)},
        "octavia.amphorae.drivers.haproxy": {
            "rest_api_driver": types.SimpleNamespace(
                AmphoraAPIClient1_0=object, HaproxyAmphoraLoadBalancerDriver=object
            )
        },
        "oslo_log": {"log": types.SimpleNamespace(getLogger=lambda _: quiet)},
        "neutronclient.common": {"exceptions": types.SimpleNamespace(NotFound=KeyError)},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        for parent in ("octavia", "octavia.amphorae", "octavia.amphorae.drivers", "neutronclient"):
            monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    monkeypatch.syspath_prepend(str(shipped.data_dir("compose") / "octavia-amphora"))
    monkeypatch.delitem(sys.modules, "labctl_octavia", raising=False)
    found = importlib.import_module("labctl_octavia")
    monkeypatch.setattr(found.requests, "request", hosts.request)
    monkeypatch.setattr(found.ComputeDriver, "neutron", neutron)
    return found


def test_an_id_holds_the_node(drivers: Any) -> None:
    made = drivers.new_id("c2")
    assert (len(made), drivers.node_of(made)) == (36, "c2")


@pytest.mark.parametrize("unknown", [None, "x", "cc6e2a31-a6fa-4b6f-9ed9-6cf2ab2d7a5a"])
def test_other_ids_are_of_no_node(drivers: Any, unknown: str | None) -> None:
    with pytest.raises(Errors.NotFound):
        drivers.node_of(unknown)


def test_the_node_with_the_fewest_gets_an_amphora(drivers: Any, hosts: Hosts) -> None:
    made = drivers.ComputeDriver().build(name="amphora-1", config_drive_files=FILES)
    assert drivers.node_of(made) == "c2"
    assert hosts.asked[-1] == ("PUT", "c2", f"/amphorae/{made}", {"config": "[health_manager]"})


def test_a_dead_node_and_one_without_agent_get_none(drivers: Any, hosts: Hosts) -> None:
    hosts.dead = {"c2"}
    made = drivers.ComputeDriver().build(config_drive_files=FILES)
    assert drivers.node_of(made) == "c1"
    hosts.programmed["c1"] = False
    with pytest.raises(Errors.ComputeBuildException, match="no node can hold an amphora"):
        drivers.ComputeDriver().build(config_drive_files=FILES)


def test_an_amphora_is_where_its_node_is_or_in_error(drivers: Any, hosts: Hosts) -> None:
    driver, made = drivers.ComputeDriver(), drivers.new_id("c1")
    found, fault = driver.get_amphora(made)
    assert (found.status, found.lb_network_ip, fault) == ("ACTIVE", "198.18.0.11", None)
    assert driver.status(made) == "UP"
    hosts.dead = {"c1"}
    found, fault = driver.get_amphora(made)
    assert (found.status, fault) == ("ERROR", "octavia-amphora on c1 (198.18.0.11:9443): refused")
    assert driver.status(made) == "DOWN"


def test_a_port_is_bound_to_the_node_and_plugged(
    drivers: Any, hosts: Hosts, neutron: Neutron
) -> None:
    driver, made = drivers.ComputeDriver(), drivers.new_id("c1")
    neutron.create_port({"port": {"name": "octavia-lb-vrrp-1"}})
    found = driver.attach_network_or_port(made, port_id="p0")
    assert (found.port_id, found.net_id) == ("p0", "n")
    assert neutron.ports["p0"]["binding:host_id"] == "c1"
    assert neutron.ports["p0"]["device_id"] == made
    body = {"mac_address": "fa:16", "mtu": 1400}
    assert hosts.asked == [("PUT", "c1", f"/amphorae/{made}/ports/p0", body)]
    driver.detach_port(made, "p0")
    assert neutron.ports["p0"]["binding:host_id"] == neutron.ports["p0"]["device_id"] == ""


def test_a_port_that_is_not_wired_up_is_an_error(drivers: Any, neutron: Neutron) -> None:
    neutron.status = "DOWN"
    neutron.create_port({"port": {}})
    with pytest.raises(Errors.ComputeUnknownException) as told:
        drivers.ComputeDriver().attach_network_or_port(drivers.new_id("c1"), port_id="p0")
    assert str(told.value) == "Neutron's agent on c1 has not wired port p0 up"


def test_an_amphora_of_a_dead_node_is_deleted_with_the_ports_made_for_it(
    drivers: Any, hosts: Hosts, neutron: Neutron
) -> None:
    driver, made = drivers.ComputeDriver(), drivers.new_id("c1")
    neutron.create_port({"port": {"name": "octavia-lb-vrrp-1"}})
    driver.attach_network_or_port(made, network_id="members")
    assert list(neutron.ports) == ["p0", "p1"]
    hosts.dead = {"c1"}
    driver.delete(made)
    assert list(neutron.ports) == ["p0"]
    driver.delete(None)
