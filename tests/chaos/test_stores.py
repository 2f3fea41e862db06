"""The member that matters most of each store is killed while clients write to it."""

from __future__ import annotations

from labctl import faults
from labctl.faults import Target
from tests.chaos.ground import Ground, Kind


def survive(ground: Ground, kind: Kind, part: str, *, replaced: bool = False) -> None:
    """Kill who plays a part under load; the others go on, it comes back, promises are kept.

    ``replaced``: by then another plays the part.
    """
    killed = ground.target(part)
    with ground.clients(kind) as clients, ground.broken(ground.halt("kill", killed)):
        clients.until_served()
        assert not replaced or ground.target(part) != killed


def test_the_galera_writer_is_killed(ground: Ground) -> None:
    """Promise: with innodb_flush_log_at_trx_commit=1 an acknowledged commit is on every member.

    HAProxy sends all writes to another member, and does not go back to the first by itself.
    """
    survive(ground, "galera", "galera-writer")


def test_the_leader_of_a_quorum_queue_is_killed(ground: Ground) -> None:
    """Promise: a confirmed message is delivered at least once after the queue is drained."""
    with ground.clients("rabbitmq") as clients:
        leader = Target(clients.members["rabbitmq"], "rabbitmq")
        with ground.broken(ground.halt("kill", leader)):
            clients.until_served()


def test_a_rabbitmq_node_is_killed(ground: Ground) -> None:
    """Promise: as above; whichever node the cluster names first."""
    survive(ground, "rabbitmq", "rabbit-leader")


def test_the_redis_master_is_killed(ground: Ground) -> None:
    """Replication is asynchronous: acknowledged writes of the last moments may be lost.

    min-replicas-to-write bounds that; a loss within the bound is reported as documented. What must
    hold: Sentinel names another master, and what surely failed is not there.
    """
    survive(ground, "redis", "redis-master", replaced=True)


def test_the_disk_of_the_redis_master_is_full(ground: Ground) -> None:
    """It refuses what it is asked for, pings too, so that Sentinel names another master."""
    old = ground.target("redis-master")
    with (
        ground.clients("redis") as clients,
        ground.broken(faults.filled(ground.engine, ground.lab, [old], lease=600)),
    ):
        clients.until_served()
        ground.until("another is the master", lambda: ground.target("redis-master") != old)


def test_the_mongodb_primary_is_killed(ground: Ground) -> None:
    """Promise: a write acknowledged with w:majority and j:true survives."""
    survive(ground, "mongodb", "mongo-primary", replaced=True)
