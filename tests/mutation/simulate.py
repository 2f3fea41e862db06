"""Good histories by simulation: clients of a store that does everything at one moment.

An operation takes effect at a moment between its beginning and its end, on the one copy that there
is. Some ends are unknown, and then it took effect or not; some fail, and then it did not.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any

from labctl.chaos.checks import checker
from labctl.chaos.folder.history import End, Operation
from labctl.chaos.model.findings import Finding

MEMBERS = ("c1", "c2", "c3")

Effect = Callable[[Any], Any]
"""What an operation does to the store; returns the answer, or raises Refused."""


class Refused(Exception):  # noqa: N818 - what a store says, not what goes wrong here
    """The operation does not happen."""


@dataclass
class Story:
    """A history with what the store holds in the end, of a workload with its settings."""

    kind: str
    way: str
    operations: list[Operation]
    finals: Any
    settings: Mapping[str, Any] = field(default_factory=dict)

    def findings(self) -> list[Finding]:
        """What the workload's own check finds."""
        check = checker(self.kind, self.way)
        assert check is not None
        ordered = sorted(self.operations, key=lambda op: op.began)
        return check(ordered, self.finals, self.settings)

    def broken(self) -> list[str]:
        """The checks that something was found by."""
        return [each.check for each in self.findings() if each.broken]


@dataclass
class Ask:
    """An operation that a client is about to carry out."""

    f: str
    asked: Any
    effect: Callable[[], Any]
    harmless: bool = False


def play(
    next_of: Callable[[int, int], Ask],
    random: Random,
    *,
    count: int,
    workers: int = 4,
    rate: float = 10.0,
    slowest: float = 0.3,
) -> list[Operation]:
    """Let workers carry out so many operations in all; one in fifty has an unknown end."""
    free = [(random.random(), worker) for worker in range(workers)]
    heapq.heapify(free)
    waiting: list[tuple[float, int, float, Ask]] = []
    done: list[Operation] = []
    number = 0
    while free or waiting:
        if free and number < count and (not waiting or free[0][0] <= waiting[0][0]):
            began, worker = heapq.heappop(free)
            ask = next_of(number, worker)
            number += 1
            heapq.heappush(waiting, (began + random.random() * slowest, worker, began, ask))
            continue
        if not waiting:
            break
        moment, worker, began, ask = heapq.heappop(waiting)
        ended = moment + 0.001 + random.random() * slowest
        done.append(_ended(ask, worker, began, ended, random))
        heapq.heappush(free, (ended + random.random() * 2 * workers / rate, worker))
    return sorted(done, key=lambda op: op.began)


def _ended(ask: Ask, worker: int, began: float, ended: float, random: Random) -> Operation:
    chance = random.random()
    end: End = "ok" if chance > 0.04 else "fail" if chance > 0.02 or ask.harmless else "info"
    answer = None
    if end == "ok" or (end == "info" and random.random() < 0.5):
        try:
            answer = ask.effect()
        except Refused:
            end = "fail"
    said = answer if end == "ok" else ask.asked
    return Operation("w", worker, ask.f, ask.asked, began, ended, end, said)


def register(random: Random) -> Story:
    store: dict[int, int] = {}
    seen: dict[int, int] = {}

    def ask(number: int, _: int) -> Ask:
        key = number // 60 * 3 + number % 3
        choice = random.choice(("read", "write", "cas"))
        if choice == "read" or (choice == "cas" and key not in seen):

            def read() -> Any:
                if key in store:
                    seen[key] = store[key]
                return [key, store.get(key)]

            return Ask("read", [key, None], read, harmless=True)
        old = seen.get(key)

        def write() -> Any:
            if choice == "cas" and store.get(key) != old:
                raise Refused
            store[key] = number
            return [key, number] if choice == "write" else [key, [old, number]]

        return Ask(choice, [key, number] if choice == "write" else [key, [old, number]], write)

    operations = play(ask, random, count=300)
    finals = {name: [[key, value] for key, value in sorted(store.items())] for name in MEMBERS}
    return Story("galera", "register", operations, finals)


def reads(random: Random) -> Story:
    store: dict[int, int] = {}

    def ask(number: int, worker: int) -> Ask:
        if number % 3:
            return Ask("read", [worker, None], lambda: [worker, store.get(worker)], harmless=True)

        def write() -> Any:
            store[worker] = number
            return [worker, number]

        return Ask("write", [worker, number], write)

    operations = play(ask, random, count=300)
    finals = {name: [[key, value] for key, value in sorted(store.items())] for name in MEMBERS}
    return Story("galera", "read-after-write", operations, finals)


