"""What a container may not do, however many rights it has been given."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.documents.shipped import data_dir
from labctl.engine.port import FileEntry
from tests.contract.world import SLEEP, World

AGENT: dict[str, Any] = {"cap_add": ("NET_ADMIN", "SYS_ADMIN"), "apparmor": False}
"""As agents that make network namespaces run."""
HOSTS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/fs/file-max",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
)
"""The host's: who writes there is as good as root on it."""
OWN = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/arp_ignore")
# Opened for writing, and nothing written.
OPENS = 'for path; do if (: >>"$path") 2>/dev/null; then echo "$path"; fi; done'


def writable(world: World, short: str, *before: str) -> list[str]:
    command = (*before, "sh", "-c", OPENS, "sh", *HOSTS, *OWN)
    return world.engine.exec(world.name(short), command).stdout.splitlines()


@pytest.fixture
def agent(world: World) -> str:
    script = data_dir("compose") / "openstack" / "own-sysctls.sh"
    name = world.create("agent", command=("/own-sysctls", *SLEEP), **AGENT)
    world.engine.put_files(name, [FileEntry("/own-sysctls", script.read_bytes(), 0o500)])
    world.engine.start(name)
    world.sh("agent", "until mountpoint -q /proc/sys/net; do sleep 0.1; done")
    return "agent"


@pytest.mark.kernel
def test_nothing_of_the_kernels_is_writable_even_with_rights(world: World) -> None:
    world.run("plain", **AGENT)
    assert writable(world, "plain") == []


@pytest.mark.kernel
def test_an_agents_own_sysctls_are_all_that_is_writable(world: World, agent: str) -> None:
    assert writable(world, agent) == list(OWN)
    hidden = "cat /proc/kcore /proc/keys /proc/timer_list /sys/firmware/* 2>/dev/null | head -c 1"
    assert world.sh(agent, hidden) == ""


@pytest.mark.kernel
def test_they_are_those_of_each_namespace(world: World, agent: str) -> None:
    world.sh(agent, "ip netns add one && ip link add here type veth peer name there netns one")
    inside = ("ip", "netns", "exec", "one")
    assert writable(world, agent, *inside) == list(OWN)
    world.sh(agent, "ip netns exec one sysctl -qw net.ipv4.conf.there.arp_ignore=1")
    world.sh(agent, "ip netns exec one sysctl -qw net.ipv4.ip_forward=0")
    world.sh(agent, "sysctl -qw net.ipv4.ip_forward=1")
    assert world.sh(agent, "ip netns exec one sysctl -n net.ipv4.ip_forward") == "0\n"
    assert "there" not in world.sh(agent, "ls /proc/sys/net/ipv4/conf").split()
