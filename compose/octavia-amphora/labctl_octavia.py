"""Octavia's drivers for amphorae that are network namespaces of the lab's nodes, with HAProxy.

A node's octavia-amphora (agent.py) is to the compute driver what Nova is to Octavia's own, and to
the amphora driver the agent inside of an amphora. All else is Octavia's: provider, flows, ports,
configurations of HAProxy, health manager and failover.
"""

import contextlib
import ipaddress
import time
import types
import uuid
from typing import Any

import requests
from neutronclient.common import exceptions as neutron_exceptions
from octavia.amphorae.drivers.haproxy import rest_api_driver
from octavia.common import clients, constants, data_models, exceptions
from octavia.common.config import cfg
from octavia.compute import compute_base
from oslo_log import log as logging

CONF = cfg.CONF
LOG = logging.getLogger(__name__)
GROUP = "labctl_amphora"
CONF.register_opts(
    [
        cfg.DictOpt("nodes", default={}, help="Nodes that hold amphorae: name → address."),
        cfg.PortOpt("port", help="Where octavia-amphora listens on each."),
        cfg.StrOpt("secret", secret=True, help="What shows it who asks."),
        cfg.IntOpt("wired", default=30, help="Seconds that Neutron has to wire a port up."),
    ],
    group=GROUP,
)
OWNER = "Octavia"
"""The device owner of ports that Octavia makes."""
REACH, ANSWER, WORK = 2, 10, 60
"""Seconds to reach a node, until it has told something, and until it has done something."""


class UnreachableError(Exception):
    """A node does not answer: it, or its octavia-amphora, is dead, frozen or cut off."""


def call(node: str, method: str, path: str, **body: object) -> dict[str, Any]:
    """Ask a node's octavia-amphora; UnreachableError, NotFound, or ComputeUnknownException."""
    settings = CONF[GROUP]
    address = f"{settings.nodes[node]}:{settings.port}"
    try:
        said = requests.request(
            method,
            f"http://{address}{path}",
            json=body or None,
            headers={"X-Auth-Token": settings.secret},
            timeout=(REACH, ANSWER if method == "GET" else WORK),
        )
    except requests.RequestException as error:
        raise UnreachableError(f"octavia-amphora on {node} ({address}): {error}") from error
    if said.status_code == requests.codes.not_found:
        raise exceptions.NotFound(resource="Instance", id=path)
    if not said.ok:
        raise exceptions.ComputeUnknownException(exc=f"{node}: {said.status_code} {said.text}")
    answer: dict[str, Any] = said.json()
    return answer


def new_id(node: str) -> str:
    """An id for an amphora; it holds the node's address, where such ids name their maker."""
    return str(uuid.uuid1(node=int(ipaddress.IPv4Address(CONF[GROUP].nodes[node]))))


def node_of(compute_id: str | None) -> str:
    """The node that holds an amphora; NotFound when the lab has it no more."""
    # One that was never built has no id, and a lab that was made anew may know others.
    with contextlib.suppress(TypeError, ValueError):
        address = str(ipaddress.IPv4Address(uuid.UUID(compute_id).node))
        for node, each in CONF[GROUP].nodes.items():
            if each == address:
                return str(node)
    raise exceptions.NotFound(resource="Instance", id=compute_id)


def path_of(compute_id: str, port_id: str | None = None) -> str:
    """Where a node is asked about an amphora, or about one of its ports."""
    return f"/amphorae/{compute_id}" + (f"/ports/{port_id}" if port_id else "")


