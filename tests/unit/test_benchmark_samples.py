"""The gap that a client saw."""

from __future__ import annotations

import pytest

from labctl.benchmark.samples import Sample, gap, parse


def test_lines_become_samples_and_half_a_line_does_not() -> None:
    assert parse(["1.0 1.5 1", "2.0 2.1 0", "3.0 3"]) == [
        Sample(1.0, 1.5, ok=True),
        Sample(2.0, 2.1, ok=False),
    ]


def test_a_gap_is_the_longest_time_between_two_successes() -> None:
    seen = parse(["0 0.1 1", "1 1.1 1", "2 2.1 0", "3 3.1 0", "4 4.2 1", "5 5.1 1"])
    found = gap(seen)
    assert found is not None
    assert found.seconds == pytest.approx(4.2 - 1.1)
    assert (found.asked, found.failed, found.disturbed) == (6, 2, 1.0)


def test_answers_out_of_order_make_no_gap() -> None:
    found = gap(parse(["0 0.9 1", "0.1 0.2 1", "0.3 0.4 1", "0.5 0.6 1", "1 1.1 1"]))
    assert found is not None
    assert found.seconds == pytest.approx(0.3)
    assert found.disturbed == 0


@pytest.mark.parametrize(
    "lines", [[], ["0 0.1 1"], ["0 0.1 0", "1 1.1 0"], ["0 0.1 1", "1 1.1 1", "2 2.2 0"]]
)
def test_a_client_that_is_not_answered_at_the_end_has_no_gap_but_an_outage(
    lines: list[str],
) -> None:
    assert gap(parse(lines)) is None


def test_one_late_answer_at_the_end_is_no_outage() -> None:
    found = gap(parse(["0 0.1 1", "0.5 0.6 1", "1 1.1 0"]))
    assert found is not None
    assert found.seconds == pytest.approx(0.5)
