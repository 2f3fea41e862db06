"""Bounds from timers, each by arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.chaos.judge.bounds import Bound, bounds_after
from labctl.chaos.model.timers import timers, vrrp
from tests.unit.test_chaos_timeline import lab
from tests.unit.traits import traits

NUMBERS = timers(lab())
SKEW_OF_SECOND = 131 / 256 * 0.3
CLIENT = 1.0


def entry(fault: str, *targets: str, **spec: Any) -> dict[str, Any]:
    return {"fault": fault, "traits": traits(fault), "targets": list(targets), "spec": spec}


def seconds(name: str, fault: str, *targets: str, **players: str) -> float:
    return bounds_after(entry(fault, *targets), NUMBERS, players, CLIENT)[name].seconds - CLIENT


def test_timers_are_those_of_the_catalogue() -> None:
    assert NUMBERS["galera.suspect"] == 5
    assert NUMBERS["sentinel.down_after"] == 5
    assert NUMBERS["mongodb.election"] == 10
    assert (NUMBERS["haproxy.mariadb.inter"], NUMBERS["haproxy.mariadb.fastinter"]) == (1, 0.5)
    assert NUMBERS["haproxy.mariadb.fall"] == 2
    assert (NUMBERS["haproxy.connect"], NUMBERS["haproxy.check"]) == (3, 2)
    assert {node: each.priority for node, each in vrrp(NUMBERS).items()} == {
        "c1": 200,
        "c2": 125,
        "c3": 50,
    }


@pytest.mark.parametrize(
    ("fault", "target", "bound"),
    [
        ("stop", "c1/keepalived", SKEW_OF_SECOND),
        ("kill", "c1/keepalived", 0.9 + SKEW_OF_SECOND),
        ("kill", "c1/haproxy", 1 + SKEW_OF_SECOND),
        ("pause", "c1/haproxy", 1 + 3 + SKEW_OF_SECOND),
        ("power-off", "c1", 0.9 + SKEW_OF_SECOND),
        ("kill", "c1", 0.9 + SKEW_OF_SECOND),
    ],
)
def test_the_virtual_ip(fault: str, target: str, bound: float) -> None:
    assert seconds("vip", fault, target, vip="c1") == pytest.approx(bound)


def test_a_router_moves_to_a_node_that_hears_no_adverts() -> None:
    numbers = timers(lab("core"))

    def bound(fault: str, *targets: str) -> Bound | None:
        return bounds_after(entry(fault, *targets), numbers, {}, CLIENT).get("tenant")

    moved = 3 * 2 + (256 - 50) / 256
    for fault, target in (("power-off", "c2"), ("kill", "c2/neutron-l3-agent"), ("cut", "c2")):
        made = bound(fault, target)
        assert made is not None
        assert (made.seconds - CLIENT, made.dominant) == (moved, "ha_vrrp_advert_int x 3")
    # Where a server may be, or where no other router is, nothing says when it is back.
    assert bound("power-off", "cmp1") is None
    assert bound("power-off", "c2", "cmp1") is None
    assert (
        bound("kill", "c1/neutron-l3-agent", "c2/neutron-l3-agent", "c3/neutron-l3-agent") is None
    )
    assert bound("kill", "c2/haproxy") is None
    # A run that was recorded without a router's timers is judged as it was.
    assert bounds_after(entry("power-off", "c2"), NUMBERS, {}, CLIENT).keys() == {
        *("vip", "api", "galera", "rabbitmq", "redis", "mongodb"),
    }


def test_who_holds_nothing_loses_nothing() -> None:
    assert bounds_after(entry("kill", "c2/haproxy"), NUMBERS, {"vip": "c1"}, CLIENT) == {}
    assert bounds_after(entry("kill", "c2/redis"), NUMBERS, {"redis": "c1"}, CLIENT) == {}
    assert bounds_after(entry("kill", "c2/sentinel"), NUMBERS, {}, CLIENT) == {}


def test_galera_waits_for_the_suspect_timeout_whoever_dies() -> None:
    bound = bounds_after(entry("kill", "c2/mariadb"), NUMBERS, {"galera": "c1"}, CLIENT)["galera"]
    assert bound.seconds == pytest.approx(5 + 0.5 + 1 + CLIENT)
    assert bound.dominant == "evs.suspect_timeout"
    # Frozen, HAProxy's checks take longer than Galera's own: inter, fastinter, 2 x 2 s, connect.
    assert seconds("galera", "pause", "c1/mariadb") == pytest.approx(1 + 0.5 + 4 + 3)


def test_who_crashes_again_and_again_may_be_away_all_the_while() -> None:
    looped = bounds_after({**entry("crash-loop", "c2/mariadb"), "lasts": 40.0}, NUMBERS, {}, CLIENT)
    assert looped["galera"].seconds == pytest.approx(40 + 5 + 0.5 + 1 + CLIENT)
    assert looped["galera"].dominant == "it crashes again meanwhile"


def test_a_member_that_leaves_is_not_waited_for() -> None:
    parts = bounds_after(entry("stop", "c1/mariadb"), NUMBERS, {}, CLIENT)["galera"].parts
    assert "evs.suspect_timeout" not in [part.timer for part in parts]


def test_sentinel_mongodb_rabbitmq() -> None:
    assert seconds("redis", "kill", "c1/redis") == pytest.approx(5 + 1 + 1 + 1)
    assert seconds("mongodb", "kill", "c1/mongodb") == pytest.approx(10 + 1.5 + 2)
    assert seconds("mongodb", "stop", "c1/mongodb") == pytest.approx(2)
    assert seconds("mongodb", "pause", "c1/mongodb") == pytest.approx(10 + 1.5 + 2 + 10)
    assert seconds("rabbitmq", "kill", "c1/rabbitmq") == pytest.approx(6)
    assert seconds("rabbitmq", "pause", "c1/rabbitmq") == pytest.approx(15 * 1.25 + 6)


def test_a_node_takes_all_with_it() -> None:
    bounds = bounds_after(entry("power-off", "c1"), NUMBERS, {"vip": "c1"}, CLIENT)
    assert set(bounds) == {"vip", "galera", "rabbitmq", "redis", "mongodb", "api"}
    assert bounds["api"].dominant == "tcp_retries2"


def test_without_a_majority_there_is_no_bound() -> None:
    assert bounds_after(entry("kill", "c1/mariadb", "c2/mariadb"), NUMBERS, {}, CLIENT) == {}


def test_what_ends_nothing_has_no_bound() -> None:
    assert bounds_after(entry("cut", "c1", only="vrrp"), NUMBERS, {}, CLIENT) == {}
    assert set(bounds_after(entry("cut", "c1", only="port 4567"), NUMBERS, {}, CLIENT)) == {
        "galera"
    }


def test_a_cut_takes_away_all_but_the_largest_group() -> None:
    cut = entry("cut", "c1", "c2", "c3")
    parted = cut | {"resolved": {"groups": [["c1", "c2"], ["c3"]]}}
    away_too = {"vip": "c1", "redis": "c1", "mongodb": "c1"}
    assert bounds_after(parted, NUMBERS, away_too, CLIENT).keys() == {"galera", "rabbitmq", "api"}
    assert "vip" in bounds_after(parted, NUMBERS, {"vip": "c3"}, CLIENT)


def test_a_client_that_is_cut_off_misses_the_others() -> None:
    groups = [["c1", "client"], ["c2", "c3"]]
    cut = entry("cut", "c1", "client") | {"resolved": {"groups": groups}}
    # Stores have no majority on its side, nor have APIs their rows; the address has a node that
    # can take it.
    assert bounds_after(cut, NUMBERS, {"vip": "c2"}, CLIENT).keys() == {"vip"}
    alone = entry("cut", "client") | {"resolved": {"groups": [["client"], ["c1", "c2", "c3"]]}}
    assert bounds_after(alone, NUMBERS, {}, CLIENT) == {}


@pytest.mark.parametrize(
    ("parted", "bounded"),
    [
        # Deaf, but heard: nobody takes over from a holder that says it is there.
        ({"groups": [["c1"], ["c2", "c3", "client"]], "direction": "in"}, False),
        ({"groups": [["c1"], ["c2", "c3", "client"]], "direction": "out"}, True),
        ({"groups": [["c1"], ["c2", "c3", "client"]], "direction": "both"}, True),
        ({"groups": [["c2", "c3", "client"], ["c1"]], "direction": "out"}, False),
        ({"groups": [["c1"], ["client"]], "direction": "both"}, False),
        # One of its peers does not hear it, and takes over.
        ({"groups": [["c1"], ["client", "c2"]], "direction": "both"}, True),
    ],
)
def test_a_holder_that_its_peers_hear_keeps_the_address(
    parted: dict[str, Any], bounded: bool
) -> None:
    cut = entry("cut", "c1") | {"resolved": parted}
    bounds = bounds_after(cut, NUMBERS, {"vip": "c1"}, CLIENT)
    assert ("vip" in bounds) == ("api" in bounds) == bounded
    if not bounded:
        assert "galera" not in bounds


def test_a_deaf_holder_of_a_store_is_replaced() -> None:
    groups = [["c1"], ["c2", "c3", "client"]]
    cut = entry("cut", "c1") | {"resolved": {"groups": groups, "direction": "in"}}
    bounds = bounds_after(cut, NUMBERS, {"vip": "c1"}, CLIENT)
    assert bounds.keys() == {"redis", "mongodb", "rabbitmq"}
    assert "galera" in bounds_after(cut, NUMBERS, {"vip": "c2"}, CLIENT)


def test_a_node_may_be_named_by_what_runs_on_it() -> None:
    by_part = bounds_after(entry("power-off", "c1/mariadb"), NUMBERS, {"vip": "c1"}, CLIENT)
    assert by_part == bounds_after(entry("power-off", "c1"), NUMBERS, {"vip": "c1"}, CLIENT)


def test_an_api_behind_haproxy() -> None:
    assert seconds("api", "kill", "c1/keystone") == pytest.approx(4 + 3 * 0.5 + 3)
    assert seconds("api", "pause", "c1/keystone") == pytest.approx(4 + 3 * 0.5 + 4 * 2 + 3)
