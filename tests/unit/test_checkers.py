"""Good and bad histories, judged."""

from __future__ import annotations

import json

import pytest

from labctl.errors import LabError
from tests.chaos.checkers import Event, Gap, Promise, judge, longest_gap, parse

DURABLE = Promise("what was acknowledged survives")
AT_LEAST_ONCE = Promise("delivered at least once", once=False)
BEST_EFFORT = Promise("asynchronous", durable=False)


def history(**ends: str) -> list[Event]:
    """``v1="ok"`` and so on: each value invoked and, unless "open", ended so."""
    events = []
    for number, (name, end) in enumerate(ends.items()):
        value = int(name[1:])
        events.append(Event(number, "invoke", value))
        if end != "open":
            events.append(Event(number + 0.5, end, value))
    return events


def test_a_good_history() -> None:
    verdict = judge(history(v1="ok", v2="fail", v3="info", v4="info", v5="open"), [1, 3], DURABLE)
    assert verdict.outcome == "VALID"
    assert verdict.why == "all 1 acknowledged values are there"
    assert verdict.recovered == (3,)
    assert verdict.unknown == 3
    assert verdict.acknowledged == 1


def test_what_was_acknowledged_and_is_lost() -> None:
    verdict = judge(history(v1="ok", v2="ok", v3="ok"), [2], DURABLE)
    assert verdict.outcome == "INVALID"
    assert verdict.lost == (1, 3)
    assert verdict.why == "2 acknowledged and lost: 1, 3"


def test_lost_as_documented_is_told_and_is_no_failure() -> None:
    verdict = judge(history(v1="ok", v2="ok"), [2], BEST_EFFORT)
    assert verdict.outcome == "VALID"
    assert verdict.lost == (1,)
    assert verdict.why == "1 lost as documented: 1"


@pytest.mark.parametrize("promise", [DURABLE, AT_LEAST_ONCE, BEST_EFFORT])
def test_what_surely_failed_must_not_be_there(promise: Promise) -> None:
    verdict = judge(history(v1="ok", v2="fail"), [1, 2], promise)
    assert verdict.outcome == "INVALID"
    assert verdict.unexpected == (2,)


def test_what_nobody_wrote_must_not_be_there() -> None:
    assert judge(history(v1="ok"), [1, 99], DURABLE).unexpected == (99,)


def test_duplicates_count_where_they_are_not_promised_away() -> None:
    assert judge(history(v1="ok"), [1, 1], DURABLE).outcome == "INVALID"
    at_least_once = judge(history(v1="ok"), [1, 1], AT_LEAST_ONCE)
    assert at_least_once.outcome == "VALID"
    assert at_least_once.duplicated == (1,)


def test_a_timeout_is_neither_success_nor_failure() -> None:
    assert judge(history(v1="ok", v2="info"), [1, 2], DURABLE).outcome == "VALID"
    assert judge(history(v1="ok", v2="info"), [1], DURABLE).outcome == "VALID"


@pytest.mark.parametrize("end", ["fail", "info", "open"])
def test_nothing_acknowledged_proves_nothing(end: str) -> None:
    verdict = judge(history(v1=end), [], DURABLE)
    assert verdict.outcome == "UNKNOWN"
    assert verdict.why == "nothing was acknowledged, so nothing was tested"


def test_many_lost_values_are_shown_in_part() -> None:
    verdict = judge(history(**{f"v{n}": "ok" for n in range(20)}), [], DURABLE)
    assert verdict.why == "20 acknowledged and lost: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."


def test_the_longest_gap() -> None:
    events = [Event(0, "invoke", 0)]
    events += [Event(t, "ok", int(t * 10)) for t in (0.1, 0.2, 3.7, 3.8)]
    events += [Event(5.0, "info", 99)]
    gap = longest_gap(events)
    assert gap.since == 0.2
    assert gap.seconds == pytest.approx(3.5)
    assert longest_gap([]) == Gap(0.0, 0.0)


def test_a_gap_that_does_not_end() -> None:
    events = [Event(0, "invoke", 0), Event(0.1, "ok", 0), Event(9, "fail", 1)]
    assert longest_gap(events) == Gap(8.9, 0.1)


def test_parsing() -> None:
    lines = ['{"type": "info", "time": 1.5, "value": 7, "error": "x"}']
    assert parse(lines) == [Event(1.5, "info", 7, "x")]


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"type": "ok"}', json.dumps({"type": "maybe", "time": 1, "value": 1})]
)
def test_what_is_no_event(line: str) -> None:
    with pytest.raises(LabError) as caught:
        parse([line])
    assert str(caught.value) == f"line 1 of the history is no event: {line}"
