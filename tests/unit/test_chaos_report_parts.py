"""From events and observations to what is drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.chaos.folder.history import Operation, pair, salvage
from labctl.chaos.report.axis import TimeAxis, decades
from labctl.chaos.report.bins import bins, quantile
from labctl.chaos.report.drawing import Room
from labctl.chaos.report.operations import gaps
from labctl.chaos.report.record import Observation
from labctl.chaos.report.spans import Span, member, spans
from labctl.chaos.report.words import count, plain, seconds


def event(t: float, kind: str, p: int = 0, **more: Any) -> dict[str, Any]:
    return {"t": t, "w": "set", "p": p, "type": kind, "f": "add", "value": 1, **more}


def operations(events: list[dict[str, Any]]) -> list[Operation]:
    found, damaged = salvage(json.dumps(each) for each in events)
    assert not damaged
    return pair(found, strict=False)


def acknowledged(*ends: float) -> list[dict[str, Any]]:
    return [e for t in ends for e in (event(t - 0.1, "invoke"), event(t, "ok"))]


def test_an_end_belongs_to_the_invoke_of_its_process() -> None:
    events = [event(1, "invoke"), event(2, "invoke", p=1), event(3, "fail", p=1), event(4, "ok")]
    first, second = operations(events)
    assert (first.end, first.seconds) == ("ok", 3)
    assert (second.end, second.seconds) == ("fail", 1)


def test_what_was_cut_short_is_unknown() -> None:
    events = [event(1, "invoke"), event(2, "invoke"), event(3, "ok", p=7)]
    assert [(o.end, o.ended) for o in operations(events)] == [("info", None), ("info", None)]


def test_a_gap_is_far_longer_than_what_is_usual() -> None:
    found = operations(acknowledged(1, 1.5, 2, 2.5, 9, 9.5, 10))
    assert [(gap.start, gap.end) for gap in gaps(found)] == [(2.5, 9)]
    assert gaps(operations(acknowledged(1, 3, 5, 7, 10))) == []


def test_silence_to_the_end_is_a_gap() -> None:
    found = operations([*acknowledged(1, 1.1), event(5, "invoke"), event(9, "fail")])
    assert [(gap.start, gap.end) for gap in gaps(found)] == [(1.1, 9)]


def test_bins_count_ends_and_measure_what_was_acknowledged() -> None:
    found = operations([*acknowledged(1, 1.5), event(8, "invoke"), event(9, "info")])
    first, last = bins(found, length=10, many=5)
    assert (first.start, first.ok, first.info) == (0, 2, 0)
    assert first.p50 == pytest.approx(0.1)
    assert (last.start, last.info, last.p50) == (8, 1, None)


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert quantile([1, 2, 3, 4], 0.5) == 3
    assert quantile([1], 0.95) == 1


def seen(t: float, *vip: str) -> Observation:
    return Observation(t, vip, {}, ())


def test_equal_observations_are_one_span() -> None:
    found = spans([seen(0, "c1"), seen(1, "c1"), seen(2)], lambda o: len(o.vip), end=3)
    assert found == [Span(0, 2, 1), Span(2, 3, 0)]


def test_nobody_knows_what_was_while_labctl_did_not_look() -> None:
    looked = [seen(0, "c1"), seen(1, "c1"), seen(2, "c1"), seen(50, "c1")]
    found = spans(looked, lambda o: len(o.vip), end=51)
    assert found == [Span(0, 6, 1), Span(50, 51, 1)]


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("Primary, Synced", "part"),
        ("Primary, Donor/Desynced", "odd"),
        ("non-Primary, Initialized", "odd"),
        ("running, sees c1, c2", "part"),
        ("running, sees c3", "odd"),
        ("names c1", "part"),
        ("secondary", "part"),
        ("no member", "odd"),
        ("no answer within 2 s", "away"),
        ("connection refused", "away"),
    ],
)
def test_what_a_member_says_of_itself(said: str, part: str) -> None:
    state = {"expected": 3, "members": {"c3": said}, "leader": "c3"}
    assert member(state, "c3") == (part, True, said)


def test_a_member_that_says_nothing_is_away() -> None:
    assert member({"members": {}}, "c1") == ("away", False, "no answer")


def test_a_text_that_would_lie_over_another_is_left_out() -> None:
    room = Room()
    taken = [room.take(*span) for span in ((10, 30), (25, 40), (30, 50), (0, 11), (0, 10))]
    assert taken == [True, False, True, False, True]


def test_time_is_kept_on_the_axis() -> None:
    axis = TimeAxis(length=100, left=10, right=110)
    assert [axis.x(t) for t in (-5, 0, 50, 100, 900)] == [10, 10, 60, 110, 110]
    assert list(axis.ticks()) == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]


@pytest.mark.parametrize("length", [0.2, 3, 61, 899, 40_000, 1e6])
def test_there_are_never_many_ticks(length: float) -> None:
    assert 2 <= len(list(TimeAxis(length, 0, 1).ticks())) <= 15


def test_latency_is_by_decades() -> None:
    axis = decades(0.004, 0.7, top=0, bottom=90)
    assert list(axis.ticks()) == pytest.approx([0.001, 0.01, 0.1, 1])
    assert [axis.y(s) for s in (0.001, 0.01, 1, 50)] == pytest.approx([90, 60, 0, 0])


@given(st.floats(0, 1e6))
def test_durations_are_rounded_before_they_are_split(value: float) -> None:
    said = seconds(value)
    minutes, _, rest = said.rpartition(" min ")
    figure = float(rest.removesuffix(" s").removesuffix(" ms"))
    assert figure < (1000 if rest.endswith("ms") else 60 if minutes else 120)
    assert "10.00" not in said


@pytest.mark.parametrize(
    ("value", "said"),
    [(599.7, "10 min 00 s"), (119.96, "2 min 00 s"), (9.996, "10.0 s"), (0.9996, "1.00 s")],
)
def test_a_duration_just_below_the_next_unit(value: float, said: str) -> None:
    assert seconds(value) == said


def test_figures_are_read_by_people() -> None:
    told = [seconds(value) for value in (None, 0.0123, 1.234, 45.67, 185.0)]
    assert told == ["-", "12 ms", "1.23 s", "45.7 s", "3 min 05 s"]
    assert count(1, "fault") == "1 fault"
    assert plain({"a": "b" * 99}, 20) == '{"a": "bbbbbbbbbb...'
