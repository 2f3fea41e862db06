"""What those can reach who have been let into a lab: its strongest agents, and tenants' servers."""

from __future__ import annotations

from labctl.engine.port import Engine
from tests.chaos.ground import Ground
from tests.contract.test_safety import HOSTS, OPENS, OWN

AGENTS = ("neutron-l3-agent", "neutron-dhcp-agent")
SERVER = """
set -eu
trap 'ovs-vsctl --db=tcp:127.0.0.1:6640 --if-exists del-port br-ex server; ip link delete server
      ip netns delete server' EXIT
ip netns add server
ip link add server type veth peer name eth0 netns server
ip netns exec server ethtool -K eth0 tx off rx off >/dev/null
ip link set server up
ovs-vsctl --db=tcp:127.0.0.1:6640 add-port br-ex server
ip -n server address add "$1" dev eth0
ip -n server link set eth0 up
ip -n server route add default via "$2"
shift 2
for place; do
    knock="exec 3<>/dev/tcp/${place%:*}/${place#*:}"
    if ip netns exec server timeout 8 bash -c "$knock" 2>/dev/null; then echo "$place"; fi
done
"""
"""A place on the provider network, as a router with servers behind it; says what it reaches."""


def test_agents_write_their_own_sysctls_and_none_of_the_hosts(
    ground: Ground, driver: Engine
) -> None:
    asked = [i for i in ground.lab.instances if i.service.doc.container.network_namespaces]
    for instance in asked:
        command = ("sh", "-c", OPENS, "sh", *HOSTS, *OWN)
        said = driver.exec(ground.lab.container(instance), command).stdout.splitlines()
        assert said == (list(OWN) if instance.service.name in AGENTS else []), instance.name


def test_servers_reach_public_apis_and_nothing_else(ground: Ground, driver: Engine) -> None:
    lab = ground.lab
    if "provider-gateway" not in lab.services:
        return  # profile support
    settings = lab.services["provider-gateway"].settings
    network, _, length = settings["subnet"].partition("/")
    server = f"{network.rpartition('.')[0]}.253/{length}"
    gateway = settings["address"].partition("/")[0]
    agent = next(i for i in lab.instances if i.service.name == "neutron-l3-agent")
    node = agent.node.address
    open_ = [f"{lab.vip}:{lab.services['keystone'].doc.endpoint.port}"]
    closed = [
        f"{lab.vip}:{lab.services['mariadb'].doc.endpoint.port}",
        *(f"{node}:{port}" for port in (3306, 6379, 11211, 26379)),
        f"{lab.host_address}:22",
    ]
    command = ("sh", "-c", SERVER, "sh", server, gateway, *open_, *closed)
    said = driver.exec(lab.container(agent), command, timeout=120)
    assert (said.code, said.stdout.splitlines()) == (0, open_), said.stderr
