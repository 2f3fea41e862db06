"""What stores promise with which settings, and what a finding is then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.chaos.judge.ledger import Promise, judged, longest_span, promise
from labctl.chaos.model.findings import Finding
from labctl.chaos.run.settings import effective
from tests.unit.test_catalogue import shipped


@pytest.mark.parametrize(
    ("kind", "way", "settings", "aspect", "guarantee"),
    [
        ("galera", "set", {"innodb_flush_log_at_trx_commit": 1}, "durable", "promised"),
        ("galera", "set", {"innodb_flush_log_at_trx_commit": 0}, "durable", "documented"),
        ("galera", "set", {"innodb_flush_log_at_trx_commit": 2}, "durable", "documented"),
        ("galera", "set", {}, "durable", "unknown"),
        ("galera", "register", {"wsrep_sync_wait": 0}, "linearizable", "documented"),
        ("galera", "register", {"wsrep_sync_wait": 1}, "linearizable", "promised"),
        ("galera", "bank", {}, "isolated", "promised"),
        ("galera", "bank", {"writers": 3}, "isolated", "documented"),
        ("galera", "set", {}, "isolated", "documented"),
        ("galera", "read-after-write", {"wsrep_sync_wait": 1}, "fresh", "documented"),
        ("rabbitmq", "quorum", {}, "durable", "promised"),
        ("rabbitmq", "quorum", {"confirms": False}, "durable", "none"),
        ("rabbitmq", "quorum", {}, "once", "documented"),
        ("rabbitmq", "classic", {}, "durable", "documented"),
        ("redis", "set", {"min_replicas_to_write": 1}, "durable", "documented"),
        ("redis", "set", {}, "durable", "unknown"),
        ("mongodb", "majority", {}, "durable", "promised"),
        ("mongodb", "majority", {"journal": False}, "durable", "documented"),
        ("mongodb", "w1", {}, "durable", "documented"),
        ("mongodb", "register", {}, "linearizable", "promised"),
        ("mongodb", "majority", {}, "linearizable", "documented"),
        ("memcached", "answers", {}, "durable", "documented"),
    ],
)
def test_promises(kind: str, way: str, settings: Any, aspect: str, guarantee: str) -> None:
    assert getattr(promise(kind, way, {kind: settings}, {}), aspect) == guarantee


def test_an_api_keeps_its_rows_in_galera() -> None:
    made = promise("api", "image", {"galera": {"innodb_flush_log_at_trx_commit": 0}}, {})
    assert (made.durable, made.settled) == ("documented", "documented")


def test_the_clients_own_setting_counts() -> None:
    own = {"sync_wait": True}
    assert promise("galera", "read-after-write", {}, own).fresh == "promised"


def test_who_reads_through_the_virtual_ip_reads_what_one_writer_has() -> None:
    through = {"through_vip": True}
    galera = {"galera": {"wsrep_sync_wait": 0, "writers": 1}}
    assert promise("galera", "read-after-write", galera, through).fresh == "promised"
    assert promise("galera", "read-after-write", galera, {}).fresh == "documented"
    three = {"galera": {"wsrep_sync_wait": 0, "writers": 3}}
    assert promise("galera", "read-after-write", three, through).fresh == "documented"
    claimed = promise("galera", "read-after-write", three, {**through, "claims": {"writers": 1}})
    assert claimed.fresh == "promised"


@pytest.mark.parametrize(("spread", "writers"), [(False, 1), (True, 3)])
def test_the_writers_in_force_follow_from_what_haproxy_does(spread: bool, writers: int) -> None:
    lab = shipped("three-controller", profile="support", mariadb={"spread_clients": spread})
    seen = effective(cast(Any, SimpleNamespace(lab=lab, instances={})))
    assert seen["galera"]["writers"] == writers


def test_clients_that_are_spread_are_several_writers() -> None:
    made = promise("galera", "bank", {"galera": {"writers": 1}}, {"spread": True})
    assert made.isolated == "documented"
    assert "several writing member(s)" in made.says


def test_a_claim_counts_instead_of_what_is_in_force() -> None:
    effective = {"rabbitmq": {"queue_type": "classic"}}
    made = promise("rabbitmq", "classic", effective, {"claims": {"queue_type": "quorum"}})
    assert made.durable == "promised"
    assert made.says.endswith("(the scenario claims queue_type=quorum)")


LOST = Finding("lost", True, "1 lost", "durable", times=[5.0])


@pytest.mark.parametrize(
    ("guarantee", "outcome", "standing"),
    [
        ("promised", "INVALID", "lost though promised"),
        ("documented", "VALID", "lost as documented"),
        ("none", "VALID", "not promised"),
        ("unknown", "UNKNOWN", "unknown"),
    ],
)
def test_weighing(guarantee: Any, outcome: str, standing: str) -> None:
    check = judged("w", LOST, Promise("what it says", "where", durable=guarantee))
    assert (check.outcome, check.promise) == (outcome, standing)
    assert check.why.startswith("1 lost")
    assert check.why.endswith("; what it says [where]")


@pytest.mark.parametrize(
    ("broken", "aspect", "outcome", "standing"),
    [
        (False, "durable", "VALID", "kept"),
        (None, "durable", "UNKNOWN", "unknown"),
        (True, "always", "INVALID", "lost though promised"),
        (True, "nothing", "VALID", "kept"),
    ],
)
def test_weighing_without_a_promise(broken: Any, aspect: Any, outcome: str, standing: str) -> None:
    check = judged("w", Finding("c", broken, "why", aspect), Promise("", "", durable="none"))
    assert (check.outcome, check.promise, check.why) == (outcome, standing, "why")


def test_a_window_bounds_what_may_be_lost_at_a_time() -> None:
    bounded = promise(
        "redis", "set", {"redis": {"min_replicas_to_write": 1, "min_replicas_max_lag": 10}}, {}
    )
    within = Finding("lost", True, "lost", "durable", times=[1.0, 5.0, 11.0, 60.0, 70.0])
    assert judged("w", within, bounded).promise == "lost as documented"
    beyond = Finding("lost", True, "lost", "durable", times=[1.0, 8.0, 16.0, 24.0])
    check = judged("w", beyond, bounded)
    assert check.outcome == "INVALID"
    assert "within 23.0 s, more than the 10 s documented" in check.why
    unbounded = promise("redis", "set", {"redis": {"min_replicas_to_write": 0}}, {})
    assert judged("w", beyond, unbounded).promise == "lost as documented"
    claims = {"claims": {"min_replicas_to_write": 1}}
    claimed = promise("redis", "set", {"redis": {"min_replicas_to_write": 0}}, claims)
    assert judged("w", beyond, claimed).outcome == "INVALID"


def test_a_lag_of_nothing_bounds_nothing() -> None:
    off = {"min_replicas_to_write": 1, "min_replicas_max_lag": 0}
    assert promise("redis", "set", {"redis": off}, {}).window is None


def test_spells_of_losses() -> None:
    assert longest_span([], 5) == 0
    assert longest_span([9, 1, 4], 5) == 8
    assert longest_span([1, 2, 20, 23], 5) == 3
