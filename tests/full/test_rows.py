"""Each row of the design's table: one instance dies, its operation goes on, and it comes back.

The rows are the catalogue's. Those of one system share a round, for they share their steps and a
server takes its time to boot: one instance of each of the system's services is killed, all on one
node, the steps that prove them are run, and they are started again. The support tier's rows have
a round each, under loads that write all the while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import openstack
import pytest
from keystoneauth1.exceptions import ClientException

from labctl.documents.catalog import load_catalog
from labctl.model.lab import Instance
from labctl.resolve import table
from labctl.verify.choice import proofs
from tests.chaos.ground import RECOVERY, Ground, Kind
from tests.full.membership import Membership
from tests.lab.command import Labctl

ROWS = [row for row in table.of_catalog(load_catalog()) if row["in_design"]]
SUPPORT = [row for row in ROWS if row["system"] == "support"]
PASSIVE = [row for row in ROWS if row["active"] == "one" and not row["retired"]]
ACTIVE = [row for row in ROWS if row not in SUPPORT and row not in PASSIVE]
SYSTEMS = list(dict.fromkeys(row["system"] for row in ACTIVE))

LOADS: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "mariadb": ("galera-writer", ("galera", "identity")),
    "rabbitmq": ("rabbit-leader", ("rabbitmq",)),
    "mongodb": ("mongo-primary", ("mongodb",)),
    "redis": ("redis-master", ("redis",)),
    "sentinel": ("c1/sentinel", ("redis",)),
    "memcached": ("c1/memcached", ("identity",)),
    "haproxy": ("vip-holder/haproxy", ("galera", "identity")),
    "keepalived": ("vip-holder/keepalived", ("galera", "identity")),
}
"""Service of the support tier → the instance that matters, and what its users do meanwhile."""

CHOSEN_FROM_A_LIST = ("nova-compute", "cinder-backup")
"""Who works next is chosen among those believed alive, so the others must first see its death."""

OF_ITS_OWN_NODE = ("ceilometer-compute",)
"""It meters the servers of its own node and no others: while it is dead, Nova is told to put none
there, or the servers' meters would stand still as they must."""

Row = table.Row


def name(row: Row) -> str:
    """A row as a test's name; several services may stand for one."""
    return f"{row['system']}/{row['process']}:{row['service']}".replace(" ", "")


@dataclass
class Round:
    """What came of a round: who was killed, how the steps went, who did not come back."""

    killed: dict[str, str]
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def why(self, step: str) -> str:
        """Why a step did not pass: its own error, and those of the steps that failed before it."""
        failed = {
            name: went["error"] for name, went in self.steps.items() if went["result"] == "failed"
        }
        return f"{self.steps[step]['error']} (failed: {failed or 'none'})"


@pytest.fixture(scope="module")
def rounds(
    labctl: Labctl, lab: str, ground: Ground, membership: Membership
) -> Callable[[str], Round]:
    """The round of a system, which takes place when its first row is tested, and only then."""

    @cache
    def of(system: str) -> Round | Exception:
        services = sorted({row["service"] for row in ACTIVE if row["system"] == system})
        victims = chosen(ground, services, SYSTEMS.index(system))
        try:
            ground.until_healthy()
            return take_out(labctl, lab, ground, membership, victims)
        except (AssertionError, openstack.exceptions.SDKException, ClientException) as error:
            return error

    def made(system: str) -> Round:
        round_ = of(system)
        if isinstance(round_, Exception):
            raise round_
        return round_

    return made


def chosen(ground: Ground, services: list[str], turn: int) -> list[Instance]:
    """One instance of each, all of them on one node where they run there; each turn another."""
    victims = []
    for service in services:
        if service in ground.lab.services:
            nodes = ground.lab.services[service].nodes
            instance = ground.lab.instance(nodes[turn % min(len(nodes), 3)].name, service)
            assert instance is not None
            victims.append(instance)
    return victims


def take_out(
    labctl: Labctl, lab: str, ground: Ground, membership: Membership, victims: list[Instance]
) -> Round:
    """Kill them, use what they were part of, start them, and see them take part again."""
    made = Round({victim.service.name: victim.node.name for victim in victims})
    names = [victim.name for victim in victims]
    lists = {victim.name: membership.listed(victim) for victim in victims}
    before = membership.consumers()
    alone = [v.node.name for v in victims if v.service.name in OF_ITS_OWN_NODE]
    labctl("kill", "--lab", lab, *names)
    try:
        for node in alone:
            membership.schedule(node, "disable")
        for victim in victims:
            if victim.service.name in CHOSEN_FROM_A_LIST and lists[victim.name]:
                dead = partial(_seen_dead, membership, victim)
                ground.until(f"{victim.name} is seen as dead", dead, 60)
        proved = proofs(ground.lab)
        steps = dict.fromkeys(step for victim in victims for step in proved[victim.service.name])
        wanted = [word for step in steps for word in ("--step", step)]
        if wanted:
            report = labctl("verify", "--lab", lab, "--json", *wanted, code=None, timeout=900).json
            made.steps = {step["name"]: step for step in report["steps"]}
    finally:
        labctl("heal", "--lab", lab)
        for node in alone:
            membership.schedule(node, "enable")
    ground.until_healthy()
    end = time.monotonic() + RECOVERY
    while True:
        made.absent = absent(membership, victims, lists, before)
        if not made.absent or time.monotonic() > end:
            return made
        time.sleep(2)


