"""Several scenarios one after another: which of them fit a lab, and the overall result. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labctl.chaos.document import library
from labctl.chaos.model.findings import Outcome
from labctl.chaos.run import plan as plans
from labctl.errors import EngineError, InputError
from labctl.model.lab import Lab

CODES = {"VALID": 0, "INVALID": 1, "UNKNOWN": 4}
"""Outcome of a run → exit code."""


def code_of(verdict: Mapping[str, Any]) -> int:
    """The exit code for a verdict (as in ``verdict.json``): 0 if it is what the scenario expects.

    INVALID that was expected is a pass: the scenario is there to be caught. VALID that was not is
    no proof, as UNKNOWN is none.
    """
    if verdict["expected"]["met"]:
        return 0
    return CODES[verdict["outcome"]] or CODES["UNKNOWN"]


CheckMachine = Callable[[Collection[str]], None]
"""Raises EngineError when the machine cannot make one of these faults."""


@dataclass(frozen=True)
class Choice:
    """The scenarios that a campaign runs, in order, and those it leaves out, with the reason."""

    names: tuple[str, ...]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Result:
    """The result of a scenario; ``outcome`` is None if it could not be run."""

    scenario: str
    outcome: Outcome | None
    why: str
    code: int
    """The exit code of ``labctl chaos run`` for this scenario alone."""
    run: str | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def choose(words: Sequence[str], lab: Lab, check_machine: CheckMachine | None = None) -> Choice:
    """Choose scenarios by name, file or search word; all of the library when there are no words.

    A scenario found by a word is left out if the lab or the machine lacks something for it. For one
    that is named that is an error: InputError, or the machine's EngineError. A word that finds
    nothing is an InputError.
    """
    named = {word for word in words if _is_name(word)}
    names: list[str] = []
    for word in words or ("",):
        names += [word] if word in named else _found(word)
    fitting, left_out = [], {}
    for name in dict.fromkeys(names):
        try:
            plan = plans.from_scenario(name, lab, 0)
            if check_machine is not None:
                check_machine({action.fault for action in plan.actions})
        except (InputError, EngineError) as error:
            if name in named:
                raise
            left_out[name] = str(error)
        else:
            fitting.append(name)
    return Choice(tuple(fitting), left_out)


def worst(results: Sequence[Result]) -> int:
    """The exit code of a campaign: 1 if a run is INVALID, else an error's, else 4 if UNKNOWN.

    One that came out as its scenario expects has the code 0, whatever the outcome.
    """
    codes = [result.code for result in results]
    invalid = [result.code for result in results if result.outcome == "INVALID" and result.code]
    errors = [result.code for result in results if result.outcome is None]
    return next(iter((*invalid, *errors)), max(codes, default=0))


def tally(results: Sequence[Result], left_out: Collection[str]) -> str:
    """``12 VALID, 1 INVALID as expected, 2 left out``."""
    counts: Counter[str] = Counter(map(_counted, results))
    words = (CAUGHT, *CODES, "not run")
    said = [f"{counts[word]} {word}" for word in words if counts[word]]
    return ", ".join(said + [f"{len(left_out)} left out"] * bool(left_out)) or "no scenario fits"


CAUGHT = "INVALID as expected"


def _counted(result: Result) -> str:
    if result.outcome == "INVALID" and not result.code:
        return CAUGHT
    return result.outcome or "not run"


def _is_name(word: str) -> bool:
    return word in library.scenarios() or word.endswith((".yml", ".yaml"))


def _found(word: str) -> list[str]:
    found = sorted(doc.name for doc in library.about(word))
    if not found:
        raise InputError(
            f"no scenario has '{word}' in its name, rows or needs: see `labctl chaos list`"
        )
    return found