def sets(random: Random) -> Story:
    store: set[int] = set()

    def ask(number: int, _: int) -> Ask:
        if number % 4 == 3:
            low = max(0, number - random.randint(5, 60))

            def read() -> Any:
                return [value for value in sorted(store) if low <= value <= number]

            return Ask("read", [low, number], read, harmless=True)

        def add() -> Any:
            store.add(number)
            return number

        return Ask("add", number, add)

    operations = play(ask, random, count=300)
    return Story("galera", "set", operations, {name: sorted(store) for name in MEMBERS})


def counter(random: Random) -> Story:
    count = [0]

    def ask(number: int, _: int) -> Ask:
        if number % 4 == 3:
            return Ask("read", None, lambda: count[0], harmless=True)

        def add() -> Any:
            count[0] += 1
            return count[0]

        return Ask("incr", None, add)

    operations = play(ask, random, count=300)
    return Story("redis", "counter", operations, {"master": [count[0]]})


def bank(random: Random) -> Story:
    books = dict.fromkeys(map(str, range(5)), 100)

    def ask(number: int, _: int) -> Ask:
        if number % 3 == 0:
            return Ask("read", None, lambda: dict(books), harmless=True)
        giver, taker = random.sample(range(5), 2)
        amount = random.randint(1, 5)
        asked = {"from": giver, "to": taker, "amount": amount}

        def move() -> Any:
            if books[str(giver)] < amount:
                raise Refused
            books[str(giver)] -= amount
            books[str(taker)] += amount
            return asked

        return Ask("transfer", asked, move)

    operations = play(ask, random, count=300)
    settings = {"accounts": 5, "balance": 100, "locking": True, "spread": False}
    return Story("galera", "bank", operations, {name: dict(books) for name in MEMBERS}, settings)


def append(random: Random) -> Story:
    lists: dict[int, list[int]] = {}

    def ask(number: int, _: int) -> Ask:
        base = number // 75 * 3
        parts: list[list[Any]] = []
        for place in range(random.randint(1, 4)):
            key = base + random.randrange(3)
            write = random.random() < 0.5
            parts.append(["append", key, number * 4 + place] if write else ["r", key, None])

        def do() -> Any:
            found: list[list[Any]] = []
            for f, key, value in parts:
                if f == "append":
                    lists.setdefault(key, []).append(value)
                    found.append([f, key, value])
                else:
                    found.append([f, key, list(lists.get(key, ()))])
            return found

        return Ask("txn", parts, do)

    operations = play(ask, random, count=300)
    finals = {name: {str(key): list(each) for key, each in lists.items()} for name in MEMBERS}
    return Story("galera", "append", operations, finals)


def queue(random: Random) -> Story:
    """Publishers and two consumers, who take turns and get what there is soon; 100 s and more."""
    there: list[tuple[float, int]] = []

    def ask(number: int, _: int) -> Ask:
        def put() -> Any:
            there.append((0.0, number))
            return number

        return Ask("enqueue", number, put)

    operations = play(ask, random, count=700, workers=3, rate=5.0)
    arrived = {number for _, number in there}
    puts = [op for op in operations if op.asked in arrived]
    # It comes to the queue after its publisher's messages before it, and before it is confirmed.
    came = sorted((op.ended or op.began, op.asked) for op in puts)
    taken = [
        Operation("w", 3 + place % 2, "dequeue", False, t + 0.01, t + 0.02, "ok", value)
        for place, (t, value) in enumerate(came)
    ]
    left = [op.answer for op in taken[-2:]]
    return Story("rabbitmq", "quorum", operations + taken[:-2], {"queue": left}, {"consumers": 2})


EVERY: Mapping[str, Callable[[Random], Story]] = {
    "register": register,
    "reads": reads,
    "sets": sets,
    "counter": counter,
    "bank": bank,
    "append": append,
    "queue": queue,
}
"""Check → a good history that it judges."""


def dice(seed: int) -> Random:
    """Random choices that can be repeated."""
    return Random(seed)  # noqa: S311 - no secrets


def good(check: str, seed: int) -> Story:
    """A good history of one's own, to be corrupted or not."""
    story = _made(check, seed)
    return replace(story, operations=list(story.operations), finals=deepcopy(story.finals))


@cache
def _made(check: str, seed: int) -> Story:
    return EVERY[check](dice(seed))
