"""Every check on a history that it accepts and on one that it rejects."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos import checks
from labctl.chaos.checks import (
    answers,
    api,
    append,
    bank,
    checker,
    counter,
    cycles,
    nothing,
    queue,
    reads,
    sets,
)
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import MAX_EVIDENCE
from tests.unit.chaos_histories import adds, broken, named, op

ENDS = {1: "ok", 2: "ok", 3: "fail", 4: "info"}


@pytest.mark.parametrize(
    ("finals", "found"),
    [
        ({"c1": [1, 2], "c2": [1, 2]}, []),
        ({"c1": [1, 2, 4], "c2": [1, 2, 4]}, []),
        ({"c1": [1], "c2": [1]}, ["lost"]),
        ({"c1": [1, 2, 3], "c2": [1, 2, 3]}, ["unexpected"]),
        ({"c1": [1, 2, 99], "c2": [1, 2, 99]}, ["unexpected"]),
        ({"c1": [1, 2, 2], "c2": [1, 2]}, ["duplicated"]),
        ({"c1": [1, 2], "c2": [1]}, ["members agree"]),
        ({"c1": [1, 2], "c2": None}, []),
    ],
)
def test_sets(finals: Any, found: list[str]) -> None:
    assert broken(sets.check(adds(ENDS), finals, {})) == found


def test_a_set_says_what_and_when() -> None:
    lost = named(sets.check(adds(ENDS), {"c1": [1]}, {}))["lost"]
    assert lost.why == "1 acknowledged and lost: 2"
    assert lost.counts == {"acknowledged": 2, "there": 1, "lost": 1}
    assert lost.times == [2.5]
    assert (lost.evidence[0].t, lost.evidence[0].value) == (2.5, 2)
    recovered = named(sets.check(adds(ENDS), {"c1": [1, 2, 4]}, {}))["recovered"]
    assert recovered.counts == {"unknown": 1, "recovered": 1}


def test_evidence_is_bounded() -> None:
    found = named(sets.check(adds(dict.fromkeys(range(500), "ok")), {"c1": []}, {}))["lost"]
    assert len(found.evidence) == MAX_EVIDENCE
    assert found.counts["lost"] == 500
    assert found.why.endswith("8, 9, ...")


@pytest.mark.parametrize("finals", [None, {}, {"c1": None}])
def test_what_was_not_read_is_unknown(finals: Any) -> None:
    assert [f.broken for f in sets.check(adds(ENDS), finals, {})] == [None]


def test_nothing_acknowledged_is_unknown() -> None:
    assert named(sets.check(adds({1: "fail", 2: "info"}), {"c1": []}, {}))["lost"].broken is None


def incs(*told: int) -> list[Operation]:
    return [op(0, "incr", None, n, n + 0.5, answer=each) for n, each in enumerate(told)]


@pytest.mark.parametrize(
    ("history", "end", "found"),
    [
        (incs(1, 2, 3), 3, []),
        ([*incs(1, 2), op(1, "incr", None, 5, None)], 3, []),
        (incs(1, 2, 3), 2, ["lost"]),
        (incs(1, 2, 3), 4, ["unexpected"]),
        (incs(1, 2, 2), 3, ["lost", "duplicated"]),
        ([op(0, "add", 5, 0, 1), op(0, "add", 2, 2, 3)], 7, []),
        ([op(0, "add", 5, 0, 1), op(0, "add", 2, 2, 3)], 6, ["lost"]),
    ],
)
def test_counters(history: list[Operation], end: int, found: list[str]) -> None:
    assert broken(counter.check(history, {"master": [end]}, {})) == found
    assert broken(counter.check(history, {"master": end}, {})) == found


def test_a_counter_shows_which_were_undone() -> None:
    found = named(counter.check(incs(1, 2, 3, 2, 3), {"master": [3]}, {}))["lost"]
    assert [(piece.t, piece.value) for piece in found.evidence] == [(1.5, 2), (2.5, 3)]


def test_a_counter_that_was_not_read_is_unknown() -> None:
    assert [f.broken for f in counter.check(incs(1), None, {})] == [None]
    assert [f.broken for f in counter.check([], {"m": [0]}, {})] == [None]


BANK = {"accounts": 2, "balance": 10}
MOVED = op(0, "transfer", {"from": 0, "to": 1, "amount": 3}, 0, 1)


@pytest.mark.parametrize(
    ("read", "finals", "found"),
    [
        ({"0": 7, "1": 13}, {"c1": {"0": 7, "1": 13}}, []),
        ({"0": 7, "1": 10}, {"c1": {"0": 7, "1": 13}}, ["total conserved"]),
        ({"0": 7, "1": 13}, {"c1": {"0": 7, "1": 12}}, ["total conserved", "lost"]),
        ({"0": -1, "1": 21}, {"c1": {"0": 7, "1": 13}}, ["snapshots", "negative"]),
        (
            {"0": 7, "1": 13},
            {"c1": {"0": 7, "1": 13}, "c2": {"0": 10, "1": 10}},
            ["lost", "members agree"],
        ),
    ],
)
def test_banks(read: Any, finals: Any, found: list[str]) -> None:
    history = [MOVED, op(1, "read", None, 2, 3, answer=read)]
    assert broken(bank.check(history, finals, BANK)) == found
    total = broken(bank.check(history, finals, {"total": 20}))
    assert total == [each for each in found if each not in ("lost", "snapshots")]


def test_a_bank_without_a_setting_goes_by_its_first_snapshot() -> None:
    history = [
        MOVED,
        op(1, "read", None, 2, 3, answer={"0": 5, "1": 5}),
        op(1, "read", None, 4, 5, answer={"0": 5, "1": 6}),
    ]
    found = bank.check(history, None, {"negative": True})
    assert broken(found) == ["total conserved"]
    assert found[0].why == "1 of 2 snapshots do not have a total of 10: the first has 11"
    assert bank.check([MOVED], None, BANK)[0].broken is None
    assert bank.check(history[1:], None, BANK)[0].broken is None


@pytest.mark.parametrize(
    ("answer", "began", "stale"),
    [
        (2, 5, False),
        (1, 5, True),
        (None, 5, True),
        (1, 3.5, False),
        (9, 5, False),
        (None, 0.5, False),
        (77, 5, True),
    ],
)
def test_reads_after_writes(answer: Any, began: float, stale: bool) -> None:
    history = [
        op(0, "write", ["k", 1], 0, 1),
        op(0, "write", ["k", 2], 3, 4),
        op(1, "write", ["k", 9], 0, None),
        op(0, "read", ["k", None], began, began + 1, answer=["k", answer], at="c2"),
    ]
    found = named(reads.check(history, None, {}))["stale"]
    assert found.broken is stale
    assert (found.evidence[0].said.endswith("at c2")) if stale else not found.evidence


def test_reads_compare_the_members_in_the_end_too() -> None:
    history = [op(0, "write", ["k", 1], 0, 1), op(0, "read", ["k", None], 2, 3, answer=["k", 1])]
    ends = {"c1": [["k", 1]], "c2": []}
    assert broken(reads.check(history, ends, {})) == ["lost", "members agree"]
    assert reads.check(history[:1], None, {})[0].broken is None


def txn(p: int, n: int, began: float, ended: float | None, seen: list[int] | None) -> Operation:
    asked = [["append", 0, n], ["r", 0, None]]
    return op(p, "txn", asked, began, ended, answer=[["append", 0, n], ["r", 0, seen]])


@pytest.mark.parametrize(
    ("history", "end", "found"),
    [
        ([txn(0, 1, 0, 1, [1]), txn(1, 2, 2, 3, [1, 2])], [1, 2], []),
        ([txn(0, 1, 0, 1, [1]), txn(1, 2, 2, None, None)], [1, 2], []),
        ([txn(0, 1, 0, 1, [1]), txn(1, 2, 2, 3, [1, 2])], [1], ["lost"]),
        ([txn(0, 1, 0, 5, [1]), txn(1, 2, 2, 3, [2])], [1], ["lost update", "reordered"]),
        ([txn(0, 1, 0, 1, [1]), txn(1, 2, 2, 3, [1, 2])], [2, 1], ["reordered"]),
        ([txn(0, 1, 0, 1, [1]), txn(1, 2, 2, 3, [1, 2])], [1, 2, 2], ["duplicated"]),
        ([txn(0, 1, 0, 1, [1]), txn(1, 2, 2, 3, [1, 2])], [1, 2, 7], ["unexpected"]),
    ],
)
def test_lists(history: list[Operation], end: list[int], found: list[str]) -> None:
    assert broken(append.check(history, {"c1": {"0": end}}, {})) == found


def test_lists_of_single_appends() -> None:
    history = [
        op(0, "append", ["k", 1], 0, 1),
        op(0, "append", ["k", 2], 2, 3, "fail"),
        op(0, "read", ["k", None], 4, 5, answer=["k", [1]]),
    ]
    assert broken(append.check(history, {"c1": {"k": [1]}}, {})) == []
    assert broken(append.check(history, {"c1": {"k": [1, 2]}}, {})) == ["unexpected"]
    assert named(append.check(history, None, {}))["lost"].broken is None
    assert append.check(history[2:], None, {})[0].broken is None


def got(process: int, value: int, t: float) -> Operation:
    return op(process, "dequeue", None, t, t + 0.1, answer=value)


@pytest.mark.parametrize(
    ("taken", "left", "found"),
    [
        ([1], [2], []),
        ([1, 2, 4], [], []),
        ([1], [], ["lost"]),
        ([1, 2, 2], [], ["duplicated"]),
        ([1, 2], [2], ["duplicated"]),
        ([1, 2, 3], [], ["unexpected"]),
    ],
)
def test_queues(taken: list[int], left: list[int], found: list[str]) -> None:
    puts = [op(0, "enqueue", n, n, n + 0.5, end) for n, end in ENDS.items()]
    history = [*puts, *(got(9, value, 10.0 + n) for n, value in enumerate(taken))]
    assert broken(queue.check(history, {"queue": left}, {})) == found


def test_dead_consumers() -> None:
    puts = [op(0, "enqueue", n, n, n + 0.5) for n in range(100)]
    both = [got(8 + n % 2, n, n + 1.0) for n in range(100)]
    assert broken(queue.check(puts + both, {"queue": []}, {})) == []
    one = [got(8 if n % 2 or n > 10 else 9, n, n + 1.0) for n in range(100)]
    found = queue.check(puts + one, {"queue": []}, {})
    assert broken(found) == ["consumers"]
    assert found[-1].evidence[0].p == 9
    none = [got(8, n, n + 1.0) for n in range(10)]
    left = list(range(10, 100))
    assert broken(queue.check(puts + none, {"queue": left}, {})) == ["consumers"]
    assert named(queue.check(puts, None, {}))["lost"].broken is None


def test_answers() -> None:
    same = [op(0, "validate", None, n, n + 0.1, answer={"status": 200}) for n in range(3)]
    assert broken(answers.check(same, None, {"bound": 1.0})) == []
    other = op(0, "validate", None, 5, 5.1, answer={"status": 404})
    assert broken(answers.check([*same, other], None, {})) == ["answers"]
    slow = op(0, "validate", None, 5, 9, answer={"status": 200})
    assert broken(answers.check([*same, slow], None, {"bound": 1.0})) == ["latency"]
    assert broken(answers.check([*same, slow], None, {})) == []
    assert answers.check([op(0, "validate", None, 0, None)], None, {})[0].broken is None


MADE = [
    op(0, "create", "a", 0, 1),
    op(0, "create", "b", 2, 3),
    op(0, "create", "x", 2, 3, "fail"),
    op(0, "create", "u", 2, None),
    op(0, "delete", "b", 4, 5),
]


@pytest.mark.parametrize(
    ("things", "found"),
    [
        ([{"name": "a", "status": "active", "intact": True}], []),
        ([{"name": "a", "status": "RUNNING"}, {"name": "u", "status": "ok"}], []),
        ([{"name": "a", "status": "active"}, {"name": "b", "status": "absent"}], []),
        ([], ["lost"]),
        ([{"name": "a", "status": "absent"}], ["lost"]),
        ([{"name": "a", "status": "active", "intact": False}], ["lost"]),
        ([{"name": "a", "status": "active"}, {"name": "b", "status": "ok"}], ["orphans"]),
        ([{"name": "a", "status": "active"}, {"name": "x", "status": "ok"}], ["orphans"]),
        ([{"name": "a", "status": "active"}] * 2, ["doubles"]),
        ([{"name": "a", "status": "BUILD"}], ["stuck"]),
        ([{"name": "a", "status": "CREATE_IN_PROGRESS"}], ["stuck"]),
        ([{"name": "a", "status": "creating"}], ["stuck"]),
        ([{"name": "a", "status": "ERROR"}], ["stuck"]),
    ],
)
def test_apis(things: Any, found: list[str]) -> None:
    at_once = {"settle": 0}
    history = [*MADE, op(0, "create", "good", 2, 3)]
    things = [*things, {"name": "good", "status": "ok"}]
    assert broken(api.check(history, {"api": things}, at_once)) == found
    by_name = {thing["name"]: {k: v for k, v in thing.items() if k != "name"} for thing in things}
    if "doubles" not in found:
        assert broken(api.check(history, by_name, at_once)) == found


def test_reads_of_an_api() -> None:
    def read(t: float, status: str, **more: Any) -> Operation:
        return op(0, "read", "a", t, t + 0.1, answer={"name": "a", "status": status, **more})

    ends = {"listed": [{"name": "a", "status": "active"}]}
    assert broken(api.check([*MADE, read(2, "active", intact=True)], ends, {})) == []
    assert broken(api.check([*MADE, read(2, "active", intact=False)], ends, {})) == ["lost"]
    assert broken(api.check([*MADE, read(2, "absent")], ends, {})) == ["stale"]
    assert broken(api.check([*MADE, read(0.5, "absent")], ends, {})) == []
    gone = [*MADE, op(0, "delete", "a", 6, 7), read(8, "absent")]
    assert broken(api.check(gone, {"listed": []}, {})) == []


def test_apis_that_were_not_listed_are_unknown() -> None:
    assert api.check(MADE, None, {})[0].broken is None
    assert api.check([], {"api": []}, {})[0].broken is None


def test_who_checks_what() -> None:
    assert checker("api", "image") is api.check
    assert checker("api", "token") is nothing
    assert checker("rabbitmq", "classic") is queue.check
    assert checker("galera", "else") is None


MODULES = sorted(path for path in Path(checks.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_check_declares_what_it_may_find(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    said = set(re.findall(r"(?:Finding|kept|unknown|_list|_named)\(\s*\"([^\"]+)\"", text))
    module = import_module(f"{checks.__name__}.{path.stem}")
    declared = {*getattr(module, "FINDS", ())}
    # What was recovered is told, and never wrong.
    assert said - {"recovered"} <= {*declared, checks.STEADY}
    # It may be another check's function that it finds it by.
    taken = re.findall(r"from labctl\.chaos\.checks\.(\w+) import", text)
    texts = [text, *(path.with_stem(name).read_text(encoding="utf-8") for name in taken)]
    found = {word for each in texts for word in re.findall(r"\"([^\"\n]+)\"", _code(each))}
    # An anomaly's name may have an order of time as its suffix.
    found |= {name + suffix for name in found for suffix in cycles.SUFFIXES}
    assert declared <= found, "a word that it does not find anything by"


def _code(text: str) -> str:
    """A check without what it declares to find."""
    return re.sub(r"^FINDS.*?= (\(.*?\)|\w+)$", "", text, flags=re.MULTILINE | re.DOTALL)
