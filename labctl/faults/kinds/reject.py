"""A port that refuses connections: nodes answer all other nodes with a reset.

Unlike with a cut, clients do not wait for a timeout; unlike with a kill, the service keeps running
and can be reached on its own node.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from labctl.engine.port import Engine
from labctl.faults import build, degrade, kinds, partition
from labctl.faults.kind import FaultKind, Key, Request, Seen
from labctl.faults.model import Fault
from labctl.faults.wire import AIMED, DROPPED


def rules(fault: Fault) -> tuple[str, ...]:
    """The nftables rules for frames from other nodes."""
    port = fault.terms["port"]
    return (f"tcp dport {port} {AIMED} counter name {DROPPED} reject with tcp reset",)


def _build(request: Request) -> Fault:
    port = request.terms["port"]
    return build.on_the_wire(
        request.lab,
        "reject",
        [request.nodes],
        direction="in",
        lease=request.lease,
        terms={"port": port, "said": f"port {port}"},
    )


def _had_effect(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    send = partial(degrade.knock, engine, fault, fault.terms["port"])
    seen = degrade.had_effect(engine, fault, send, everywhere=True)
    degrade.passes(engine, fault, kinds.lasting(others))
    return seen


KINDS = (
    FaultKind(
        word="reject",
        summary="Refuse connections to a port of nodes, with a reset, although something listens.",
        build=_build,
        had_effect=_had_effect,
        needs=("target", "port"),
        keys=(Key("port", "Of a reject: the TCP port that refuses.", int, least=1, most=65535),),
        family="network",
        **partition.handlers(rules),
    ),
)
