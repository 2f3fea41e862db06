"""The design's limit: a tenant's load balancer dies with what serves it until it is failed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openstack
import pytest

from tests.chaos.ground import Ground
from tests.lab.command import Labctl

SILENT = 120
"""Seconds in which the health manager must have noticed."""
INSIDE = "network:ha_router_replicated_interface"
"""What Neutron calls the ports of routers, each on several nodes, in tenants' networks."""
ASK = ("client/toolbox", "--", "curl", "-sf", "--max-time", "3", "-o", "/dev/null")


class Balancer:
    """What ``labctl verify --keep`` has left: a load balancer with a floating address."""

    def __init__(self, labctl: Labctl, lab: str, ground: Ground, cloud: Any) -> None:
        self._labctl, self._lab, self._ground, self._cloud = labctl, lab, ground, cloud
        (self.id,) = (balancer.id for balancer in self._kept(cloud.load_balancer.load_balancers()))
        (self.address,) = (ip.floating_ip_address for ip in self._ips())

    @property
    def shown(self) -> Any:
        """As Octavia shows it."""
        return self._cloud.load_balancer.get_load_balancer(self.id)

    @property
    def amphora(self) -> Any:
        """The one that serves it."""
        found = self._cloud.load_balancer.amphorae(loadbalancer_id=self.id)
        (amphora,) = (each for each in found if each.status != "DELETED")
        return amphora

    @property
    def node(self) -> str:
        """Where that is."""
        nodes = {node.address: node.name for node in self._ground.lab.nodes}
        return nodes[self.amphora.lb_network_ip]

    def answers(self) -> bool:
        """Whether it answers at its floating address, asked from the client's node."""
        url = f"http://{self.address}/v3"
        return self._labctl("exec", "--lab", self._lab, *ASK, url, code=None).code == 0

    def fail_over(self) -> None:
        """What an operator does."""
        self._cloud.load_balancer.failover_load_balancer(self.id)
        self._ground.until("it is ACTIVE", lambda: self.shown.provisioning_status == "ACTIVE")

    def remove(self) -> None:
        """It and all that was made for it."""
        network = self._cloud.network
        for ip in self._ips():
            network.delete_ip(ip)
        self._cloud.load_balancer.delete_load_balancer(self.id, cascade=True)
        self._ground.until("it is gone", self._gone)
        for router in self._kept(network.routers()):
            for port in network.ports(device_id=router.id, device_owner=INSIDE):
                network.remove_interface_from_router(router, port_id=port.id)
            network.delete_router(router)
        for each in self._kept(network.networks()):
            network.delete_network(each)

    def _ips(self) -> list[Any]:
        """Floating addresses of its own: a lab that stands already may have others."""
        port = self.shown.vip_port_id
        return [ip for ip in self._cloud.network.ips() if ip.port_id == port]

    def _gone(self) -> bool:
        return all(each.id != self.id for each in self._cloud.load_balancer.load_balancers())

    @staticmethod
    def _kept(things: Any) -> Iterator[Any]:
        return (thing for thing in things if thing.name.startswith("verify-"))


@pytest.fixture
def balancer(labctl: Labctl, lab: str, ground: Ground) -> Iterator[Balancer]:
    if "octavia-amphora" not in ground.lab.services:
        pytest.skip("this lab's profile has no octavia-amphora")
    ground.until_healthy()
    clouds = ground.prepared.record.directory / "clouds.yaml"
    config = openstack.config.OpenStackConfig(config_files=[str(clouds)])
    cloud = openstack.connection.Connection(config=config.get_one(cloud=lab))
    labctl("verify", "--lab", lab, "--keep", "--step", "load-balancer", timeout=600)
    made = Balancer(labctl, lab, ground, cloud)
    yield made
    made.remove()


def test_it_dies_with_its_node_until_it_is_failed_over(
    labctl: Labctl, lab: str, ground: Ground, balancer: Balancer
) -> None:
    assert balancer.answers()
    first = balancer.node
    labctl("kill", "--lab", lab, f"{first}/octavia-amphora")
    try:
        assert not balancer.answers()
        # Octavia goes on, and nobody recovers anything.
        ground.until(
            "the health manager has noticed",
            lambda: balancer.amphora.status == "FAILOVER_STOPPED",
            SILENT,
        )
        assert balancer.shown.provisioning_status == "ACTIVE"
        assert not balancer.answers()
        balancer.fail_over()
        assert balancer.node != first
        ground.until("it answers again", balancer.answers, 30)
    finally:
        labctl("heal", "--lab", lab)
    ground.until_healthy()
    assert balancer.answers()
