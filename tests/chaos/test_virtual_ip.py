"""The virtual IP: one holder at a time, and what is written through it is kept."""

from __future__ import annotations

from labctl import faults
from tests.chaos.ground import Ground

SOON = 15.0
"""Seconds for the virtual IP to be right: some ten times what the VRRP timers give."""


def one_holder(ground: Ground) -> bool:
    return len(ground.holders()) == 1


def until_moved(ground: Ground, holder: str) -> None:
    ground.until(
        f"the virtual IP leaves {holder} for one other node",
        lambda: one_holder(ground) and ground.holders() != [holder],
        SOON,
    )


def test_haproxy_is_killed_on_the_holder(ground: Ground) -> None:
    """keepalived gives the address up when its HAProxy is dead: another node has it soon.

    Galera promises that commits acknowledged through the virtual IP survive; logins promise
    only that they work again.
    """
    holder = ground.holders()[0]
    with (
        ground.clients("galera", "identity") as clients,
        ground.broken(ground.halt("kill", ground.target("vip-holder/haproxy"))),
    ):
        until_moved(ground, holder)
        clients.until_served()
    assert one_holder(ground)


def test_keepalived_ends_on_the_holder(ground: Ground) -> None:
    """The address leaves a node that goes on: that node's own clients must come to know.

    Keystone there reached Galera by the virtual IP, from the virtual IP: the new holder drops what
    claims to come from itself, so nobody would ever reset such a connection.
    """
    holder = ground.target("vip-holder")
    with ground.clients("identity") as clients:
        assert own_connections(ground, holder.node)
        with ground.broken(ground.halt("stop", ground.target("vip-holder/keepalived"))):
            until_moved(ground, holder.node)
            ground.until(
                f"{holder.node} has no connection by an address that has left it",
                lambda: not own_connections(ground, holder.node),
                SOON,
            )
            clients.until_served()
    assert one_holder(ground)


def own_connections(ground: Ground, node: str) -> list[str]:
    """A node's TCP connections that have the virtual IP at both ends."""
    instance = ground.lab.instance(node, "haproxy")
    assert instance is not None
    command = ["ss", "-Htn", "src", ground.lab.vip, "dst", ground.lab.vip]
    return ground.engine.exec(ground.lab.container(instance), command).stdout.splitlines()


def test_the_holders_node_loses_power(ground: Ground) -> None:
    """A whole node goes silent: the others go on without it, and it joins them again.

    Galera: acknowledged commits are on every member. RabbitMQ: confirmed messages of a quorum
    queue are delivered at least once. MongoDB: majority writes survive. Redis with Sentinel
    replicates asynchronously: a loss is reported, and is no failure.
    """
    holder = ground.target("vip-holder")
    with (
        ground.clients("galera", "identity", "rabbitmq", "mongodb", "redis") as clients,
        ground.broken(ground.halt("kill", holder)),
    ):
        until_moved(ground, holder.node)
        clients.until_served()
    assert one_holder(ground)


def test_the_holder_is_cut_off(ground: Ground) -> None:
    """VRRP has no quorum: a node that hears nobody keeps the address, and the others elect one.

    This is the design's known limit: two holders while the cut lasts, one soon after it. The
    client is with the majority, and what is acknowledged to it is kept: the node that is cut off
    has no quorum in any cluster, so it takes no writes.
    """
    holder = ground.target("vip-holder")
    with ground.clients("galera", "identity", "rabbitmq", "mongodb", "redis") as clients:
        with ground.broken(faults.cut(ground.lab, [[holder.node]], lease=600)):
            ground.until("two hold the virtual IP", lambda: len(ground.holders()) == 2, SOON)
            assert holder.node in ground.holders()
            clients.until_served()
            assert len(ground.holders()) == 2
        ground.until("one holds the virtual IP", lambda: one_holder(ground), SOON)
    assert one_holder(ground)
