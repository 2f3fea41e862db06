"""The lab's network, nodes on it, shared namespaces, and the link beneath."""

from __future__ import annotations

import socket
import subprocess

import pytest
import tenacity

from labctl.engine import link
from labctl.engine.filter import table_name
from labctl.engine.helper import run_helper
from labctl.engine.port import FileEntry
from labctl.errors import EngineError
from labctl.model.topology import HostServices
from labctl.planning.desired import NAMES
from tests.contract.world import World


def test_a_network_is_listed_as_it_was_made(world: World) -> None:
    network = world.network()
    assert world.engine.networks(world.lab) == [network]
    assert network in world.engine.networks()
    assert world.subnet in world.engine.subnets()
    world.engine.remove_network(network.name)
    world.engine.remove_network(network.name)
    assert world.engine.networks(world.lab) == []
    world.engine.create_network(network)


def test_a_taken_network_name_is_refused(world: World) -> None:
    network = world.network()
    with pytest.raises(EngineError) as refused:
        world.engine.create_network(network)
    assert str(refused.value) == (
        f"the network name {network.name} is taken by a network that is not the lab's;"
        " remove it or give the lab another name"
    )


def test_a_taken_address_is_refused(world: World) -> None:
    world.node("n1", 11)
    with pytest.raises(EngineError) as refused:
        world.node("n2", 11)
    assert str(refused.value) == (
        f"cannot start container {world.name('n2')}: its address is taken on the network;"
        " give the node another `address`, or the lab another `network.subnet`"
    )


def test_an_address_is_free_again_when_its_holder_is_gone(world: World) -> None:
    world.engine.remove(world.node("n1", 11))
    world.node("n2", 11)
    assert world.container("n2").status == "running"


def test_a_tenant_has_its_holders_names(world: World) -> None:
    """Also those that the holder learns of while both are running, and when it starts anew."""
    holder = world.node("n1", 11, command=())
    tenant = world.run("n1-a", join=holder)
    assert world.engine.exec(tenant, ("hostname",)).stdout == "n1\n"
    world.engine.put_files(holder, [FileEntry(NAMES, b"198.18.0.12\tn2\n")])
    world.engine.kill(holder, "SIGHUP")
    assert _names(world, tenant, "n2") == "198.18.0.12\tn2\n"
    world.engine.put_files(holder, [FileEntry(NAMES, b"198.18.0.13\tn3\n")])
    world.engine.stop(tenant, 0)
    world.engine.stop(holder, 5)
    world.engine.start(holder)
    world.engine.start(tenant)
    assert _names(world, tenant, "n3") == "198.18.0.13\tn3\n"


def _names(world: World, tenant: str, awaited: str) -> str:
    """A tenant's /etc/hosts, when a name is in it."""
    return tenacity.Retrying(
        stop=tenacity.stop_after_delay(10),
        wait=tenacity.wait_fixed(0.05),
        retry=tenacity.retry_if_result(lambda hosts: awaited not in hosts),
    )(lambda: world.engine.exec(tenant, ("cat", "/etc/hosts")).stdout)


def test_a_holder_takes_its_tenants_along_when_it_is_removed(world: World) -> None:
    """Or leaves them to be removed: either way both can go, in this order."""
    holder = world.node("n1", 11)
    tenant = world.run("n1-a", join=holder)
    world.engine.remove(holder)
    world.engine.remove(tenant)
    assert world.engine.containers(world.lab) == []


@pytest.mark.kernel
def test_a_node_has_its_address_its_mac_and_no_way_out(world: World) -> None:
    holder = world.node("n1", 11)
    world.run("n1-a", join=holder)
    for short in ("n1", "n1-a"):
        assert world.sh(short, "cat /sys/class/net/eth0/address") == world.mac(11) + "\n"
        assert f"inet {world.address(11)}/24 " in world.sh(short, "ip address show dev eth0")
        assert world.sh(short, "ip route show default") == ""


@pytest.mark.kernel
def test_nodes_and_host_reach_each_other(world: World) -> None:
    """Nothing listens there, so the other side's refusal is what proves the way."""
    world.node("n1", 11)
    world.node("n2", 12)
    knock = f"exec 3<>/dev/tcp/{world.address(11)}/9"
    result = world.engine.exec(world.name("n2"), ("bash", "-c", knock), timeout=20)
    assert "Connection refused" in result.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((world.address(11), 9), timeout=20)


@pytest.mark.kernel
def test_a_sysctl_of_the_namespace(world: World) -> None:
    read = ("cat", "/proc/sys/net/ipv4/ip_nonlocal_bind")
    assert world.end("plain", command=read)[1] == "0\n"
    holder = world.node("n1", 11, sysctls={"net.ipv4.ip_nonlocal_bind": "1"})
    assert world.end("n1-a", command=read, join=holder)[1] == "1\n"


