"""Where a workload finds what it uses in a lab, with which account, and at which pace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.workloads.entry import Entry
from labctl.workloads.registry import KINDS


@dataclass(frozen=True)
class Wanted:
    """A workload as it is asked for; what is None is as usual for its kind."""

    name: str
    kind: str
    way: str
    """``as`` in a scenario: set, bank, ..."""
    rate: float | None = None
    """Operations a second, of all workers together."""
    workers: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    unbounded: bool = False
    """Whether it may be faster than one client can be: to find out how fast that is."""


def entry(wanted: Wanted) -> Entry:
    """What is known of a workload. InputError when there is none like that."""
    kinds = KINDS.get(wanted.kind)
    if kinds is None:
        raise InputError(
            f"workload {wanted.name}: no kind '{wanted.kind}'; there are {', '.join(KINDS)}"
        )
    if wanted.way not in kinds:
        raise InputError(
            f"workload {wanted.name}: {wanted.kind} cannot be used as '{wanted.way}', but as"
            f" {', '.join(kinds)}"
        )
    return kinds[wanted.way]


def config(
    wanted: Wanted, lab: Lab, secrets: Mapping[str, str], run: str, seed: int
) -> dict[str, Any]:
    """Everything the client needs to know; holds secrets.

    InputError when the lab has not what it needs, or when it would be too fast for one client.
    """
    known = entry(wanted)
    missing = [name for name in known.services if name not in lab.services]
    if missing:
        raise InputError(
            f"workload {wanted.name}: lab {lab.name} has no {', '.join(missing)}; give it a"
            " larger profile"
        )
    rate = known.rate if wanted.rate is None else wanted.rate
    if not (0 < rate <= known.most or wanted.unbounded):
        raise InputError(
            f"workload {wanted.name}: rate {rate:g} should be above 0 and at most {known.most:g}"
            " a second: a faster client would measure itself"
        )
    return {
        "name": wanted.name,
        "id": _id(f"{run}_{wanted.name}", known.apart),
        "kind": wanted.kind,
        "as": wanted.way,
        "rate": rate,
        "workers": wanted.workers or known.workers,
        "seed": seed,
        "timeout": known.timeout,
        **known.settings,
        **wanted.settings,
        **known.place(lab, secrets),
    }


def _id(name: str, apart: str) -> str:
    """What tables, queues and keys are called that are of this run only."""
    return "".join(c if c.isalnum() else apart for c in name)[:48]