def _seen_dead(membership: Membership, instance: Instance) -> bool:
    return not membership.listed(instance)


def absent(
    membership: Membership,
    victims: list[Instance],
    listed: dict[str, bool | None],
    before: dict[str, int],
) -> dict[str, str]:
    """Those that answer again and do not yet take part: service → what is missing."""
    found = {}
    now = membership.consumers()
    lost = sorted(queue for queue, count in before.items() if now.get(queue, 0) < count)
    for victim in victims:
        service = victim.service.name
        if membership.balanced(victim) is False:
            found[service] = "HAProxy does not send it anything"
        elif listed[victim.name] and not membership.listed(victim):
            found[service] = "its system lists it as dead"
        elif lost and victim.service.doc.endpoint is None:
            # Whose queue it is the broker does not know: one of those that take from queues.
            found[service] = f"fewer than before take from {', '.join(lost)}"
    return found


@pytest.mark.parametrize("row", SUPPORT, ids=name)
def test_a_row_of_the_support_tier(ground: Ground, row: Row) -> None:
    if row["service"] not in ground.lab.services:
        pytest.skip(f"this lab's profile has no {row['service']}")
    part, kinds = LOADS[row["service"]]
    with (
        ground.clients(*kinds) as clients,
        ground.broken(ground.halt("kill", ground.target(part))),
    ):
        clients.until_served()


@pytest.mark.parametrize("row", ACTIVE, ids=name)
def test_a_row(rounds: Callable[[str], Round], ground: Ground, row: Row) -> None:
    """A retired process's row is its successor's: that one is killed, and does the job."""
    service = row["service"]
    if service not in ground.lab.services:
        pytest.skip(f"this lab's profile has no {service}")
    assert len(ground.lab.services[service].nodes) > 1, f"one {service} cannot survive its loss"
    made = rounds(row["system"] if row["system"] in SYSTEMS else "")
    assert service in made.killed
    steps = proofs(ground.lab)[service]
    assert steps, f"no step of verify proves {service}"
    for step in steps:
        assert made.steps[step]["result"] == "passed", (
            f"without {made.killed[service]}/{service}: {step}: {made.why(step)}"
        )
    assert service not in made.absent, made.absent.get(service)
    assert row["successor"] or not row["retired"]


@pytest.mark.parametrize("row", PASSIVE, ids=name)
def test_a_row_that_is_active_on_one_node(
    labctl: Labctl, lab: str, ground: Ground, membership: Membership, row: Row
) -> None:
    """It stops with its node, and an operator takes it to another, where all of it is again."""
    service = row["service"]
    if service not in ground.lab.services:
        pytest.skip(f"this lab's profile has no {service}")
    ground.until_healthy()
    (node,) = ground.lab.services[service].nodes
    other = next(each for each in ground.lab.services[service].candidates if each != node)
    steps = proofs(ground.lab)[service]
    wanted = [word for step in steps for word in ("--step", step)]
    openstack = ("exec", "--lab", lab, "client/toolbox", "--", "openstack", "volume")
    labctl(*openstack, "create", "--size", "1", "row")
    instance = ground.lab.instance(node.name, service)
    assert instance is not None

    def volume() -> str:
        return str(labctl(*openstack, "show", "row", "-f", "json").json["status"])

    ground.until("the volume is there", lambda: volume() == "available")
    labctl("kill", "--lab", lab, f"{node.name}/{service}")
    ground.until("it is seen as dead", partial(_seen_dead, membership, instance), 60)
    stopped = labctl("verify", "--lab", lab, "--json", *wanted, code=1, timeout=600).json
    assert any(step["result"] == "failed" for step in stopped["steps"])
    labctl("move", "--lab", lab, service, "--to", other.name)
    went_on = labctl("verify", "--lab", lab, "--json", *wanted, code=None, timeout=600).json
    assert {step["name"]: step["error"] for step in went_on["steps"] if step["error"]} == {}
    # The volume that was there before: as it was, and as usable.
    assert volume() == "available"
    labctl(*openstack, "set", "--size", "2", "row")
    ground.until("the volume has grown", lambda: volume() == "available")
    labctl(*openstack, "delete", "row")
    labctl("heal", "--lab", lab)
    labctl("up", "--name", lab)
    assert labctl.status(lab)["state"] == "healthy"
