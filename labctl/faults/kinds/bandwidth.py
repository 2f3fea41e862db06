"""Limited bandwidth: frames that exceed a rate are dropped on their way to nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.faults import build, degrade, partition
from labctl.faults.kind import FaultKind, Key, Request, Seen
from labctl.faults.model import DEFAULT_LEASE, Direction, Fault
from labctl.faults.wire import AIMED, COUNTED

if TYPE_CHECKING:
    from labctl.model.lab import Lab


def throttled(
    lab: Lab,
    groups: Sequence[Sequence[str]],
    *,
    rate: int,
    direction: Direction = "both",
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that drops what exceeds a rate (bytes per second) between groups (as for a cut).

    The rate is for all that a node hears from the other side. InputError when it is out of range.
    """
    if not 1000 <= rate <= 10_000_000:
        raise InputError("a bandwidth is between 1000 and 10000000 bytes per second")
    terms = {"rate": rate, "said": f"{rate} bytes/s"}
    return build.on_the_wire(
        lab, "bandwidth", groups, direction=direction, lease=lease, terms=terms
    )


def bytes_per_second(text: str) -> int:
    """Bytes per second of ``800kbit`` or ``1mbit``. InputError for anything else."""
    matched = re.fullmatch(r"([0-9]+)(kbit|mbit)", text)
    if matched is None:
        raise InputError(f"{text!r} is not a rate such as 800kbit or 1mbit")
    return int(matched[1]) * (1000 if matched[2] == "kbit" else 1_000_000) // 8


def rules(fault: Fault) -> tuple[str, ...]:
    """The nftables rules for frames from the other side."""
    rate = fault.terms["rate"]
    burst = max(2048, rate // 10)
    return (f"{AIMED} limit rate over {rate} bytes/second burst {burst} bytes {COUNTED}",)


def _build(request: Request) -> Fault:
    return throttled(request.lab, [request.nodes], rate=request.terms["rate"], lease=request.lease)


def _had_effect(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
    # 200 pings of such a size that they are ten times the rate if they are sent within a second: a
    # busy machine takes several.
    size = int(min(60_000, max(64, fault.terms["rate"] // 20)))
    return degrade.loses_pings(engine, fault, 200, size)


KINDS = (
    FaultKind(
        word="bandwidth",
        summary="Drop what exceeds a rate between nodes and all others.",
        build=_build,
        had_effect=_had_effect,
        needs=("target", "rate"),
        keys=(
            Key(
                "rate",
                "Of a bandwidth: what is left of it.",
                pattern=r"^[1-9][0-9]{0,5}(kbit|mbit)$",
                read=bytes_per_second,
            ),
        ),
        family="network",
        **partition.handlers(rules),
    ),
)
