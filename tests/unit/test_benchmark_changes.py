"""The benchmark's figures of changes, each beside the first start."""

from __future__ import annotations

from typing import Any

from labctl.benchmark import changes
from tests.unit.test_chaos_timeline import lab

ROWS: list[dict[str, Any]] = [
    {"index": 0, "said": "replace c2", "began": 10.0, "ended": 52.5, "back": False},
    {"index": 1, "said": "change back", "began": 90.0, "ended": 99.0, "back": True},
]
BUDGETS: list[dict[str, Any]] = [
    {"name": "galera", "fault": 0, "measured": 1.234},
    {"name": "vip", "fault": 0, "measured": None},
    {"name": "vip", "fault": 7, "measured": 3.0},
]


def test_a_change_has_its_length_and_what_each_kind_of_client_missed() -> None:
    assert changes.changes(ROWS, BUDGETS) == [
        {"said": "replace c2", "seconds": 42.5, "away": {"galera": 1.234, "vip": None}}
    ]


def test_rows_say_what_share_of_the_first_start_it_was() -> None:
    document = {
        "on": {"node": "c3", "seconds": 10.0},
        "scenarios": {
            "replace-node": {"error": None, "changes": changes.changes(ROWS, BUDGETS)},
            "roll-mongo": {"error": "it failed (1): so\nand so", "changes": []},
        },
    }
    assert list(changes.rows(document, 40.0)) == [
        ("node on", "10.0 s", "c3, until its clusters count it; 0.25 of the first start"),
        ("replace c2", "42.5 s", "1.06 of the first start"),
        ("  clients of galera", "1.23 s", "the longest without an answer meanwhile"),
        ("  clients of vip", "-", "the longest without an answer meanwhile"),
        ("roll-mongo", "-", "WRONG: it failed (1): so"),
    ]


def test_every_cluster_is_rolled_and_a_node_replaced_added_and_removed() -> None:
    assert changes.fitting(lab("support")) == [
        "replace-node",
        "roll-galera",
        "roll-haproxy",
        "roll-images",
        "roll-keepalived",
        "roll-mongo",
        "roll-rabbit",
        "roll-redis",
        "three-to-five-and-back",
    ]
