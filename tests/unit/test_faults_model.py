"""What a fault says: its terms, who does not hear whom, its lease."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from labctl.errors import InputError
from labctl.faults.kinds import severed
from labctl.faults.model import Fault, Member, Station, names, parse_duration
from labctl.faults.wire import heard, ruleset

STATIONS = tuple(
    Station(f"c{i}", f"lab-c{i}", f"198.18.0.{i}", f"02:00:00:00:00:0{i}") for i in range(4)
)
CUT = Fault(
    id="t_1",
    lab="lab",
    kind="cut",
    scope="node",
    targets=("c1",),
    stations=STATIONS,
    begun=1000.0,
    lease=90.0,
    groups=(("c1",), ("c2", "c3")),
)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600), ("1h30m", 5400), ("0.5s", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "s", "5 m", "-5s", "0s", "1d", "1h-5m", "soon"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert str(caught.value) == f"{text!r} is not a duration: write it as 90s, 5m, 1h or 1h30m"


def test_the_lease_begins_with_the_fault() -> None:
    assert CUT.due == 1090.0


def test_a_cut_makes_both_sides_deaf() -> None:
    assert CUT.deaf() == {"c1": ("c2", "c3"), "c2": ("c1",), "c3": ("c1",)}
    assert heard(CUT) == {}
    assert CUT.title == "cut c1 | c2 c3"


def test_one_way_in_the_first_group_does_not_hear() -> None:
    inward = replace(CUT, direction="in")
    assert inward.deaf() == {"c1": ("c2", "c3")}
    assert heard(inward) == {"c2": ["c1"], "c3": ["c1"]}
    assert inward.title == "cut c1 -> c2 c3"


def test_one_way_out_the_first_group_is_not_heard() -> None:
    outward = replace(CUT, direction="out")
    assert outward.deaf() == {"c2": ("c1",), "c3": ("c1",)}
    assert heard(outward) == {"c1": ["c2", "c3"]}


def test_nodes_in_no_group_hear_everybody() -> None:
    bridge = replace(CUT, groups=(("c1",), ("c2",)))
    assert severed([bridge]) == {frozenset({"c1", "c2"})}


def test_overlapping_cuts_add_up() -> None:
    other = replace(CUT, groups=(("c2",), ("c3",)))
    assert len(severed([CUT, other])) == 3
    kill = replace(CUT, kind="kill")
    assert severed([kill]) == frozenset()


def test_a_fault_survives_the_journal() -> None:
    fault = replace(CUT, members=(Member("lab-c1-db", "c1", "db", 60),))
    assert Fault.from_json(json.loads(json.dumps(fault.to_json()))) == fault


@pytest.mark.parametrize(
    ("items", "text"), [((), ""), (("a",), "a"), (("a", "b"), "a and b"), ("abc", "a, b and c")]
)
def test_names(items: tuple[str, ...], text: str) -> None:
    assert names(items) == text


def test_the_transaction_of_a_cut() -> None:
    assert ruleset("labctl_cut_t_1", ["02:00:00:00:00:02", "02:00:00:00:00:03"], [], 89.2) == (
        "table netdev labctl_cut_t_1\n"
        "delete table netdev labctl_cut_t_1\n"
        "table netdev labctl_cut_t_1 {\n"
        "  set deaf {\n"
        "    type ether_addr\n"
        "    flags timeout\n"
        "    counter\n"
        "    elements = { 02:00:00:00:00:02 timeout 90s, 02:00:00:00:00:03 timeout 90s }\n"
        "  }\n"
        "  chain ingress {\n"
        '    type filter hook ingress device "eth0" priority -500; policy accept;\n'
        "    ether saddr @deaf drop\n"
        "  }\n"
        "}\n"
    )


def test_the_transaction_of_the_side_that_still_hears() -> None:
    assert ruleset("labctl_cut_t_1", [], ["02:00:00:00:00:01"], 60) == (
        "table netdev labctl_cut_t_1\n"
        "delete table netdev labctl_cut_t_1\n"
        "table netdev labctl_cut_t_1 {\n"
        "  set heard {\n"
        "    type ether_addr\n"
        "    counter\n"
        "    elements = { 02:00:00:00:00:01 }\n"
        "  }\n"
        "  chain ingress {\n"
        '    type filter hook ingress device "eth0" priority -500; policy accept;\n'
        "    ether saddr @heard\n"
        "  }\n"
        "}\n"
    )
