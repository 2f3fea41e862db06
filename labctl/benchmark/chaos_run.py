"""Measures chaos: faults, the client, the checkers, and the length of the library's runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labctl.benchmark import bites, chaos, checking, pace
from labctl.chaos.document import library
from labctl.chaos.folder import runs
from labctl.engine.port import Engine
from labctl.planning.desired import Desired


def measure(
    engine: Engine,
    desired: Desired,
    secrets: Mapping[str, str],
    repeat: int,
    say: Callable[[str], None],
) -> chaos.Document:
    """Take every figure on a healthy lab. LabError when it is not healthy afterwards."""
    return {
        "faults": _faults(engine, desired, repeat, say),
        "client": _client(engine, desired, secrets, say),
        **_offline(say),
    }


def _offline(say: Callable[[str], None]) -> chaos.Document:
    """The figures that need no lab: of the checkers, and of the runs recorded here."""
    say(f"checkers, {checking.OPERATIONS} operations each")
    return {
        "checkers": chaos.checkers(checking.measure()),
        "library": chaos.lengths(list(library.scenarios()), runs.lengths(runs.rows())),
    }


def _faults(
    engine: Engine, desired: Desired, repeat: int, say: Callable[[str], None]
) -> chaos.Document:
    found = {}
    for name, case in bites.cases(desired.lab).items():
        trials = []
        for number in range(repeat):
            say(f"fault ({name}), trial {number + 1}")
            trials.append(bites.trial(engine, desired, case))
        found[name] = chaos.fault(trials)
    return found


def _client(
    engine: Engine, desired: Desired, secrets: Mapping[str, str], say: Callable[[str], None]
) -> chaos.Document | None:
    cheap = pace.workload(desired)
    if cheap is None:
        return None
    say("the highest rate of the client")
    return chaos.client("/".join(cheap), list(pace.measure(engine, desired, secrets, *cheap)))
