"""Who a fault is aimed at, resolved live."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.chaos.run.injector import Injector
from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.faults import Target, resolve, vip_holders
from labctl.model.lab import Lab
from tests.unit.faults_world import World
from tests.unit.labs import desired
from tests.unit.test_chaos_timeline import lab as shipped_lab


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(desired(tmp_path))


def aim(world: World, text: str, **clusters: Mapping[str, Any]) -> Target:
    return resolve(world, world.lab, text, lambda: clusters)


def hold(world: World, *nodes: str) -> None:
    for node in nodes:
        world.spaces[f"small-{node}"].extra.add(world.lab.vip)


def test_nodes_and_instances(world: World) -> None:
    assert aim(world, "c2") == Target("c2")
    assert aim(world, "c2/api") == Target("c2", "api")


def test_the_lab_is_asked_only_for_parts_of_clusters(world: World) -> None:
    def fail() -> Mapping[str, Mapping[str, Any]]:
        raise AssertionError("asked")

    assert resolve(world, world.lab, "c1", fail) == Target("c1")


def test_a_part_of_a_cluster_is_an_instance(world: World) -> None:
    assert aim(world, "galera-writer", galera={"writer": "c3"}) == Target("c3", "store")
    assert aim(world, "galera-writer/api", galera={"writer": "c3"}) == Target("c3", "api")


@pytest.mark.parametrize("clusters", [{}, {"galera": {"writer": None}}])
def test_nobody_plays_the_part(world: World, clusters: dict[str, Any]) -> None:
    with pytest.raises(LabError) as caught:
        aim(world, "galera-writer", **clusters)
    assert str(caught.value) == "lab 'small' has no galera-writer now: see `labctl status`"


def test_a_part_of_a_cluster_that_the_lab_has_not(world: World) -> None:
    with pytest.raises(InputError) as caught:
        aim(world, "redis-master")
    assert str(caught.value) == (
        "lab 'small' has no redis-master: its topology runs no such cluster"
    )


def test_the_vip_holder_is_read_from_the_nodes(world: World) -> None:
    hold(world, "c2")
    assert vip_holders(world, world.lab) == ["c2"]
    assert aim(world, "vip-holder") == Target("c2")
    assert aim(world, "vip-holder/api") == Target("c2", "api")


def test_a_dead_node_holds_nothing(world: World) -> None:
    hold(world, "c1", "c2")
    world.kill("small-c1")
    assert vip_holders(world, world.lab) == ["c2"]


def test_two_holders_are_no_target(world: World) -> None:
    hold(world, "c1", "c2")
    with pytest.raises(LabError) as caught:
        aim(world, "vip-holder")
    assert str(caught.value) == (
        f"c1 and c2 hold the virtual IP {world.lab.vip}: name a node instead"
    )


def test_no_holder_is_no_target(world: World) -> None:
    with pytest.raises(LabError, match="no node holds the virtual IP"):
        aim(world, "vip-holder")


def test_an_unknown_target(world: World) -> None:
    with pytest.raises(InputError) as caught:
        aim(world, "c9")
    assert str(caught.value) == (
        "there is no target 'c9' in lab 'small': name a node (c1, c2, c3 and client), "
        "a part (vip-holder, galera-writer, rabbit-leader, redis-master, mongo-primary, "
        "galera-donor, sentinel-leader, l3-master and amphora), "
        "or one of these with /SERVICE"
    )


@pytest.mark.parametrize("text", ["c1/nothing", "c1/"])
def test_an_unknown_service(world: World, text: str) -> None:
    with pytest.raises(InputError) as caught:
        aim(world, text)
    service = text.partition("/")[2]
    assert str(caught.value) == f"node c1 runs no service '{service}': it runs store and api"


def test_the_galera_donor(world: World) -> None:
    members = {"c1": "Primary, Synced", "c3": "Primary, Donor/Desynced"}
    assert aim(world, "galera-donor", galera={"members": members}) == Target("c3", "store")
    with pytest.raises(LabError) as caught:
        aim(world, "galera-donor", galera={"members": {"c1": "Primary, Synced"}})
    assert str(caught.value) == "lab 'small' has no galera-donor now: no state is being copied"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "sentinel-leader",
            "lab 'small' has no sentinel-leader: its topology runs no such cluster",
        ),
        ("l3-master:r1", "lab 'small' has no l3-master: it runs no neutron-l3-agent"),
        ("rabbit-leader:q", "lab 'small' has no rabbit-leader: its topology runs no such cluster"),
    ],
)
def test_parts_that_the_lab_has_not(world: World, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        aim(world, text)
    assert str(caught.value) == message


class Serving:
    """An engine whose L3 agents and amphorae say what they serve."""

    def __init__(self, lab: Lab, **lines: str) -> None:
        self._running = [lab.container(instance) for instance in lab.instances]
        self._lines = {
            f"{lab.name}-{name.replace('_', '-', 1)}": said for name, said in lines.items()
        }
        self.asked: set[tuple[str, ...]] = set()

    def containers(self, _: str) -> list[Any]:
        return [SimpleNamespace(name=name, status="running") for name in self._running]

    def exec(self, container: str, command: list[str], **_: Any) -> Any:
        self.asked.add(tuple(command[-2:]))
        return SimpleNamespace(stdout=self._lines.get(container, ""))

    def resolve(self, lab: Lab, text: str) -> Target:
        return resolve(cast("Engine", self), lab, text, dict)


def test_what_a_tenant_has_is_served_by_an_instance() -> None:
    lab = shipped_lab("full")
    states = {"c2_neutron-l3-agent": "a/state\nb/state\n", "c3_neutron-l3-agent": "c/state\n"}
    amphorae = {"c3_octavia-amphora": "x/haproxy.cfg\n"}
    engine = Serving(lab, **states, **amphorae)
    assert engine.resolve(lab, "l3-master") == Target("c2", "neutron-l3-agent")
    assert engine.resolve(lab, "amphora/haproxy") == Target("c3", "haproxy")
    assert engine.asked == {("sh", "*")}
    engine.resolve(lab, "amphora:b1")
    assert ("sh", "b1") in engine.asked
    idle = Serving(lab)
    for text, says in (
        ("l3-master", "lab 'three-controller' has no l3-master now"),
        (
            "amphora:b1",
            "lab 'three-controller' has no amphora of load balancer 'b1' (name it by its id) now",
        ),
    ):
        with pytest.raises(LabError) as caught:
            idle.resolve(lab, text)
        assert str(caught.value) == says


def test_a_scenario_names_the_queue_of_a_workload_by_the_workload() -> None:
    lab = shipped_lab()
    queues = "run_1_mine\t<rabbit@c3.1.0>\nother\t<rabbit@c2.1.0>\n"
    engine = Serving(lab, **{f"{node}_rabbitmq": queues for node in ("c1", "c2", "c3")})
    injector = Injector(cast("Engine", engine), lab, dict, 60.0, {"mine": "run_1_mine"})
    for target, node in (("rabbit-leader:mine", "c3"), ("rabbit-leader:other/haproxy", "c2")):
        about = {"groups": (), "pairs": (), "terms": {}, "at": 0.0, "heal_at": 5.0}
        action = SimpleNamespace(fault="kill", targets=(target,), **about)
        made = injector.fault(cast("Any", action))
        assert made.targets == (f"{node}/{'haproxy' if '/' in target else 'rabbitmq'}",)
