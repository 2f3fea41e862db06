"""Linearizability: histories known to be good and bad, a brute-force reference, and the effort."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.chaos.checks import register
from labctl.chaos.checks.linear import Step, search, step
from labctl.chaos.folder.history import Operation
from tests.unit.chaos_histories import broken, named, op


def result(operations: Sequence[Operation], initial: Any = None) -> str:
    steps = register.by_key(operations).get(None, [])
    return search(steps, initial).result


def w(p: int, value: int, began: float, ended: float | None) -> Operation:
    return op(p, "write", value, began, ended)


def r(p: int, value: Any, began: float, ended: float) -> Operation:
    return op(p, "read", None, began, ended, answer=value)


def cas(p: int, old: int, new: int, began: float, ended: float | None) -> Operation:
    return op(p, "cas", [0, [old, new]], began, ended)


GOOD = {
    "nothing": [],
    "one after another": [w(0, 1, 0, 1), r(0, 1, 2, 3)],
    "read beside a write sees the old": [w(0, 1, 0, 1), w(0, 2, 2, 6), r(1, 1, 3, 4)],
    "read beside a write sees the new": [w(0, 1, 0, 1), w(0, 2, 2, 6), r(1, 2, 3, 4)],
    "two writes in either order": [w(0, 1, 0, 9), w(1, 2, 0, 9), r(2, 2, 1, 3), r(2, 1, 4, 8)],
    "unknown, seen much later": [w(0, 1, 0, 1), w(1, 2, 2, None), r(0, 1, 3, 4), r(0, 2, 50, 51)],
    "unknown, never seen": [w(0, 1, 0, 1), w(1, 2, 2, None), r(0, 1, 3, 4)],
    "ends and begins at once": [w(0, 1, 0, 1), r(1, None, 1, 2)],
    "Herlihy and Wing, figure 1": [w(0, 0, 0, 3), w(2, 1, 2, 9), r(1, 1, 4, 5), r(0, 1, 6, 8)],
}

BAD = {
    "stale": [w(0, 1, 0, 1), w(0, 2, 2, 3), r(1, 1, 4, 5)],
    "lost": [w(0, 1, 0, 1), r(1, None, 2, 3)],
    "never written": [w(0, 1, 0, 1), r(1, 5, 2, 3)],
    "back and forth": [w(0, 1, 0, 1), w(0, 2, 2, 9), r(1, 2, 3, 4), r(1, 1, 5, 6)],
    "two readers disagree": [
        *(w(0, 1, 0, 9), w(1, 2, 0, 9), r(2, 1, 1, 2), r(2, 2, 3, 4), r(3, 1, 5, 6)),
    ],
    "unknown, seen and undone": [
        *(w(0, 1, 0, 1), w(1, 2, 2, None), r(0, 2, 3, 4), r(0, 1, 5, 6)),
    ],
    "before it began": [r(0, 1, 0, 1), w(1, 1, 2, 3)],
    "Herlihy and Wing, figure 2": [
        *(w(0, 0, 0, 3), w(2, 1, 1, 4), r(1, 1, 5, 6), r(0, 0, 7, 8)),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_good_histories(name: str) -> None:
    assert result(GOOD[name]) == "linearizable"


@pytest.mark.parametrize("name", BAD)
def test_bad_histories(name: str) -> None:
    assert result(BAD[name]) == "not linearizable"


def test_compare_and_set() -> None:
    first = op(0, "write", [0, 1], 0, 1)
    last = op(0, "read", [0, None], 9, 10, answer=[0, 3])
    for second, third, good in [
        (cas(1, 1, 2, 2, 3), cas(1, 2, 3, 4, 5), True),
        (cas(1, 1, 2, 2, 5), cas(2, 2, 3, 2, 5), True),
        (cas(1, 1, 2, 2, None), cas(1, 2, 3, 4, 5), True),
        (cas(1, 1, 2, 2, 3), cas(1, 1, 3, 4, 5), False),
        (cas(1, 2, 3, 2, 3), cas(1, 1, 2, 4, 5), False),
    ]:
        found = register.check([first, second, third, last], None, {})
        assert ("linearizable" in broken(found)) is not good


def test_keys_are_apart_and_evidence_names_the_culprit() -> None:
    good = [op(0, "write", ["a", 1], 0, 1), op(0, "read", ["a", None], 2, 3, answer=["a", 1])]
    bad = [op(1, "write", ["b", 1], 0, 1), op(1, "read", ["b", None], 2, 3, answer=["b", None])]
    assert broken(register.check(good, None, {})) == []
    found, *_ = register.check(good + bad, None, {})
    assert found.broken
    assert "key b" in found.why
    assert (found.evidence[0].t, found.evidence[0].p) == (3, 1)


def test_the_end_is_no_older_than_what_was_acknowledged() -> None:
    history = [op(0, "write", ["a", n], n, n + 0.5) for n in range(3)]
    history.append(op(0, "read", ["a", None], 4, 5, answer=["a", 2]))
    fine = named(register.check(history, {"c1": [["a", 2]], "c2": [["a", 2]]}, {}))
    assert not any(finding.broken for finding in fine.values())
    assert broken(register.check(history, {"c1": [["a", 1]]}, {})) == ["lost"]
    differing = register.check(history, {"c1": [["a", 2]], "c2": [["a", 1]]}, {})
    assert broken(differing) == ["lost", "members agree"]
    unsure = [*history, op(1, "write", ["a", 9], 1, None)]
    assert broken(register.check(unsure, {"c1": [["a", 9]]}, {})) == []


def test_nothing_read_is_unknown() -> None:
    found, *_ = register.check([op(0, "write", [1, 1], 0, 1)], None, {})
    assert found.broken is None


def crowd(*after: Operation) -> list[Operation]:
    """Twenty writes at once and, meanwhile, a reader for each; then the rest."""
    writes = [op(n, "write", [0, n], 0, 100 + n) for n in range(20)]
    readers = [op(20 + n, "read", [0, None], 1, 90 + n, answer=[0, n]) for n in range(20)]
    return [*writes, *readers, *after]


def saw(value: int, began: float) -> Operation:
    return op(99, "read", [0, None], began, began + 1, answer=[0, value])


IN_TURN = [saw(n, 2.0 + 2 * n) for n in range(20)]
BACKWARDS = [replace(each, process=98, answer=[0, 19 - n]) for n, each in enumerate(IN_TURN)]


@pytest.mark.parametrize(
    ("history", "good"),
    [
        (crowd(), True),
        (crowd(saw(7, 300)), True),
        (crowd(saw(7, 300), saw(8, 302)), False),
        (crowd(*(saw(n, 300 + 2 * n) for n in range(20))), False),
        (crowd(*IN_TURN), True),
        (crowd(*IN_TURN, *BACKWARDS), False),
        ([saw(0, 95), *(replace(each, end="info") for each in crowd()[1:20]), *crowd()[:1]], True),
    ],
)
def test_twenty_writes_at_once_take_few_steps(history: list[Operation], good: bool) -> None:
    found, *_ = register.check(history, None, {})
    assert found.broken is not good
    assert found.counts["steps"] < 2_000


def test_the_search_gives_up_and_says_so() -> None:
    hard = crowd(*IN_TURN, *BACKWARDS)
    found, *_ = register.check(hard, None, {"max_steps": 10})
    assert found.broken is None
    assert "gave up" in found.why


def test_what_nobody_wrote_is_wrong_though_no_write_was_acknowledged() -> None:
    found, *_ = register.check([op(0, "read", [0, None], 0, 1, answer=[0, 3])], None, {})
    assert found.broken


def test_a_hundred_thousand_operations_take_few_steps() -> None:
    """Low concurrency: about a step for each operation, whatever the length."""
    history = []
    for n in range(0, 100_000, 4):
        t = float(n)
        history += [
            op(0, "write", [n % 5, n], t, t + 1.4),
            op(1, "read", [n % 5, None], t + 1.5, t + 2, answer=[n % 5, n]),
            op(2, "read", [n % 5, None], t + 1.6, t + 3, answer=[n % 5, n]),
            op(3, "write", [n % 5, -n], t + 3.1, None)
            if n % 100 == 0
            else op(3, "read", [n % 5, None], t + 3.1, t + 3.2, answer=[n % 5, n]),
        ]
    found, *_ = register.check(history, None, {})
    assert not found.broken
    assert found.counts["steps"] < 2 * len(history)


def test_unknown_ends_do_not_explode() -> None:
    """A thousand writes of unknown end, each seen much later or never."""
    history, t = [op(0, "write", [0, -1], 0, 0.5)], 1.0
    for n in range(1000):
        history.append(op(n + 1, "write", [0, n], t, None))
        if n % 2:
            history.append(op(0, "read", [0, None], t + 1, t + 2, answer=[0, n]))
        t += 3
    found, *_ = register.check(history, None, {})
    assert found.broken is False
    assert found.counts["steps"] < 10_000


def brute(steps: Sequence[Step], initial: Any) -> bool:
    """Every subset of the unknown ones, in every order."""
    sure = [s for s in steps if s.operation.end == "ok"]
    unsure = [s for s in steps if s.operation.end != "ok"]
    return any(
        explains(order, initial)
        for size in range(len(unsure) + 1)
        for chosen in itertools.combinations(unsure, size)
        for order in itertools.permutations([*sure, *chosen])
    )


def explains(order: Sequence[Step], value: Any) -> bool:
    for index, first in enumerate(order):
        for later in order[index + 1 :]:
            ended = later.operation.ended if later.operation.end == "ok" else None
            if ended is not None and ended < first.operation.began:
                return False
    for each in order:
        if each.reads and each.seen != value:
            return False
        value = each.made if each.writes else value
    return True


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    made = []
    for number in range(draw(st.integers(1, 6))):
        f = draw(st.sampled_from(["read", "write", "cas"]))
        end = draw(st.sampled_from(["ok", "ok", "ok", "info", "fail"]))
        began = draw(st.integers(0, 8))
        ended = began + draw(st.integers(1, 6))
        values = st.integers(0, 2)
        old, new = draw(values), draw(values)
        asked: Any = {"read": None, "write": new, "cas": [old, new]}[f]
        made.append(op(number, f, asked, began, ended, end, new if f == "read" else None))
    return made


@given(histories())
@settings(max_examples=400, deadline=None)
def test_the_search_agrees_with_brute_force(history: list[Operation]) -> None:
    steps = [s for o in history if (s := step(o, o.asked, o.answer)) is not None]
    expected = "linearizable" if brute(steps, 0) else "not linearizable"
    assert search(steps, 0).result == expected
