"""A lab of three controllers grows to five and shrinks again, its clusters whole at each end."""

from __future__ import annotations

import time
from collections.abc import Callable

from labctl.engine.port import Engine
from tests.lab.command import Labctl

CLUSTERS = ("galera", "rabbitmq", "mongodb", "redis")
ASK = r"""
set -eu
kept=/var/lib/redis
password=$(sed -n 's/^requirepass "\?\([^"]*\)"\?$/\1/p' $kept/redis.conf)
address=$(hostname -i)
say() { printf 'AUTH %s\n%s\n' "$password" "$1" | redis-cli -h "$address" | tail -n +2; }
say "$1"
"""
FAIL_OVER = r"""
password=$(sed -n 's/^sentinel sentinel-pass "\?\([^"]*\)"\?$/\1/p' /etc/redis/sentinel.conf)
printf 'AUTH sentinel %s\nSENTINEL FAILOVER lab\n' "$password" |
    redis-cli -h "$(hostname -i)" -p 26379
"""
MASTER = "redis-cli -h $(hostname -i) -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME lab"


def shell(driver: Engine, container: str, *arguments: str) -> str:
    done = driver.exec(container, ["sh", "-c", arguments[0], "sh", *arguments[1:]])
    assert done.code == 0, done.stderr or done.stdout
    return done.stdout


def becomes(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def members(labctl: Labctl, lab: str) -> dict[str, int]:
    """Cluster → how many members it counts itself."""
    return {name: it["size"] for name, it in labctl.status(lab)["clusters"].items()}


def test_nodes_come_and_go_and_take_no_cluster_with_them(
    labctl: Labctl, small: str, driver: Engine
) -> None:
    labctl("up", "three-controller", "--name", small, "--profile", "support")
    shell(driver, f"{small}-c1-redis", ASK, "SET kept through")
    labctl("node", "add", "c4", "c5", "--like", "c1", "--lab", small)
    assert members(labctl, small) == dict.fromkeys(CLUSTERS, 5)

    # The master is one of those that leave, which is what took Redis along once.
    shell(driver, f"{small}-c5-redis", ASK, "CONFIG SET replica-priority 1")
    address = shell(driver, f"{small}-c5", "hostname -i").strip()

    def is_master() -> bool:
        shell(driver, f"{small}-c1-sentinel", FAIL_OVER)
        return address in shell(driver, f"{small}-c1-sentinel", MASTER)

    becomes(is_master, "c5 is not the master", seconds=120)
    labctl("node", "remove", "c4", "c5", "--lab", small)
    assert members(labctl, small) == dict.fromkeys(CLUSTERS, 3)
    assert labctl.status(small)["state"] == "healthy"
    for node in ("c1", "c2", "c3"):
        redis = f"{small}-{node}-redis"
        assert shell(driver, redis, ASK, "GET kept").strip() == "through"
        replication = shell(driver, redis, ASK, "INFO replication")
        assert "role:master" in replication or "master_link_status:up" in replication
    alone = labctl("node", "remove", "c3", "--lab", small, code=2)
    assert "would run on 2 nodes (c1, c2), where a majority decides" in alone.err
    again = labctl("up", "three-controller", "--name", small, "--profile", "support")
    assert "nothing to do" in again.err + again.out
