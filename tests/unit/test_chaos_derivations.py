"""Every row of docs/bounds.md, from the constants of the software's own documentation."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.chaos.judge.bounds import Bound, bounds_after, felt_after, manner
from labctl.chaos.judge.explained import patience, period
from labctl.chaos.model.timers import corrected, timers
from tests.unit.test_chaos_timeline import lab
from tests.unit.traits import traits

NUMBERS = timers(lab())
HOLDER = {"vip": "c1"}


def entry(fault: str, *targets: str, **resolved: Any) -> dict[str, Any]:
    made = {"fault": fault, "traits": traits(fault), "targets": list(targets), "spec": {}}
    return made | {"resolved": resolved}


def bound(name: str, fault: dict[str, Any], numbers: Any = NUMBERS) -> Bound:
    return bounds_after(fault, numbers, HOLDER, 0.0)[name]


# The catalogue's settings: keepalived 0.3 s, priorities 200, 125, 50; check each second, fall 1.
ADVERT, FIRST, SECOND = 0.3, (256 - 125) / 256 * 0.3, (256 - 50) / 256 * 0.3
# HAProxy: inter 1 s, fastinter 0.5 s, fall 2 for Galera; connect 3 s, check 2 s, retries 3.
CHECKED = 1 + 0.5 * (2 - 1)


@pytest.mark.parametrize(
    ("name", "fault", "seconds"),
    [
        # RFC 5798, 6.1: Master_Down_Interval = 3 × Advertisement_Interval + Skew_Time.
        ("vip", entry("power-off", "c1"), 3 * ADVERT + FIRST),
        # The second is hit as well, so that the third takes over.
        ("vip", entry("power-off", "c1", "c2"), 3 * ADVERT + SECOND),
        ("vip", entry("kill", "c1/haproxy", "c2/haproxy"), 1 + SECOND),
        # gcs: suspect 5 s, inactive check 0.5 s, keepalive 1 s.
        ("galera", entry("kill", "c2/mariadb"), 5 + 0.5 + 1),
        # One direction: inactive 15 s, and install 7.5 s for the consent to another view.
        (
            "galera",
            entry("cut", "c1", groups=[["c1"], ["c2", "c3", "client"]], direction="out"),
            15 + 0.5 + 1 + 7.5,
        ),
        # HAProxy: a check that gets no connection ends after min(timeout connect, inter) = 1 s.
        ("galera", entry("power-off", "c1"), CHECKED + 2 * min(3, 1) + 3),
        # One that does, after timeout check = 2 s.
        ("galera", entry("pause", "c1/mariadb"), CHECKED + 2 * 2 + 3),
        # sentinel.c: down-after 5 s, ask 1 s, desync 1 s, INFO 1 s; ping 1 s if it is silent.
        ("redis", entry("kill", "c1/redis"), 5 + 1 + 1 + 1),
        ("redis", entry("pause", "c1/redis"), 1 + 5 + 1 + 1 + 1),
        # Election 10 s and up to 15 %, heartbeat 2 s, heartbeat timeout 10 s.
        ("mongodb", entry("kill", "c1/mongodb"), 10 * 1.15 + 2),
        ("mongodb", entry("pause", "c1/mongodb"), 10 * 1.15 + 2 + 10),
        # aten polls every 5 s, an election takes 1 s; net_ticktime 15 s and 25 %.
        ("rabbitmq", entry("kill", "c1/rabbitmq"), 5 + 1),
        ("rabbitmq", entry("pause", "c1/rabbitmq"), 15 * 1.25 + 5 + 1),
        # The report of a bridge between two brokers: away for 33 s with a client that waits 5 s.
        (
            "rabbitmq",
            entry("cut", "c1", "c2", groups=[["c1"], ["c2"]]),
            15 * 1.25 + 5 + 1 + 10,
        ),
    ],
)
def test_a_bound_is_the_sum_of_what_is_documented(
    name: str, fault: dict[str, Any], seconds: float
) -> None:
    assert bound(name, fault).seconds == pytest.approx(seconds)


def test_a_router_speaks_version_2() -> None:
    """RFC 3768, 6.1: Skew_Time is in 256ths of a second, whatever the interval."""
    numbers = timers(lab("core"))
    made = bound("tenant", entry("kill", "c2/neutron-l3-agent"), numbers)
    assert made.seconds == pytest.approx(3 * 2 + (256 - 50) / 256)


def test_a_verdict_names_a_timer_of_the_system() -> None:
    made = bounds_after(entry("kill", "c1/redis"), NUMBERS, HOLDER, 31.0)["redis"]
    assert made.parts[-1].timer == "client: waits for an answer"
    assert made.dominant == "down-after-milliseconds"


@pytest.mark.parametrize(
    ("kind", "way", "settings", "seconds"),
    [
        ("vip", "probe", {}, 0.5 + 2 / 10),
        ("galera", "set", {}, 5 + 1 / 20),
        ("api", "image", {}, 30 + 1 / 0.5),
        ("tenant", "floating", {}, 1 + 2 / 5),
        ("galera", "set", {"timeout": 2}, 2 + 1 / 20),
    ],
)
def test_a_client_waits_as_its_workload_says(
    kind: str, way: str, settings: Any, seconds: float
) -> None:
    workload = {"name": "w", "kind": kind, "as": way, "settings": settings}
    assert patience(workload) + period(workload) == pytest.approx(seconds)


def test_how_a_target_ends() -> None:
    assert manner(entry("kill", "c1"), None) == "cut off"
    assert manner(entry("kill", "c1/redis"), "redis") == "killed"
    assert manner(entry("pause", "c1/redis"), "redis") == "frozen"
    assert manner(entry("power-off", "c1"), None) == "cut off"
    assert manner(entry("stop", "c1/redis"), "redis") == "left"


def test_what_nothing_bounds_is_away_until_it_is_healed() -> None:
    felt = felt_after(entry("kill", "c1/mongodb", "c2/mongodb"), NUMBERS, {}, 1.0)
    assert felt == {"mongodb": None}
    nowhere = felt_after(entry("kill", "c2/redis"), NUMBERS, {"redis": "c1"}, 1.0)
    assert nowhere == {}


def test_constants_that_an_older_labctl_recorded_wrongly_are_corrected() -> None:
    old = {"members.rabbitmq": 3.0, "rabbitmq.aten": 1.0, "rabbitmq.net_tick": 60.0}
    assert corrected(old)["rabbitmq.aten"] == 5.0
    assert corrected(old)["rabbitmq.net_tick"] == 60.0
    assert "sentinel.ping" not in corrected(old)