@pytest.mark.kernel
def test_a_restarted_holder_has_its_address_again(world: World) -> None:
    holder = world.node("n1", 11)
    world.engine.kill(holder)
    world.engine.wait(holder, 10)
    world.engine.start(holder)
    assert world.address(11) in world.sh("n1", "ip address show dev eth0")
    assert world.sh("n1", "cat /sys/class/net/eth0/address") == world.mac(11) + "\n"


@pytest.mark.kernel
def test_a_container_without_network_is_alone(world: World) -> None:
    assert world.end("a", command=("ls", "/sys/class/net")) == (0, "lo\n")


@pytest.mark.kernel
def test_a_container_on_the_hosts_network_sees_its_links(world: World) -> None:
    world.network()
    parent, host_end = link.link_names(world.lab)
    _, seen = world.end("a", command=("ls", "/sys/class/net"), host_network=True)
    assert {parent, host_end} <= set(seen.split())


def test_a_link_comes_once_and_goes_wholly(world: World) -> None:
    parent, host_end = link.link_names(world.lab)
    for _ in range(2):
        link.create_link(
            world.engine, world.lab, parent, host_end, f"{world.address(254)}/24", world.image
        )
        assert link.find_links(world.engine, world.image)[world.lab] == (
            parent,
            host_end,
            True,
        )
    for there in (True, False):
        removed = link.remove_link(world.engine, world.lab, parent, host_end, world.image)
        assert removed is there
        assert world.lab not in link.find_links(world.engine, world.image)
    assert world.engine.containers(world.lab) == []


@pytest.mark.kernel
def test_the_host_reaches_the_lab_and_the_lab_not_the_host(world: World) -> None:
    """Whatever listens on all of the host's addresses listens on the one in the lab as well."""
    world.node("n1", 11, cap_add=("NET_RAW",))
    host = world.address(254)

    def knocks(seconds: int) -> int:
        knock = f"exec 3<>/dev/tcp/{host}/{port}"
        command = ("timeout", str(seconds), "bash", "-c", knock)
        return world.engine.exec(world.name("n1"), command, timeout=60).code

    def filtered(host_services: HostServices) -> bool:
        ends = link.link_names(world.lab)
        link.create_link(
            world.engine,
            world.lab,
            *ends,
            f"{host}/24",
            world.image,
            host_services=host_services,
        )
        return link.find_links(world.engine, world.image)[world.lab].filtered

    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        assert knocks(3) == 124  # no answer
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((world.address(11), 9), timeout=20)
        world.sh("n1", f"ping -q -c 1 -W 10 {host}")
        # The filter is what makes the difference, and it comes back.
        assert not filtered("reachable")
        assert knocks(30) == 0
        assert filtered("blocked")
        assert knocks(3) == 124


@pytest.mark.kernel
def test_no_table_is_left_of_a_link(world: World) -> None:
    world.network()
    table, listed = table_name(world.lab), "nft list tables inet"
    look = (world.engine, world.name("look"), world.image, listed)
    rights = {"lab": world.lab, "cap_add": ("NET_ADMIN",), "host_network": True}
    assert table in run_helper(*look, **rights)[1]
    world.clear()
    assert table not in run_helper(*look, **rights)[1]


def test_a_foreign_interface_is_left_alone(world: World) -> None:
    parent, host_end = link.link_names(world.lab)
    address = f"{world.address(254)}/24"
    link.create_link(world.engine, world.lab, parent, host_end, address, world.image)
    try:
        with pytest.raises(EngineError) as refused:
            link.create_link(world.engine, "other", parent, host_end, address, world.image)
        assert str(refused.value) == (
            f"cannot create the link of lab other: the interface {parent} already exists"
            " and is not the lab's"
        )
        assert not link.remove_link(world.engine, "other", parent, host_end, world.image)
        assert world.lab in link.find_links(world.engine, world.image)
    finally:
        link.remove_link(world.engine, world.lab, parent, host_end, world.image)


@pytest.mark.kernel
def test_a_link_that_fails_half_way_leaves_nothing(world: World) -> None:
    parent, host_end = link.link_names(world.lab)
    with pytest.raises(EngineError, match=f"^cannot create the link of lab {world.lab}: "):
        link.create_link(world.engine, world.lab, parent, host_end, "198.19.0.999/24", world.image)
    assert world.lab not in link.find_links(world.engine, world.image)
    listed = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True)
    assert parent not in listed.stdout
