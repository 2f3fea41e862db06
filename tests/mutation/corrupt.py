"""What a store could do wrong, one seeded corruption each, on a good history.

A corruption changes a story such that no store could have told it. It raises Unfit where this story
does not have what it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from labctl.chaos.folder.history import Operation
from tests.mutation.simulate import MEMBERS, Story

Change = Callable[[Story, Random], None]


class Unfit(Exception):  # noqa: N818 - no error, only not this story
    """The story has nothing to corrupt so."""


@dataclass(frozen=True)
class Mutant:
    """A corruption of the histories that a check judges."""

    check: str
    name: str
    change: Change


MUTANTS: list[Mutant] = []


def seeded(*checks: str) -> Callable[[Change], Change]:
    """A corruption of histories of some checks."""

    def known(change: Change) -> Change:
        name = change.__name__.replace("_", " ").strip()
        MUTANTS.extend(Mutant(check, name, change) for check in checks)
        return change

    return known


def one(random: Random, values: Iterable[Any]) -> Any:
    """One of some values; Unfit if there are none."""
    found = list(values)
    if not found:
        raise Unfit
    return random.choice(found)


def put(story: Story, operation: Operation, **changes: Any) -> None:
    """Change an operation."""
    at = next(n for n, each in enumerate(story.operations) if each is operation)
    story.operations[at] = replace(operation, **changes)


def ok(story: Story, f: str) -> list[Operation]:
    """The acknowledged operations of a kind."""
    return [op for op in story.operations if op.f == f and op.end == "ok"]


def end(op: Operation) -> float:
    assert op.ended is not None
    return op.ended


def last(story: Story) -> float:
    return max(op.ended or op.began for op in story.operations)


# Registers: values are [key, value].


@seeded("register", "reads")
def read_of_what_nobody_wrote(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    put(story, op, answer=[op.asked[0], 77_777])


@seeded("register", "reads")
def read_of_a_failed_write(story: Story, random: Random) -> None:
    failed = one(random, [o for o in story.operations if o.f == "write" and o.end == "fail"])
    later = [o for o in ok(story, "read") if o.began > end(failed)]
    op = one(random, [o for o in later if o.asked[0] == failed.asked[0]])
    put(story, op, answer=list(failed.asked))


@seeded("register", "reads")
def read_of_the_future(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    later = [o for o in ok(story, "write") if o.asked[0] == op.asked[0] and o.began > end(op)]
    put(story, op, answer=list(one(random, later).asked))


@seeded("register", "reads")
def stale_read(story: Story, random: Random) -> None:
    op, old = one(random, _old(story))
    put(story, op, answer=list(old.asked))


def _old(story: Story) -> list[tuple[Operation, Operation]]:
    """Reads, and a write that another came between."""
    writes = ok(story, "write")
    return [
        (read, first)
        for read in ok(story, "read")
        for first in writes
        for second in writes
        if first.asked[0] == second.asked[0] == read.asked[0]
        and end(first) < second.began
        and end(second) < read.began
    ]


@seeded("register", "reads")
def read_of_nothing_after_a_write(story: Story, random: Random) -> None:
    op, _ = one(random, _old(story))
    put(story, op, answer=[op.asked[0], None])


@seeded("register", "reads")
def all_reads_see_nothing(story: Story, random: Random) -> None:
    for op in ok(story, "read"):
        put(story, op, answer=[op.asked[0], None])


@seeded("register", "reads")
def reads_in_turn_swapped(story: Story, random: Random) -> None:
    op, old = one(random, _old(story))
    before = [r for r in ok(story, "read") if r.answer == old.asked and end(r) < op.began]
    other = one(random, before)
    put(story, op, answer=list(old.asked))
    put(story, other, answer=op.answer)


@seeded("register", "reads")
def a_write_that_was_read_fails(story: Story, random: Random) -> None:
    seen = [op.answer for op in ok(story, "read")]
    op = one(random, [op for op in ok(story, "write") if op.asked in seen])
    put(story, op, end="fail")


@seeded("register", "reads")
def last_write_lost_at_the_end(story: Story, random: Random) -> None:
    _, old = one(random, _old(story))
    for name in MEMBERS:
        story.finals[name] = [
            list(old.asked) if row[0] == old.asked[0] else row for row in story.finals[name]
        ]


@seeded("register", "reads")
def key_gone_at_the_end(story: Story, random: Random) -> None:
    op = one(random, ok(story, "write"))
    for name in MEMBERS:
        story.finals[name] = [row for row in story.finals[name] if row[0] != op.asked[0]]


@seeded("register", "reads", "sets")
def member_emptied(story: Story, random: Random) -> None:
    story.finals[random.choice(MEMBERS)] = []


@seeded("register", "reads")
def member_behind(story: Story, random: Random) -> None:
    _, old = one(random, _old(story))
    name = random.choice(MEMBERS)
    story.finals[name] = [
        list(old.asked) if row[0] == old.asked[0] else row for row in story.finals[name]
    ]


@seeded("register", "reads")
def key_at_the_end_that_nobody_wrote(story: Story, random: Random) -> None:
    for name in MEMBERS:
        at = random.randrange(len(story.finals[name]))
        story.finals[name] = [
            [row[0], 77_777] if n == at else row for n, row in enumerate(story.finals[name])
        ]


@seeded("register")
def swap_of_what_was_never_there(story: Story, random: Random) -> None:
    op = one(random, ok(story, "cas"))
    key, (_, new) = op.asked
    put(story, op, asked=[key, [77_777, new]], answer=[key, [77_777, new]])


@seeded("register")
def swap_of_an_old_value(story: Story, random: Random) -> None:
    op, old = one(
        random,
        [
            (cas, first)
            for cas in ok(story, "cas")
            for first in ok(story, "write")
            for second in ok(story, "write")
            if first.asked[0] == second.asked[0] == cas.asked[0]
            and end(first) < second.began
            and end(second) < cas.began
        ],
    )
    value = [op.asked[0], [old.asked[1], op.asked[1][1]]]
    put(story, op, asked=value, answer=value)


# Sets


@seeded("sets")
def acknowledged_value_lost(story: Story, random: Random) -> None:
    value = one(random, ok(story, "add")).asked
    for name in MEMBERS:
        story.finals[name] = [each for each in story.finals[name] if each != value]


@seeded("sets")
def value_lost_on_one_member(story: Story, random: Random) -> None:
    story.finals[random.choice(MEMBERS)].remove(one(random, ok(story, "add")).asked)


@seeded("sets")
def value_there_twice(story: Story, random: Random) -> None:
    story.finals[random.choice(MEMBERS)].append(one(random, ok(story, "add")).asked)


@seeded("sets")
def value_that_nobody_added(story: Story, random: Random) -> None:
    for name in MEMBERS:
        story.finals[name].append(77_777)


@seeded("sets")
def failed_value_there(story: Story, random: Random) -> None:
    op = one(random, [op for op in story.operations if op.f == "add" and op.end == "fail"])
    for name in MEMBERS:
        story.finals[name].append(op.asked)


@seeded("sets")
def acknowledgement_turned_refusal(story: Story, random: Random) -> None:
    put(story, one(random, ok(story, "add")), end="fail")


def _looked(story: Story) -> list[tuple[Operation, int]]:
    """Reads, and a value in each that had been acknowledged before."""
    ends = {op.asked: end(op) for op in ok(story, "add")}
    return [
        (op, value)
        for op in ok(story, "read")
        for value in op.answer
        if ends.get(value, op.began) < op.began
    ]


@seeded("sets")
def read_misses_a_value(story: Story, random: Random) -> None:
    op, value = one(random, _looked(story))
    put(story, op, answer=[each for each in op.answer if each != value])


@seeded("sets")
def read_is_empty(story: Story, random: Random) -> None:
    op, _ = one(random, _looked(story))
    put(story, op, answer=[])


@seeded("sets")
def value_comes_and_goes(story: Story, random: Random) -> None:
    found = _looked(story)
    value = one(random, [v for _, v in found if sum(v == w for _, w in found) > 4])
    mine = sorted((op for op, each in found if each == value), key=lambda op: op.began)
    for op in mine[1::2]:
        put(story, op, answer=[each for each in op.answer if each != value])


@seeded("sets")
def read_has_a_value_that_nobody_added(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    put(story, op, answer=[*op.answer, op.asked[1]])


@seeded("sets")
def read_has_a_value_of_the_future(story: Story, random: Random) -> None:
    op, later = one(
        random,
        [
            (read, add)
            for read in ok(story, "read")
            for add in ok(story, "add")
            if add.began > end(read) and add.asked < read.asked[1] + 9
        ],
    )
    put(story, op, answer=[*op.answer, later.asked], asked=[op.asked[0], op.asked[1] + 9])


@seeded("sets")
def read_has_a_failed_value(story: Story, random: Random) -> None:
    failed = [op.asked for op in story.operations if op.f == "add" and op.end == "fail"]
    op, value = one(
        random,
        [(op, v) for op in ok(story, "read") for v in failed if op.asked[0] <= v < op.asked[1]],
    )
    put(story, op, answer=[*op.answer, value])


@seeded("sets")
def read_has_a_value_twice(story: Story, random: Random) -> None:
    op = one(random, [op for op in ok(story, "read") if op.answer])
    put(story, op, answer=[*op.answer, op.answer[0]])


@seeded("sets")
def read_has_what_was_not_asked_for(story: Story, random: Random) -> None:
    op = one(random, [op for op in ok(story, "read") if op.asked[0] > 4])
    put(story, op, answer=[0, *op.answer])


# Counters


@seeded("counter")
def counter_short_at_the_end(story: Story, random: Random) -> None:
    story.finals["master"] = [len(ok(story, "incr")) - random.randint(1, 5)]


@seeded("counter")
def counter_too_high_at_the_end(story: Story, random: Random) -> None:
    asked = sum(op.f == "incr" and op.end != "fail" for op in story.operations)
    story.finals["master"] = [asked + random.randint(1, 5)]


@seeded("counter")
def same_answer_twice(story: Story, random: Random) -> None:
    op, other = random.sample(ok(story, "incr"), 2)
    put(story, op, answer=other.answer)


@seeded("counter")
def answers_swapped(story: Story, random: Random) -> None:
    op = one(random, ok(story, "incr"))
    other = one(random, [o for o in ok(story, "incr") if o.began > end(op)])
    put(story, op, answer=other.answer)
    put(story, other, answer=op.answer)


@seeded("counter")
def answers_fall_back(story: Story, random: Random) -> None:
    """Some increments are undone, and unknown ones make up for it at the end."""
    told = ok(story, "incr")
    since = told[len(told) // 2].began
    for op in told:
        if op.began > since:
            put(story, op, answer=op.answer - 9)


@seeded("counter")
def answer_too_high(story: Story, random: Random) -> None:
    op = one(random, ok(story, "incr"))
    begun = sum(o.f == "incr" and o.end != "fail" and o.began <= end(op) for o in story.operations)
    put(story, op, answer=begun + random.randint(1, 9))


@seeded("counter")
def counter_read_low(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    before = sum(end(o) < op.began for o in ok(story, "incr"))
    if not before:
        raise Unfit
    put(story, op, answer=before - 1)


@seeded("counter")
def counter_read_high(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    begun = sum(o.f == "incr" and o.end != "fail" and o.began <= end(op) for o in story.operations)
    put(story, op, answer=begun + 1)


@seeded("counter")
def counter_read_as_nothing(story: Story, random: Random) -> None:
    first = end(ok(story, "incr")[0])
    put(story, one(random, [op for op in ok(story, "read") if op.began > first]), answer=0)


@seeded("counter")
def increments_refused_and_counted(story: Story, random: Random) -> None:
    unknown = sum(op.f == "incr" and op.end == "info" for op in story.operations)
    for op in random.sample(ok(story, "incr"), unknown + 1):
        put(story, op, end="fail", answer=None)


# Banks


@seeded("bank", "append")
def member_without_rows(story: Story, random: Random) -> None:
    story.finals[random.choice(MEMBERS)] = {}


@seeded("bank")
def all_members_without_rows(story: Story, random: Random) -> None:
    story.finals = {name: {} for name in MEMBERS}


@seeded("bank")
def member_of_nulls(story: Story, random: Random) -> None:
    name = random.choice(MEMBERS)
    story.finals[name] = dict.fromkeys(story.finals[name])


@seeded("bank")
def balance_null_everywhere(story: Story, random: Random) -> None:
    account = str(random.randrange(5))
    for name in MEMBERS:
        story.finals[name][account] = None


@seeded("bank")
def account_missing_on_a_member(story: Story, random: Random) -> None:
    del story.finals[random.choice(MEMBERS)][str(random.randrange(5))]


@seeded("bank")
def account_missing_everywhere(story: Story, random: Random) -> None:
    account = str(random.randrange(5))
    for name in MEMBERS:
        del story.finals[name][account]


@seeded("bank")
def account_that_nobody_opened(story: Story, random: Random) -> None:
    for name in MEMBERS:
        story.finals[name]["99"] = 0


@seeded("bank")
def read_returns_nothing(story: Story, random: Random) -> None:
    put(story, one(random, ok(story, "read")), answer={})


@seeded("bank")
def all_reads_return_nothing(story: Story, random: Random) -> None:
    for op in ok(story, "read"):
        put(story, op, answer={})


@seeded("bank")
def read_lacks_an_account(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    put(story, op, answer={k: v for k, v in op.answer.items() if k != "3"})


@seeded("bank")
def read_of_a_null(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    put(story, op, answer={**op.answer, "3": None})


@seeded("bank")
def snapshot_of_another_total(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    put(story, op, answer={**op.answer, "3": op.answer["3"] + 1})


def moved(book: dict[str, int], asked: Any, times: int = 1) -> dict[str, int]:
    giver, taker, amount = str(asked["from"]), str(asked["to"]), asked["amount"] * times
    return {**book, giver: book[giver] - amount, taker: book[taker] + amount}


@seeded("bank")
def snapshot_without_what_was_transferred(story: Story, random: Random) -> None:
    op = one(random, _alone(story))
    before = [o for o in ok(story, "transfer") if end(o) < op.began]
    put(story, op, answer=moved(op.answer, one(random, before).asked, -1))


@seeded("bank")
def snapshot_with_a_transfer_twice(story: Story, random: Random) -> None:
    op = one(random, _alone(story))
    before = [o for o in ok(story, "transfer") if end(o) < op.began]
    put(story, op, answer=moved(op.answer, one(random, before).asked))


@seeded("bank")
def snapshot_of_the_future(story: Story, random: Random) -> None:
    op = one(random, _alone(story))
    after = [o for o in ok(story, "transfer") if o.began > end(op)]
    put(story, op, answer=moved(op.answer, one(random, after).asked))


def _alone(story: Story) -> list[Operation]:
    """Reads with no transfer beside them, or of unknown end before: only one answer is right."""
    moves = [op for op in story.operations if op.f == "transfer" and op.end != "fail"]
    return [
        read
        for read in ok(story, "read")
        if not any(
            op.began <= end(read) and (op.end == "info" or end(op) >= read.began) for op in moves
        )
    ]


@seeded("bank")
def stale_snapshot(story: Story, random: Random) -> None:
    op = one(random, _alone(story))
    before = [o for o in ok(story, "read") if o.answer != op.answer and end(o) < op.began]
    put(story, op, answer=dict(one(random, before).answer))


@seeded("bank")
def snapshots_swapped(story: Story, random: Random) -> None:
    op = one(random, _alone(story))
    other = one(random, [o for o in ok(story, "read") if o.began > end(op) + 5])
    if op.answer == other.answer:
        raise Unfit
    put(story, op, answer=other.answer)
    put(story, other, answer=op.answer)


@seeded("bank")
def account_below_zero(story: Story, random: Random) -> None:
    op = one(random, ok(story, "read"))
    book = op.answer
    put(story, op, answer={**book, "0": -1, "1": book["1"] + book["0"] + 1})


@seeded("bank")
def transfer_lost_at_the_end(story: Story, random: Random) -> None:
    _at_the_end(story, one(random, ok(story, "transfer")), -1)


@seeded("bank")
def transfer_made_twice_at_the_end(story: Story, random: Random) -> None:
    _at_the_end(story, one(random, ok(story, "transfer")), 1)


@seeded("bank")
def failed_transfer_made(story: Story, random: Random) -> None:
    failed = [o for o in story.operations if o.f == "transfer" and o.end == "fail"]
    _at_the_end(story, one(random, failed), 1)


def _at_the_end(story: Story, op: Operation, times: int) -> None:
    if any(o.f == "transfer" and o.end == "info" for o in story.operations):
        raise Unfit
    for name in MEMBERS:
        story.finals[name] = moved(story.finals[name], op.asked, times)


@seeded("bank")
def half_a_transfer_at_the_end(story: Story, random: Random) -> None:
    op = one(random, ok(story, "transfer"))
    for name in MEMBERS:
        story.finals[name][str(op.asked["to"])] += op.asked["amount"]


@seeded("bank")
def members_with_other_balances(story: Story, random: Random) -> None:
    name = random.choice(MEMBERS)
    story.finals[name] = moved(story.finals[name], {"from": 0, "to": 1, "amount": 1})


# Lists


def _lists(story: Story, key: str) -> list[list[Any]]:
    return [story.finals[name][key] for name in MEMBERS]


def _element(story: Story, random: Random) -> tuple[str, int, Operation]:
    """Key and element of an acknowledged append, not the last ones of the key."""
    found = [
        (str(part[1]), part[2], op)
        for op in ok(story, "txn")
        for part in op.answer
        if part[0] == "append"
    ]
    chosen: tuple[str, int, Operation] = one(random, found)
    return chosen


@seeded("append")
def element_lost(story: Story, random: Random) -> None:
    key, element, _ = _element(story, random)
    for each in _lists(story, key):
        each.remove(element)


@seeded("append")
def element_lost_on_a_member(story: Story, random: Random) -> None:
    key, element, _ = _element(story, random)
    story.finals[random.choice(MEMBERS)][key].remove(element)


@seeded("append")
def element_twice_at_the_end(story: Story, random: Random) -> None:
    key, element, _ = _element(story, random)
    for each in _lists(story, key):
        each.append(element)


@seeded("append")
def element_that_nobody_appended(story: Story, random: Random) -> None:
    key, _, _ = _element(story, random)
    for each in _lists(story, key):
        each.append(77_777)


@seeded("append")
def acknowledged_append_failed(story: Story, random: Random) -> None:
    _, _, op = _element(story, random)
    put(story, op, end="fail", answer=None)


@seeded("append")
def elements_reordered_at_the_end(story: Story, random: Random) -> None:
    reads = (part for op in ok(story, "txn") for part in op.answer if part[0] == "r")
    key = one(random, [str(name) for _, name, values in reads if len(values) > 2])
    for each in _lists(story, key):
        each[0], each[1] = each[1], each[0]


def _read(story: Story, random: Random, least: int = 2) -> tuple[Operation, int]:
    """A transaction that reads one key once, not its own appends, and the place of the part."""
    return one(  # type: ignore[no-any-return]
        random,
        [
            (op, at)
            for op in ok(story, "txn")
            for at, part in enumerate(op.answer)
            if part[0] == "r"
            and len(part[2]) >= least
            and sum(each[1] == part[1] for each in op.answer) == 1
        ],
    )


def _answer(story: Story, op: Operation, at: int, values: list[Any]) -> None:
    parts = [list(part) for part in op.answer]
    parts[at][2] = values
    put(story, op, answer=parts)


@seeded("append")
def list_read_in_another_order(story: Story, random: Random) -> None:
    op, at = _read(story, random)
    _answer(story, op, at, [*op.answer[at][2][:-2], op.answer[at][2][-1], op.answer[at][2][-2]])


@seeded("append")
def list_read_with_an_element_twice(story: Story, random: Random) -> None:
    op, at = _read(story, random)
    _answer(story, op, at, [*op.answer[at][2], op.answer[at][2][0]])


@seeded("append")
def list_read_with_an_element_of_nobody(story: Story, random: Random) -> None:
    op, at = _read(story, random)
    _answer(story, op, at, [*op.answer[at][2], 77_777])


@seeded("append")
def list_read_with_a_gap(story: Story, random: Random) -> None:
    op, at = _read(story, random, least=3)
    _answer(story, op, at, [*op.answer[at][2][:-2], op.answer[at][2][-1]])


@seeded("append")
def stale_list(story: Story, random: Random) -> None:
    op, at = _read(story, random)
    ends = {p[2]: end(o) for o in ok(story, "txn") for p in o.answer if p[0] == "append"}
    values = op.answer[at][2]
    if ends.get(values[-1], op.began) >= op.began:
        raise Unfit
    _answer(story, op, at, values[:-1])


@seeded("append")
def list_of_the_future(story: Story, random: Random) -> None:
    op, at = _read(story, random, least=0)
    key, values = op.answer[at][1:]
    whole = story.finals["c1"][str(key)]
    began = {p[2]: o.began for o in ok(story, "txn") for p in o.answer if p[0] == "append"}
    if len(whole) <= len(values) + 3 or began.get(whole[len(values) + 2], 0.0) <= end(op):
        raise Unfit
    _answer(story, op, at, whole[: len(values) + 3])


def plant(story: Story, *transactions: tuple[list[list[Any]], str]) -> None:
    """Add transactions on keys and by processes of their own, all at once in the middle."""
    middle = last(story) / 2
    lists: dict[int, list[Any]] = {}
    for number, (parts, end_) in enumerate(transactions):
        asked = [[f, key, value if f == "append" else None] for f, key, value in parts]
        story.operations.append(
            Operation("w", 90 + number, "txn", asked, middle, middle + 1, end_, parts)  # type: ignore[arg-type]
        )
        for f, key, value in parts:
            if f == "r" and len(value) > len(lists.get(key, [])):
                lists[key] = value
    for key, values in lists.items():
        for name in MEMBERS:
            story.finals[name][str(key)] = list(values)


X, Y = 9001, 9002

ANOMALIES: dict[str, tuple[tuple[list[list[Any]], str], ...]] = {
    "G0": (
        ([["append", X, 1], ["append", Y, 1]], "ok"),
        ([["append", X, 2], ["append", Y, 2]], "ok"),
        ([["r", X, [1, 2]], ["r", Y, [2, 1]]], "ok"),
    ),
    "unexpected": (([["append", X, 1]], "fail"), ([["append", X, 2], ["r", X, [1, 2]]], "ok")),
    "G1b": (
        ([["append", X, 1], ["append", X, 2]], "ok"),
        ([["r", X, [1]]], "ok"),
        ([["r", X, [1, 2]]], "ok"),
    ),
    "G1c": (
        ([["append", X, 1], ["r", Y, [1]]], "ok"),
        ([["append", Y, 1], ["r", X, [1]]], "ok"),
    ),
    "G-single": (
        ([["append", X, 1], ["append", Y, 1]], "ok"),
        ([["r", X, [1]], ["r", Y, []]], "ok"),
        ([["r", Y, [1]]], "ok"),
    ),
    "G-nonadjacent": (
        ([["append", X, 1]], "ok"),
        ([["append", Y, 1]], "ok"),
        ([["r", X, [1]], ["r", Y, []]], "ok"),
        ([["r", Y, [1]], ["r", X, []]], "ok"),
    ),
    "G2-item": (
        ([["r", X, []], ["append", Y, 1]], "ok"),
        ([["r", Y, []], ["append", X, 1]], "ok"),
        ([["r", X, [1]], ["r", Y, [1]]], "ok"),
    ),
    "lost update": (
        ([["r", X, []], ["append", X, 1]], "ok"),
        ([["r", X, []], ["append", X, 2]], "ok"),
        ([["r", X, [1, 2]]], "ok"),
    ),
    "internal": (
        ([["append", X, 1]], "ok"),
        ([["r", X, [1]], ["append", X, 2], ["r", X, [1]]], "ok"),
        ([["r", X, [1, 2]]], "ok"),
    ),
    "dirty update": (
        ([["append", X, 1]], "fail"),
        ([["append", X, 2]], "ok"),
        ([["r", X, [1, 2]]], "ok"),
    ),
}
"""Anomaly → transactions that show it, and none that is worse."""


def _planted(anomaly: str) -> Change:
    def change(story: Story, random: Random) -> None:
        plant(story, *ANOMALIES[anomaly])

    return change


MUTANTS += [Mutant("append", f"anomaly {name}", _planted(name)) for name in ANOMALIES]


# Queues


@seeded("queue")
def message_lost(story: Story, random: Random) -> None:
    sure = {op.asked for op in ok(story, "enqueue")}
    op = one(random, [op for op in ok(story, "dequeue") if op.answer in sure])
    story.operations.remove(op)


@seeded("queue")
def message_left_lost(story: Story, random: Random) -> None:
    value = one(random, story.finals["queue"])
    if not any(op.asked == value for op in ok(story, "enqueue")):
        raise Unfit
    story.finals["queue"].remove(value)


@seeded("queue")
def message_delivered_twice(story: Story, random: Random) -> None:
    op = one(random, ok(story, "dequeue"))
    story.operations.append(replace(op, began=op.began + 1, ended=end(op) + 1))


@seeded("queue")
def message_delivered_and_left(story: Story, random: Random) -> None:
    story.finals["queue"].append(one(random, ok(story, "dequeue")).answer)


@seeded("queue")
def message_of_nobody(story: Story, random: Random) -> None:
    op = one(random, ok(story, "dequeue"))
    story.operations.append(replace(op, answer=77_777, began=op.began + 1, ended=end(op) + 1))


@seeded("queue")
def message_of_nobody_left(story: Story, random: Random) -> None:
    story.finals["queue"].append(77_777)


@seeded("queue")
def refused_message_delivered(story: Story, random: Random) -> None:
    put(story, one(random, ok(story, "enqueue")), end="fail")


@seeded("queue")
def delivered_before_it_is_published(story: Story, random: Random) -> None:
    op = one(random, ok(story, "dequeue"))
    sent = one(random, [o for o in story.operations if o.f == "enqueue" and o.asked == op.answer])
    put(story, op, began=sent.began - 0.2, ended=sent.began - 0.1)


@seeded("queue")
def publishers_order_turned(story: Story, random: Random) -> None:
    sent = {op.asked: op for op in ok(story, "enqueue")}
    taken = [op for op in ok(story, "dequeue") if op.answer in sent]
    first, second = one(
        random,
        [
            (one_, other)
            for one_ in taken
            for other in taken
            if one_.process == other.process
            and one_.began < other.began < one_.began + 9
            and sent[one_.answer].process == sent[other.answer].process
            and end(sent[one_.answer]) < sent[other.answer].began
            and end(sent[other.answer]) < one_.began + 9
        ],
    )
    late = end(second) + 1
    put(story, first, began=late, ended=late + 0.01)


@seeded("queue")
def consumer_stops(story: Story, random: Random) -> None:
    """The other gets what it would have got."""
    since = last(story) * random.uniform(0.2, 0.6)
    for op in [op for op in ok(story, "dequeue") if op.process == 4 and op.began > since]:
        put(story, op, process=3)


@seeded("queue")
def consumer_never_gets_anything(story: Story, random: Random) -> None:
    for op in [op for op in ok(story, "dequeue") if op.process == 4]:
        put(story, op, process=3)


@seeded("queue")
def consumers_stop_with_messages_left(story: Story, random: Random) -> None:
    since = last(story) * random.uniform(0.2, 0.6)
    for op in [op for op in ok(story, "dequeue") if op.began > since]:
        story.operations.remove(op)
        story.finals["queue"].append(op.answer)


@seeded("queue")
def no_consumer_ever_gets_anything(story: Story, random: Random) -> None:
    for op in ok(story, "dequeue"):
        story.operations.remove(op)
        story.finals["queue"].append(op.answer)
