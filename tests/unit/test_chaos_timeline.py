"""Scenario and seed to a timeline; spans and targets as scenarios write them."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import pytest

from labctl.chaos.document import aims
from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.model import spans
from labctl.chaos.run import fit
from labctl.chaos.run.timeline import Action, Pick, resolve
from labctl.documents.catalog import load_catalog
from labctl.documents.topologies import load_topology, shipped
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.model.topology import Choice
from labctl.resolve.resolution import resolve as resolve_lab
from labctl.resolve.selection import select


@cache
def lab(profile: str = "support") -> Lab:
    catalog = load_catalog()
    topology, source = load_topology(shipped()["three-controller"])
    choice = Choice.model_validate({"profile": profile})
    return resolve_lab(select(topology, catalog, choice, source), catalog)


def scenario(*steps: dict[str, Any], **more: Any) -> ScenarioDoc:
    base: dict[str, Any] = {
        "name": "example",
        "description": "d",
        "workloads": [{"name": "set", "kind": "galera", "as": "set"}],
        "timeline": list(steps),
    }
    return ScenarioDoc.model_validate(base | more)


def actions(*steps: dict[str, Any], seed: int = 1) -> tuple[Action, ...]:
    return resolve(scenario(*steps), lab(), seed)


@pytest.mark.parametrize(
    ("text", "length"),
    [("40ms", 0.04), ("20s", 20), ("1h30m", 5400), ("1.5s", 1.5), ("0s", 0)],
)
def test_spans(text: str, length: float) -> None:
    assert spans.seconds(text) == pytest.approx(length)
    assert spans.seconds(spans.written(length)) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "20", "s", "20 s", "-1s", "1d"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="should be a duration such as 500ms, 20s, 5m or 1h30m"):
        spans.seconds(text)


def test_a_random_moment_lies_between_its_limits() -> None:
    drawn = [
        spans.drawn({"random": ["5s", "20s"]}, Random(seed))  # noqa: S311
        for seed in range(50)
    ]
    assert all(5 <= each <= 20 for each in drawn)
    assert len(set(drawn)) > 40


def test_a_step_is_healed_after_its_for() -> None:
    action = actions({"at": "10s", "fault": "kill", "target": "galera-writer", "for": "20s"})[0]
    assert (action.at, action.heal_at, action.targets) == (10, 30, ("galera-writer",))
    assert action.said == "kill galera-writer for 20s"
    assert action.spec == {"fault": "kill", "target": "galera-writer"}


def test_every_is_as_often_as_times_and_sorted_among_the_others() -> None:
    made = actions(
        {"every": "10s", "times": 3, "fault": "restart", "target": "c1/redis"},
        {"at": "15s", "fault": "kill", "target": "c2"},
    )
    assert [(a.index, a.at, a.fault) for a in made] == [
        (0, 10, "restart"),
        (1, 15, "kill"),
        (2, 20, "restart"),
        (3, 30, "restart"),
    ]


def test_at_is_the_first_of_every() -> None:
    made = actions(
        {"at": "2s", "every": "10s", "times": 2, "fault": "restart", "target": "c1/redis"}
    )
    assert [action.at for action in made] == [2, 12]


def test_a_seed_repeats_and_another_differs() -> None:
    step = {
        "at": {"random": ["1s", "60s"]},
        "every": "10s",
        "times": 5,
        "one_of": [
            {"fault": "kill", "target": {"one": "mariadb"}, "for": {"random": ["1s", "9s"]}},
            {"fault": "pause", "target": {"one": "redis"}, "for": "5s"},
        ],
    }
    assert actions(step, seed=7) == actions(step, seed=7)
    assert len({str(actions(step, seed=seed)) for seed in range(10)}) == 10


@pytest.mark.parametrize(
    ("share", "count"), [("one", 1), ("minority", 1), ("majority", 2), ("all", 3)]
)
def test_a_share_of_a_service(share: str, count: int) -> None:
    chosen = {
        actions({"at": "1s", "fault": "kill", "target": {share: "mariadb"}}, seed=seed)[0].targets
        for seed in range(20)
    }
    assert {len(each) for each in chosen} == {count}
    assert (len(chosen) > 1) == (count < 3)
    assert set().union(*chosen) == {"c1/mariadb", "c2/mariadb", "c3/mariadb"}


def test_who_must_not_be_hit_is_left_to_the_moment() -> None:
    target = {"one": "mariadb", "not": "vip-holder"}
    pick = actions({"at": "1s", "fault": "kill", "target": target})[0].targets[0]
    assert isinstance(pick, Pick)
    assert (pick.take, sorted(pick.of)) == (1, ["c1/mariadb", "c2/mariadb", "c3/mariadb"])
    assert pick.unless == ("vip-holder",)
    both = {"is": "vip-holder", "not": "galera-writer"}
    assert actions({"at": "1s", "fault": "kill", "target": both})[0].targets == (
        Pick(1, ("vip-holder",), ("galera-writer",)),
    )


def test_cuts() -> None:
    def cut(**how: Any) -> Action:
        return actions({"at": "1s", "fault": "cut", "for": "9s", **how})[0]

    assert cut(isolate="vip-holder").groups == (("vip-holder",),)
    assert cut(groups=[["c1", "client"], ["others"]]).groups == (("c1", "client"),)
    assert cut(groups=[["c1"], ["c2", "c3"]], direction="in").terms == {"direction": "in"}
    large, small = cut(shape="majority", of="mariadb").groups
    assert (len(large), len(small)) == (2, 1)
    assert sorted([*large, *small]) == ["c1", "c2", "c3"]
    assert [len(group) for group in cut(shape="minority", of="mariadb").groups] == [1, 2]
    assert [len(group) for group in cut(shape="bridge").groups] == [1, 1]


def test_a_ring_parts_all_that_are_no_neighbours() -> None:
    action = resolve(scenario({"at": "1s", "fault": "cut", "shape": "ring"}), lab("core"), 1)[0]
    deaf = {node: 0 for pair in action.pairs for node in pair}
    for one, other in action.pairs:
        deaf[one] += 1
        deaf[other] += 1
    assert action.groups == ()
    assert deaf == {"c1": 2, "c2": 2, "c3": 2, "cmp1": 2, "cmp2": 2}


@pytest.mark.parametrize(
    "value", [[], 3, {"one": "mariadb", "all": "redis"}, {"not": "c1"}, {"one": ["c1"]}, "a b"]
)
def test_what_is_no_target(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        aims.aims(value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"timeline": [{"at": "1s", "fault": "kill", "target": "c9"}]},
            "scenario 'example': timeline[0].target: lab 'three-controller' has no node or part "
            "'c9'; allowed: c1, c2, c3, client, vip-holder, galera-writer, galera-donor, "
            "rabbit-leader, redis-master, sentinel-leader, mongo-primary, l3-master, amphora",
        ),
        (
            {"timeline": [{"at": "1s", "fault": "kill", "target": "c1/mysql"}]},
            "scenario 'example': timeline[0].target: node c1 runs no service 'mysql': it runs "
            "haproxy, rabbitmq, redis, memcached, mariadb, mongodb, keepalived, sentinel and "
            "keystone",
        ),
        (
            {"timeline": [{"at": "1s", "fault": "kill", "target": {"all": "glance"}}]},
            "scenario 'example': timeline[0].target: lab 'three-controller' has no service "
            "'glance'; bring it up with --with glance",
        ),
        (
            {"timeline": [{"at": "1s", "fault": "cut", "shape": "ring", "of": "mariadb"}]},
            "scenario 'example': timeline[0].shape: a ring takes 4 nodes, lab 'three-controller' "
            "has 3 for it",
        ),
        (
            {"workloads": [{"name": "image", "kind": "api", "as": "image"}]},
            "scenario 'example': workloads[0]: lab 'three-controller' has no service 'glance'; "
            "bring it up with --with glance",
        ),
        (
            {"needs": {"profile": "core"}},
            "scenario 'example': needs.profile: lab 'three-controller' has the profile support, "
            "should be core; bring it up with --profile core",
        ),
        (
            {"needs": {"topology": "single"}},
            "scenario 'example': needs.topology: is for the topology 'single', lab "
            "'three-controller' is 'three-controller'",
        ),
        (
            {"needs": {"settings": {"mariadb": {"sync_wait": 1}}}},
            "scenario 'example': needs.settings.mariadb.sync_wait: should be 1, in lab "
            "'three-controller' it is 0; bring up a topology that says so under services.mariadb",
        ),
    ],
)
def test_what_a_lab_lacks_is_one_sentence(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        fit.check(scenario(*more.pop("timeline", ()), **more), lab())
    assert str(caught.value) == said
