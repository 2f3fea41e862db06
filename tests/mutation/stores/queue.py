"""Queues: messages that are published and consumed."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from tests.mutation.stores import INCOMPLETE, Mutant, Simulated
from tests.mutation.world import Row, Run, Step


class Messages:
    """A queue that two consumers empty in turn."""

    harmless = ()

    def __init__(self, random: Random, settings: Mapping[str, Any]) -> None:
        self._random, self._consumers = random, settings["consumers"]
        self._there: list[int] = []
        self._taken = 0

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        yield "enqueue", number, ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        self._there.append(value)
        return value

    def finals(self, nodes: Sequence[str]) -> Any:
        return {"queue": list(self._there)}

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        while self._there and self._consumers:
            self._taken += 1
            process = workers + self._taken % self._consumers
            yield {"p": process, "f": "dequeue", "value": self._there.pop(0), "at": "c1"}


def _pairs(run: Run, name: str) -> list[tuple[Row, Row]]:
    """Each delivery's two events."""
    open_: dict[int, Row] = {}
    found = []
    for row in run.history:
        if row["w"] == name and row["f"] == "dequeue":
            if row["type"] == "invoke":
                open_[row["p"]] = row
            else:
                found.append((open_.pop(row["p"]), row))
    return found


def _without(run: Run, rows: Sequence[Row]) -> None:
    gone = {id(row) for row in rows}
    run.history = [row for row in run.history if id(row) not in gone]


def never_delivered(run: Run, name: str, dice: Random) -> object:
    _without(run, dice.choice(_pairs(run, name)[5:40]))
    return True


def eight_never_delivered(run: Run, name: str, dice: Random) -> object:
    pairs = _pairs(run, name)
    at = dice.randrange(5, 30)
    _without(run, [row for pair in pairs[at : at + 8] for row in pair])
    return True


def nobody_sent(run: Run, name: str, dice: Random) -> object:
    dice.choice(_pairs(run, name)[5:])[1]["value"] = 987654
    return True


def left_though_nobody_sent(run: Run, name: str, _: Random) -> object:
    run.finals[name]["queue"].append(987654)
    return True


def undrained(run: Run, name: str, _: Random) -> object:
    run.finals[name] = {"error": "no connection"}
    return True


def queue_unread(run: Run, name: str, _: Random) -> object:
    run.finals[name]["queue"] = None
    return True


def delivered_before_it_was_sent(run: Run, name: str, dice: Random) -> object:
    pairs = _pairs(run, name)
    at = dice.randrange(5, len(pairs) // 2)
    one, two = pairs[at][1], pairs[at + 20][1]
    one["value"], two["value"] = two["value"], one["value"]
    return True


def refused_and_delivered(run: Run, name: str, dice: Random) -> object:
    failed = run.events("fail", f="enqueue", workload=name)
    if not failed:
        return False
    run.finals[name]["queue"].append(dice.choice(failed)["value"])
    return True


def a_consumer_never_got_any(run: Run, name: str, _: Random) -> object:
    """All that one consumer got is left over."""
    pairs = _pairs(run, name)
    process = max(pair[0]["p"] for pair in pairs)
    mine = [pair for pair in pairs if pair[0]["p"] == process]
    _without(run, [row for pair in mine for row in pair])
    run.finals[name]["queue"] += [pair[1]["value"] for pair in mine]
    return True


def no_consumer_got_any(run: Run, name: str, _: Random) -> object:
    pairs = _pairs(run, name)
    _without(run, [row for pair in pairs for row in pair])
    run.finals[name]["queue"] += [pair[1]["value"] for pair in pairs]
    return True


def nothing_to_the_end(run: Run, name: str, _: Random) -> object:
    """From the heal on all is left over."""
    since = max((row["healed"] for row in run.timeline), default=20.0)
    late = [pair for pair in _pairs(run, name) if pair[0]["t"] > since]
    _without(run, [row for pair in late for row in pair])
    run.finals[name]["queue"] += [pair[1]["value"] for pair in late]
    return True


MUTANTS = (
    Mutant("never delivered: one", never_delivered),
    Mutant("never delivered: eight", eight_never_delivered),
    Mutant("delivered though nobody sent it", nobody_sent),
    Mutant("left over though nobody sent it", left_though_nobody_sent),
    Mutant("it was not drained", undrained, INCOMPLETE),
    Mutant("it was not read", queue_unread, INCOMPLETE),
    Mutant("delivered before it was sent", delivered_before_it_was_sent),
    Mutant("delivered though refused", refused_and_delivered),
    Mutant("a consumer never got any", a_consumer_never_got_any),
    Mutant("no consumer got any", no_consumer_got_any),
    Mutant("none to the end", nothing_to_the_end),
)


def _make(random: Random, settings: Mapping[str, Any]) -> Messages:
    return Messages(random, settings)


SIMULATED = (
    Simulated("rabbitmq", "quorum", _make, MUTANTS, "rabbit-leader:w"),
    Simulated("rabbitmq", "classic", _make, MUTANTS[2:], "rabbit-leader:w"),
)
