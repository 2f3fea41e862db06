"""Frames that get lost on their way to nodes: a share of them, by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.faults import build, degrade, partition
from labctl.faults.kind import FaultKind, Key, Request, Seen
from labctl.faults.kinds.cut import DIRECTION
from labctl.faults.model import DEFAULT_LEASE, Direction, Fault
from labctl.faults.wire import AIMED, COUNTED

if TYPE_CHECKING:
    from labctl.model.lab import Lab


def lossy(
    lab: Lab,
    groups: Sequence[Sequence[str]],
    *,
    percent: float,
    direction: Direction = "both",
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A share of the frames between groups (as for a cut) gets lost.

    InputError when it makes no sense.
    """
    if not 1 <= percent < 100:
        raise InputError(f"a loss is between 1 and 99 percent of the frames, not {percent:g}")
    terms = {"percent": percent, "said": f"{percent:g} %"}
    return build.on_the_wire(lab, "loss", groups, direction=direction, lease=lease, terms=terms)


def rules(fault: Fault) -> tuple[str, ...]:
    """What is done to frames of those that a node hears badly."""
    share = round(fault.terms["percent"] * 10)
    return (f"{AIMED} numgen random mod 1000 < {share} {COUNTED}",)


def _build(request: Request) -> Fault:
    direction = cast(Direction, request.terms.get("direction", "both"))
    percent = request.terms["percent"]
    return lossy(
        request.lab, [request.nodes], percent=percent, direction=direction, lease=request.lease
    )


def _had_effect(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
    # So many that some of them are surely dropped.
    pings = math.ceil(600 / fault.terms["percent"])
    return degrade.loses_pings(engine, fault, pings, 56)


KINDS = (
    FaultKind(
        word="loss",
        says="Lose a share of the frames between nodes and all others.",
        build=_build,
        had_effect=_had_effect,
        needs=("target", "percent"),
        takes=("direction",),
        keys=(
            Key("percent", "Of a loss: packets that get lost.", float, above=0, most=100),
            DIRECTION,
        ),
        family="network",
        **partition.handlers(rules),
    ),
)
