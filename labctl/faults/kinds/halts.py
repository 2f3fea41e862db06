"""Faults that end, freeze or restart processes, of instances or of whole nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.faults import build, kinds, outage, present
from labctl.faults.kind import FaultKind, Felt, Request, Seen
from labctl.faults.model import DEFAULT_LEASE, Fault, Member
from labctl.faults.targets import Target

if TYPE_CHECKING:
    from labctl.model.lab import Lab


def _kill(engine: Engine, member: Member) -> None:
    engine.kill(member.container)


def _term(engine: Engine, member: Member) -> None:
    engine.kill(member.container, "SIGTERM")


def _stop(engine: Engine, member: Member) -> None:
    engine.stop(member.container, member.grace)


def _pause(engine: Engine, member: Member) -> None:
    engine.pause(member.container)


@dataclass(frozen=True)
class _Method:
    """How processes are halted, and which containers it applies to."""

    halt: outage.Halt
    powerless: bool = False
    """Whether a node falls silent first."""
    alive: tuple[str, ...] = ("running",)
    """The states in which a container can be halted this way."""
    holders: bool = True
    """Whether a node's holder is halted as well."""


_METHODS: Mapping[str, _Method] = {
    "kill": _Method(_kill, powerless=True, alive=("running", "paused")),
    "term": _Method(_term, holders=False),
    "stop": _Method(_stop),
    "pause": _Method(_pause, holders=False),
    "restart": _Method(_stop),
    "reboot": _Method(_kill, powerless=True, alive=("running", "paused")),
    "crash-loop": _Method(_kill, powerless=True, holders=False),
}


def halt(
    engine: Engine,
    lab: Lab,
    kind: str,
    targets: Sequence[Target],
    *,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that ends, freezes or restarts instances, or whole nodes; not both at once.

    LabError when a target does not run, because the fault would do nothing.
    """
    if kind == "reboot" and not all(target.service is None for target in targets):
        build.scope_of(kind, targets)
        raise InputError("only a whole node can be rebooted: name a node, or restart the instance")
    how = _METHODS[kind]
    return build.halt(engine, lab, kind, targets, lease=lease, alive=how.alive, holders=how.holders)


def next_turn(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Fault:
    """The next turn of a crash loop: kill what runs; if nothing does, start everything.

    Returns the fault with the number of kills updated.
    """
    alive = tuple(present.alive(engine, fault))
    if not alive:
        outage.undo(engine, fault, kinds.lasting(others))
        return fault
    _halt(engine, replace(fault, members=alive))
    return replace(fault, terms={**fault.terms, "kills": fault.terms.get("kills", 2) + len(alive)})


def _ask(word: str, request: Request) -> Fault:
    return halt(request.engine, request.lab, word, request.targets, lease=request.lease)


def _ask_nodes(word: str, request: Request) -> Fault:
    nodes = [Target(node) for node in request.nodes]
    return halt(request.engine, request.lab, word, nodes, lease=request.lease)


def _halt(engine: Engine, fault: Fault) -> dict[str, float]:
    how = _METHODS[fault.kind]
    return outage.make(engine, fault, how.halt, powerless=how.powerless)


def _make(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Seen:
    return {"moments": _halt(engine, fault)}


def _start(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    outage.undo(engine, fault, kinds.lasting(others))


def _thaw(engine: Engine, fault: Fault, _: Sequence[Fault]) -> None:
    outage.thaw(engine, fault)


def _terminated(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    return outage.had_effect(engine, fault, others, wait=True)


def _frozen(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    return outage.had_effect(engine, fault, others, states=outage.FROZEN)


def _restart(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    """End the members, prove that they have ended, and start them; returns what was measured.

    LabError when they did not end: then nothing was restarted.
    """
    _halt(engine, fault)
    down = outage.had_effect(engine, fault, kinds.lasting(others))
    _start(engine, fault, others)
    return {f"{name} was": status for name, status in down.items()}


def _crash(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    """Kill the members, start them once, and kill them again: the first turn of the loop.

    The guardian continues it, because it outlives labctl.
    """
    cuts = kinds.lasting(others)
    _halt(engine, fault)
    seen = outage.had_effect(engine, fault, cuts)
    outage.undo(engine, fault, cuts)
    up = outage.gone(engine, fault, cuts)
    _halt(engine, fault)
    return {"killed": [*seen], "started": [*up], "killed again": [*seen]}


def _crashed(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    return {**outage.gone(engine, fault, others), "kills": fault.terms.get("kills", 2)}


def _ends(
    word: str, summary: str, felt: Felt, ask: Callable[[str, Request], Fault] = _ask, **more: Any
) -> FaultKind:
    usual = FaultKind(
        word=word,
        summary=summary,
        build=partial(ask, word),
        make=_make,
        undo=_start,
        had_effect=outage.had_effect,
        gone=outage.gone,
        halts=True,
        ends=True,
        felt=felt,
    )
    return replace(usual, **more)


_RESTARTS: Mapping[str, Any] = {
    "make": _restart,
    "had_effect": outage.gone,
    "lasts": False,
    "halts": False,
}

KINDS = (
    _ends("kill", "Kill instances with SIGKILL, or cut the power of whole nodes.", "killed"),
    _ends(
        "power-off",
        "Cut the power of whole nodes.",
        "silent",
        on_nodes=True,
        family="node",
        # The journal and titles show what it does: the nodes are killed.
        build=partial(_ask_nodes, "kill"),
    ),
    _ends("term", "Ask processes to end, with SIGTERM.", "left", had_effect=_terminated),
    _ends("stop", "Stop instances or whole nodes gracefully.", "left"),
    _ends(
        "pause",
        "Freeze instances or whole nodes: the kernel still accepts connections, nothing answers.",
        "silent",
        undo=_thaw,
        had_effect=_frozen,
        ends=False,
    ),
    _ends("restart", "Stop instances or whole nodes and start them again.", "left", **_RESTARTS),
    _ends(
        "reboot",
        "Cut the power of whole nodes and start them again.",
        "silent",
        ask=_ask_nodes,
        **_RESTARTS,
        on_nodes=True,
        family="node",
    ),
    _ends(
        "crash-loop",
        "Kill instances again whenever they have started.",
        "killed",
        make=_crash,
        gone=_crashed,
        needs=("target", "for"),
        next_turn=next_turn,
    ),
)
