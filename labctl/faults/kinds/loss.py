"""Packet loss: a percentage of the frames to nodes is dropped at random."""

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
    """A fault that drops a percentage of the frames between groups (as for a cut).

    InputError when the percentage is out of range.
    """
    if not 1 <= percent < 100:
        raise InputError(f"a loss is between 1 and 99 percent of the frames, not {percent:g}")
    terms = {"percent": percent, "said": f"{percent:g} %"}
    return build.on_the_wire(lab, "loss", groups, direction=direction, lease=lease, terms=terms)


def rules(fault: Fault) -> tuple[str, ...]:
    """The nftables rules for frames from the other side."""
    share = round(fault.terms["percent"] * 10)
    return (f"{AIMED} numgen random mod 1000 < {share} {COUNTED}",)


def _build(request: Request) -> Fault:
    direction = cast(Direction, request.terms.get("direction", "both"))
    percent = request.terms["percent"]
    return lossy(
        request.lab, [request.nodes], percent=percent, direction=direction, lease=request.lease
    )


def _had_effect(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
    # Enough that some of them are practically certain to be dropped.
    pings = math.ceil(600 / fault.terms["percent"])
    return degrade.loses_pings(engine, fault, pings, 56)


KINDS = (
    FaultKind(
        word="loss",
        summary="Drop a percentage of the frames between nodes and all others.",
        build=_build,
        had_effect=_had_effect,
        needs=("target", "percent"),
        takes=("direction",),
        keys=(
            Key(
                "percent",
                "Of a loss: percentage of packets that are lost.",
                float,
                above=0,
                most=100,
            ),
            DIRECTION,
        ),
        family="network",
        **partition.handlers(rules),
    ),
)