class ComputeDriver(compute_base.ComputeBase):
    """Amphorae on nodes, in place of Nova's virtual machines."""

    @property
    def neutron(self) -> Any:
        """Neutron's client, as Octavia's network driver has it."""
        settings = CONF.neutron
        return clients.NeutronAuth.get_neutron_client(
            endpoint=settings.endpoint,
            region=settings.region_name,
            endpoint_type=settings.endpoint_type,
            service_name=settings.service_name,
            insecure=settings.insecure,
            ca_cert=settings.ca_certificates_file,
        )

    def build(self, config_drive_files: dict[str, str] | None = None, **_: object) -> str:
        """Make one on the node that has the fewest; what else Nova would be told means nothing."""
        loads: dict[str, int] = {}
        for node in CONF[GROUP].nodes:
            try:
                said = call(node, "GET", "/amphorae")
            except (UnreachableError, exceptions.ComputeUnknownException) as error:
                LOG.warning("%s gets no amphora: %s", node, error)
                continue
            if said["programmed"]:
                loads[node] = len(said["amphorae"])
            else:
                LOG.warning("%s gets no amphora: no agent of Neutron's programs its switch", node)
        if not loads:
            raise exceptions.ComputeBuildException(fault="no node can hold an amphora")
        node = min(loads, key=lambda each: loads[each])
        compute_id = new_id(node)
        config = (config_drive_files or {})["/etc/octavia/amphora-agent.conf"]
        try:
            call(node, "PUT", path_of(compute_id), config=config)
        except Exception as error:
            raise exceptions.ComputeBuildException(fault=str(error)) from error
        LOG.info("amphora %s is on %s", compute_id, node)
        return compute_id

    def delete(self, compute_id: str) -> None:
        """End it. A node that does not answer has none, or Octavia hears of it when it is back.

        (A heartbeat of an amphora that should not be makes the health manager delete it again.)
        """
        try:
            call(node_of(compute_id), "DELETE", path_of(compute_id))
        except (UnreachableError, exceptions.NotFound) as error:
            LOG.warning("amphora %s is taken for deleted: %s", compute_id, error)
        for port in self.neutron.list_ports(name=self._port_name(compute_id))["ports"]:
            self.neutron.delete_port(port["id"])

    def status(self, compute_id: str) -> str:
        """Whether it is there."""
        amphora, _ = self.get_amphora(compute_id)
        return constants.UP if amphora.status == constants.ACTIVE else constants.DOWN

    def get_amphora(
        self,
        compute_id: str,
        management_network_id: str | None = None,  # noqa: ARG002
    ) -> tuple[data_models.Amphora, str | None]:
        """It, and what is wrong with it; its address is its node's."""
        found = data_models.Amphora(compute_id=compute_id, status=constants.ERROR)
        try:
            node = node_of(compute_id)
            call(node, "GET", path_of(compute_id))
        except (UnreachableError, exceptions.NotFound) as error:
            return found, str(error)
        found.status, found.lb_network_ip = constants.ACTIVE, CONF[GROUP].nodes[node]
        return found, None

    def attach_network_or_port(
        self,
        compute_id: str,
        network_id: str | None = None,
        ip_address: str | None = None,
        port_id: str | None = None,
    ) -> types.SimpleNamespace:
        """Bind a port to the amphora's node and plug it, and wait until Neutron has wired it."""
        node = node_of(compute_id)
        if port_id is None:
            wanted: dict[str, Any] = {
                "network_id": network_id,
                "name": self._port_name(compute_id),
                "device_owner": OWNER,
            }
            if ip_address:
                wanted["fixed_ips"] = [{"ip_address": ip_address}]
            port_id = self.neutron.create_port({"port": wanted})["port"]["id"]
        bound = {"device_id": compute_id, "binding:host_id": node}
        port = self.neutron.update_port(port_id, {"port": bound})["port"]
        network = self.neutron.show_network(port["network_id"])["network"]
        try:
            call(
                node,
                "PUT",
                path_of(compute_id, port_id),
                mac_address=port["mac_address"],
                mtu=network["mtu"],
            )
        except UnreachableError as error:
            raise exceptions.ComputeUnknownException(exc=str(error)) from error
        self._wait(port_id, node)
        return types.SimpleNamespace(
            port_id=port_id, net_id=port["network_id"], fixed_ips=port["fixed_ips"]
        )

    def detach_port(self, compute_id: str, port_id: str) -> None:
        """Unplug it, and have Neutron forget where it was, as Nova does."""
        try:
            call(node_of(compute_id), "DELETE", path_of(compute_id, port_id))
        except (UnreachableError, exceptions.NotFound) as error:
            LOG.warning("port %s is taken for unplugged: %s", port_id, error)
        free = {"device_id": "", "binding:host_id": ""}
        try:
            self.neutron.update_port(port_id, {"port": free})
        except neutron_exceptions.NotFound:
            LOG.info("port %s is gone", port_id)

    def create_server_group(self, name: str, policy: str) -> None:
        """Only Nova has such groups."""
        raise NotImplementedError

    def delete_server_group(self, server_group_id: str) -> None:
        """Only Nova has such groups."""
        raise NotImplementedError

    def validate_flavor(self, flavor_id: str) -> None:
        """Only Nova has flavors."""
        raise NotImplementedError

    def validate_availability_zone(self, availability_zone: str) -> None:
        """Only Nova has zones."""
        raise NotImplementedError

    def _port_name(self, compute_id: str) -> str:
        return f"octavia-amphora-{compute_id}"

    def _wait(self, port_id: str, node: str) -> None:
        end = time.monotonic() + CONF[GROUP].wired
        while self.neutron.show_port(port_id)["port"]["status"] != "ACTIVE":
            if time.monotonic() > end:
                why = f"Neutron's agent on {node} has not wired port {port_id} up"
                raise exceptions.ComputeUnknownException(exc=why)
            time.sleep(0.5)


class Client(rest_api_driver.AmphoraAPIClient1_0):
    """Octavia's client of an amphora's agent; all amphorae of a node are behind one address."""

    def __init__(self) -> None:
        super().__init__()
        # A secret shows who asks, not a certificate.
        self.session.cert = None

    def _base_url(self, ip: str, api_version: str | None = None) -> str:
        url = f"http://{ip}:{CONF[GROUP].port}/"
        return f"{url}{api_version}/" if api_version else url

    def request(self, method: str, amp: Any, *arguments: Any, **more: Any) -> Any:
        """As Octavia's, and say which amphora is meant and who asks."""
        headers = {"X-Auth-Token": CONF[GROUP].secret, "X-Amphora": amp.compute_id}
        return super().request(method, amp, *arguments, headers=headers, **more)


class AmphoraDriver(rest_api_driver.HaproxyAmphoraLoadBalancerDriver):
    """Octavia's own driver, with another way to the agent."""

    def __init__(self) -> None:
        super().__init__()
        client = Client()
        self.clients = {"base": client, "1.0": client}

    def upload_cert_amp(self, amp: Any, pem: bytes) -> None:  # noqa: ARG002
        """The agent has no certificate, so there is none to renew."""
        LOG.info("amphora %s has no certificate to renew", amp.id)
