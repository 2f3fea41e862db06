"""Several scenarios one after another: which of them fit a lab, and what came of all. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labctl.chaos.document import library
from labctl.chaos.model.findings import Outcome
from labctl.chaos.run import plan as plans
from labctl.errors import EngineError, InputError
from labctl.model.lab import Lab

CODES = {"VALID": 0, "INVALID": 1, "UNKNOWN": 4}
"""Outcome of a run → exit code."""

Able = Callable[[Collection[str]], None]
"""Asks the machine whether it can make faults, by their words. EngineError when it cannot."""


@dataclass(frozen=True)
class Choice:
    """What a campaign carries out, in this order, and what it leaves out, with the reason."""

    names: tuple[str, ...]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Result:
    """What came of a scenario; no outcome where it could not be carried out."""

    scenario: str
    outcome: Outcome | None
    why: str
    code: int
    """The exit code that it would have had alone."""
    run: str | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def choose(words: Sequence[str], lab: Lab, able: Able | None = None) -> Choice:
    """The scenarios that are named, by name or file, and those of the library that words find.

    All of the library without a word. InputError for a word that finds none, and for what is wrong
    with a scenario that is named or what the lab lacks for it; of those that were found, what the
    lab or the machine lacks only leaves them out.
    """
    named = {word for word in words if _is_name(word)}
    names: list[str] = []
    for word in words or ("",):
        names += [word] if word in named else _found(word)
    fitting, left_out = [], {}
    for name in dict.fromkeys(names):
        try:
            plan = plans.from_scenario(name, lab, 0)
            if able is not None:
                able({action.fault for action in plan.actions})
        except (InputError, EngineError) as error:
            if name in named:
                raise
            left_out[name] = str(error)
        else:
            fitting.append(name)
    return Choice(tuple(fitting), left_out)


def worst(results: Sequence[Result]) -> int:
    """The exit code of all: 1 if one is INVALID, else that of an error, else 4 for UNKNOWN."""
    codes = [result.code for result in results]
    invalid = [result.code for result in results if result.outcome == "INVALID"]
    errors = [result.code for result in results if result.outcome is None]
    return next(iter((*invalid, *errors)), max(codes, default=0))


def counted(results: Sequence[Result], left_out: Collection[str]) -> str:
    """``12 VALID, 1 INVALID, 2 left out``."""
    counts: Counter[str] = Counter(result.outcome or "not carried out" for result in results)
    said = [f"{counts[word]} {word}" for word in (*CODES, "not carried out") if counts[word]]
    return ", ".join(said + [f"{len(left_out)} left out"] * bool(left_out)) or "nothing fits"


def _is_name(word: str) -> bool:
    return word in library.scenarios() or word.endswith((".yml", ".yaml"))


def _found(word: str) -> list[str]:
    found = sorted(doc.name for doc in library.about(word))
    if not found:
        raise InputError(
            f"no scenario has '{word}' in its name, rows or needs: see `labctl chaos list`"
        )
    return found
