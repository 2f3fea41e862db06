"""What leaves nothing behind: the virtual IP, answers, log-ins, tenants' traffic, measures."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from tests.mutation.stores import WRONG, Mutant, Simulated
from tests.mutation.world import Row, Run, Step


class Questions:
    """Questions in turn, each with the same answer for ever."""

    harmless = ("connect", "ping", "fetch", "validate", "page", "measure", "login")

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self._asked = 0

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        names = sorted(self._answers)
        f = names[number % len(names)]
        yield f, number if f == "login" else None, ""

    def apply(self, f: str, value: Any, at: str) -> Any:
        self._asked += 1
        if f == "measure":
            return {"age": 5.0 + self._asked % 20, "moment": f"m{self._asked // 20}"}
        answer = self._answers[f]
        return value if answer is None else answer

    def finals(self, nodes: Sequence[str]) -> Any:
        return {"client": []}

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        return iter(())


def another_answer(run: Run, name: str, dice: Random) -> object:
    dice.choice(run.events("ok", workload=name)[3:])["value"] = "another"
    return True


def too_old(run: Run, name: str, dice: Random) -> object:
    dice.choice(run.events("ok", workload=name))["value"]["age"] = 500.0
    return True


_ANSWERS = (Mutant("another answer", another_answer, WRONG),)
_HOLDER = {"holder": "c1", "mac": "02:00:00:00:00:01"}


def _asks(**answers: Any) -> Any:
    def make(random: Random, settings: Mapping[str, Any]) -> Questions:
        return Questions(answers)

    return make


SIMULATED = (
    Simulated("vip", "probe", _asks(connect=_HOLDER, ping=_HOLDER), (), "vip-holder/haproxy"),
    Simulated("memcached", "answers", _asks(validate="200 ab"), _ANSWERS, {"one": "memcached"}),
    Simulated("api", "token", _asks(login=None), (), {"one": "keystone"}),
    Simulated("api", "dashboard", _asks(page=True), _ANSWERS, {"one": "horizon"}, profile="core"),
    Simulated(
        "api",
        "poll",
        _asks(measure=None),
        (Mutant("too old", too_old),),
        {"one": "gnocchi-api"},
        profile="full",
    ),
    Simulated(
        "tenant",
        "floating",
        _asks(ping="echo", fetch="web"),
        _ANSWERS,
        "l3-master",
        profile="core",
    ),
    Simulated(
        "tenant", "balanced", _asks(ping="echo", fetch="web"), _ANSWERS, "amphora", profile="full"
    ),
)
