"""The member that matters most of each store is killed while clients write to it."""

from __future__ import annotations

from labctl import faults
from labctl.faults import Target
from tests.chaos.ground import Ground
from tests.chaos.single import Kind


def survive(ground: Ground, kind: Kind, target: Target) -> None:
    """Kill a member under load; the others go on, it joins them again, and promises are kept."""
    with ground.loads(kind) as loads:
        with ground.broken(ground.halt("kill", target)):
            loads.until_more(ground)
        ground.until_healthy()
        loads.until_more(ground)
    ground.judge(loads)


def test_the_galera_writer_is_killed(ground: Ground) -> None:
    """Promise: with innodb_flush_log_at_trx_commit=1 an acknowledged commit is on every member.

    HAProxy sends all writes to another member, and does not go back to the first by itself.
    """
    survive(ground, "galera", ground.target("galera-writer"))


def test_the_leader_of_a_quorum_queue_is_killed(ground: Ground) -> None:
    """Promise: a confirmed message is delivered at least once after the queue is drained."""
    with ground.loads("rabbitmq") as loads:
        leader = loads.by_kind["rabbitmq"].member
        assert leader is not None
        with ground.broken(ground.halt("kill", Target(leader, "rabbitmq"))):
            loads.until_more(ground)
        ground.until_healthy()
        loads.until_more(ground)
    ground.judge(loads)


def test_a_rabbitmq_node_is_killed(ground: Ground) -> None:
    """Promise: as above; whichever node the cluster names first."""
    survive(ground, "rabbitmq", ground.target("rabbit-leader"))


def test_the_redis_master_is_killed(ground: Ground) -> None:
    """Replication is asynchronous: acknowledged writes of the last moments may be lost.

    min-replicas-to-write bounds that; a loss is reported as documented. What must hold: Sentinel
    names another master, and what surely failed is not there.
    """
    old = ground.target("redis-master")
    with ground.loads("redis") as loads:
        with ground.broken(ground.halt("kill", old)):
            loads.until_more(ground)
            assert ground.target("redis-master") != old
        ground.until_healthy()
        loads.until_more(ground)
    ground.judge(loads)


def test_the_disk_of_the_redis_master_is_full(ground: Ground) -> None:
    """It refuses what it is asked for, pings too, so that Sentinel names another master."""
    old = ground.target("redis-master")
    with ground.loads("redis") as loads:
        with ground.broken(faults.filled(ground.engine, ground.lab, [old], lease=600)):
            loads.until_more(ground)
            ground.until("another is the master", lambda: ground.target("redis-master") != old)
        ground.until_healthy()
        loads.until_more(ground)
    ground.judge(loads)


def test_the_mongodb_primary_is_killed(ground: Ground) -> None:
    """Promise: a write acknowledged with w:majority and j:true survives."""
    old = ground.target("mongo-primary")
    with ground.loads("mongodb") as loads:
        with ground.broken(ground.halt("kill", old)):
            loads.until_more(ground)
            assert ground.target("mongo-primary") != old
        ground.until_healthy()
        loads.until_more(ground)
    ground.judge(loads)
