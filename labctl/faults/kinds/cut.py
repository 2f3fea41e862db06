"""Partitions: nodes cut off from each other at layer 2, completely or for one protocol.

A cut of less than a second (a blink) is over before it can be tested: the kernel ends it while it
is being made.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, cast

from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.faults import build, degrade, kinds, partition
from labctl.faults.kind import FaultKind, Key, Pairs, Request, Seen
from labctl.faults.model import DEFAULT_LEASE, Direction, Fault, names
from labctl.faults.wire import AIMED, COUNTED

if TYPE_CHECKING:
    from labctl.model.lab import Lab

BLINK = 1.0
"""Seconds: a shorter cut undoes itself."""
SHORTEST = 0.001
VRRP = "vrrp"
"""The value of ``only`` for a cut of VRRP alone."""
_PORT = "port "

DIRECTION = Key(
    "direction",
    "``in``: the first group does not hear the others but is heard; ``out``: the reverse.",
    Direction,
)


def cut(
    lab: Lab,
    groups: Sequence[Sequence[str]],
    *,
    direction: Direction = "both",
    only: str | int | None = None,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A partition. One group is cut off from all other nodes; several are cut off from each other.

    ``direction`` is as in :class:`~labctl.faults.model.Fault`; ``only`` is ``vrrp`` or a TCP and
    UDP port: everything else passes. A cut with a lease of less than a second ends by itself.
    InputError when the arguments are invalid.
    """
    terms: dict[str, Any] = {}
    if only is not None:
        if only != VRRP and not (isinstance(only, int) and 1 <= only <= 65535):
            raise InputError(f"a cut is of all traffic, of vrrp or of a port, not of '{only}'")
        terms = {"only": only, "said": "only VRRP" if only == VRRP else f"only port {only}"}
    if lease < BLINK:
        if only is not None:
            raise InputError("a cut of less than a second is of all traffic, not of one port")
        terms = {"said": f"for {lease * 1000:g} ms"}
    return build.on_the_wire(
        lab, "cut", groups, direction=direction, lease=lease, terms=terms, shortest=SHORTEST
    )


def shaped(
    lab: Lab,
    shape: str,
    nodes: Sequence[str],
    random: Random,
    *,
    only: str | int | None = None,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A cut of nodes from each other, assigned at random; other nodes hear, and are heard by, all.

    ``majority`` and ``minority``: two halves, the first of them the larger or the smaller one.
    ``bridge``: two halves and a node that hears both. ``ring``: each node hears only its two
    neighbours. InputError for an unknown shape or too few nodes.
    """
    order = list(nodes)
    random.shuffle(order)
    least = {"majority": 2, "minority": 2, "bridge": 3, "ring": 4}.get(shape)
    if least is None:
        raise InputError(f"there is no shape '{shape}' of a cut: majority, minority, bridge, ring")
    if len(order) < least:
        raise InputError(f"a {shape} needs {least} nodes, but there are only {names(list(nodes))}")
    if shape == "ring":
        size = len(order)
        apart = tuple(
            (order[i], order[j])
            for i in range(size)
            for j in range(i + 1, size)
            if j - i not in (1, size - 1)
        )
        whole = cut(lab, [order[:1], order[1:]], only=only, lease=lease)
        return replace(whole, groups=(), pairs=apart, targets=tuple(order))
    if shape == "bridge":
        order = order[1:]
    half = len(order) // 2
    small, large = order[:half], order[half:]
    sides = [small, large] if shape != "majority" else [large, small]
    return cut(lab, sides, only=only, lease=lease)


def rules(fault: Fault) -> tuple[str, ...]:
    """The nftables rules for frames from the nodes that should not be heard."""
    only = fault.terms.get("only")
    if only == VRRP:
        return (f"ip protocol 112 {AIMED} {COUNTED}",)
    if only is not None:
        ports = "meta l4proto { tcp, udp } th"
        return tuple(f"{ports} {end} {only} {AIMED} {COUNTED}" for end in ("dport", "sport"))
    return (f"{AIMED} {COUNTED}",) if blinks(fault) else (f"{AIMED} drop",)


def blinks(fault: Fault) -> bool:
    """Whether it is so short that it undoes itself while it is being made."""
    return fault.lease < BLINK


def _build(request: Request) -> Fault:
    only: str | int | None = request.terms.get("only")
    if isinstance(only, str) and only.startswith(_PORT):
        only = int(only.removeprefix(_PORT))
    # The lease of a very short cut is its duration: it ends by itself.
    short = request.lasts < BLINK and only is None
    lease = request.lasts if short else request.lease
    if request.pairs:
        nodes = sorted({node for pair in request.pairs for node in pair})
        made = shaped(request.lab, "ring", nodes, Random(0), only=only, lease=lease)  # noqa: S311
        return replace(made, pairs=request.pairs)
    direction = cast(Direction, request.terms.get("direction", "both"))
    return cut(request.lab, request.groups, direction=direction, only=only, lease=lease)


def _make(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
    if blinks(fault):
        degrade.blink(engine, fault, rules(fault))
        return {}
    return {"moments": partition.install(engine, fault, rules(fault), time.time())}


def _had_effect(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    lasting, only = kinds.lasting(others), fault.terms.get("only")
    if only is None and not blinks(fault):
        return partition.had_effect(engine, fault, lasting)
    if blinks(fault):
        seen = degrade.blinked(engine, fault)
    else:
        # Wait for VRRP's own frames.
        send = None if only == VRRP else partial(degrade.knock, engine, fault, fault.terms["only"])
        seen = degrade.had_effect(engine, fault, send, everywhere=False)
    degrade.passes(engine, fault, lasting)
    return seen


def _severs(fault: Fault) -> Pairs:
    whole = "only" not in fault.terms and not blinks(fault)
    return partition.parted(fault) if whole else frozenset()


def _problem(terms: Mapping[str, Any]) -> str | None:
    how = [key for key in ("groups", "isolate", "shape") if key in terms]
    if len(how) != 1:
        said = "and ".join(f"'{key}' " for key in how) or "none "
        return f"a cut has one of 'groups', 'isolate' and 'shape', here is {said[:-1]}"
    if "of" in terms and "shape" not in terms:
        return "'of' says whose nodes a 'shape' separates, but there is no 'shape'"
    one_way = terms.get("direction") in ("in", "out")
    if one_way and (terms.get("shape") in ("bridge", "ring") or len(terms.get("groups", ())) > 2):
        return "a one-way cut is between two groups"
    return None


KINDS = (
    FaultKind(
        word="cut",
        summary="Cut nodes off from each other at layer 2: nothing passes, ARP and VRRP included.",
        build=_build,
        had_effect=_had_effect,
        needs=(),
        takes=("groups", "isolate", "shape", "of", "direction", "only"),
        keys=(
            DIRECTION,
            Key(
                "only",
                "Of a cut: only VRRP is cut, or only one TCP and UDP port (``port 4567``).",
                pattern=r"^(vrrp|port [1-9][0-9]{0,4})$",
            ),
        ),
        problem=_problem,
        on_nodes=True,
        felt="silent",
        family="network",
        ends_itself=blinks,
        severs=_severs,
        **{**partition.handlers(rules), "make": _make},
    ),
)
