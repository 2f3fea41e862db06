"""What ends, freezes or restarts processes, of instances or of whole nodes."""

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
class _Way:
    """How processes are halted, and whether there is somebody to do it to."""

    halt: outage.Halt
    powerless: bool = False
    """Whether a node falls silent first."""
    alive: tuple[str, ...] = ("running",)
    """The states in which a container can be halted so."""
    holders: bool = True
    """Whether a node's holder is halted, too."""


_WAYS: Mapping[str, _Way] = {
    "kill": _Way(_kill, powerless=True, alive=("running", "paused")),
    "term": _Way(_term, holders=False),
    "stop": _Way(_stop),
    "pause": _Way(_pause, holders=False),
    "restart": _Way(_stop),
    "reboot": _Way(_kill, powerless=True, alive=("running", "paused")),
    "crash-loop": _Way(_kill, powerless=True, holders=False),
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

    LabError when a target does not run, for then the fault would do nothing.
    """
    if kind == "reboot" and not all(target.service is None for target in targets):
        build.scope_of(kind, targets)
        raise InputError("only a whole node can be rebooted: name a node, or restart the instance")
    way = _WAYS[kind]
    return build.halt(engine, lab, kind, targets, lease=lease, alive=way.alive, holders=way.holders)


def turn(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Fault:
    """The next turn of a crash loop: what runs is killed, what does not is started.

    Kills are counted.
    """
    alive = tuple(present.alive(engine, fault))
    if not alive:
        outage.undo(engine, fault, kinds.lasting(others))
        return fault
    _halt(engine, replace(fault, members=alive))
    return replace(fault, terms={**fault.terms, "kills": fault.terms.get("kills", 2) + len(alive)})


def _asked(word: str, request: Request) -> Fault:
    return halt(request.engine, request.lab, word, request.targets, lease=request.lease)


def _asked_of_nodes(word: str, request: Request) -> Fault:
    nodes = [Target(node) for node in request.nodes]
    return halt(request.engine, request.lab, word, nodes, lease=request.lease)


def _halt(engine: Engine, fault: Fault) -> dict[str, float]:
    way = _WAYS[fault.kind]
    return outage.make(engine, fault, way.halt, powerless=way.powerless)


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
    """End the members, see that they have ended, and start them; what was seen meanwhile.

    LabError when they did not end: then nothing was restarted.
    """
    _halt(engine, fault)
    down = outage.had_effect(engine, fault, kinds.lasting(others))
    _start(engine, fault, others)
    return {f"{name} was": status for name, status in down.items()}


def _crash(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Seen:
    """Kill the members, start them once, and kill them again: the first turn of the loop.

    The guardian goes on with it, for it outlives labctl.
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
    word: str, says: str, felt: Felt, asked: Callable[[str, Request], Fault] = _asked, **more: Any
) -> FaultKind:
    usual = FaultKind(
        word=word,
        says=says,
        build=partial(asked, word),
        make=_make,
        undo=_start,
        had_effect=outage.had_effect,
        gone=outage.gone,
        halts=True,
        ends=True,
        felt=felt,
    )
    return replace(usual, **more)


_AGAIN: Mapping[str, Any] = {
    "make": _restart,
    "had_effect": outage.gone,
    "lasts": False,
    "halts": False,
}

KINDS = (
    _ends("kill", "Kill instances with SIGKILL, or take the power from whole nodes.", "killed"),
    _ends(
        "power-off",
        "Take the power from whole nodes.",
        "silent",
        on_nodes=True,
        family="node",
        # In the journal and in titles it is what it does: the nodes are killed.
        build=partial(_asked_of_nodes, "kill"),
    ),
    _ends("term", "Ask processes to end, with SIGTERM.", "left", had_effect=_terminated),
    _ends("stop", "Stop instances or whole nodes in good order.", "left"),
    _ends(
        "pause",
        "Freeze instances or whole nodes: alive for the kernel, dead for everybody else.",
        "silent",
        undo=_thaw,
        had_effect=_frozen,
        ends=False,
    ),
    _ends("restart", "Stop instances or whole nodes and start them again.", "left", **_AGAIN),
    _ends(
        "reboot",
        "Take the power from whole nodes and start them again.",
        "silent",
        asked=_asked_of_nodes,
        **_AGAIN,
        on_nodes=True,
        family="node",
    ),
    _ends(
        "crash-loop",
        "Kill instances again whenever they have been started.",
        "killed",
        make=_crash,
        gone=_crashed,
        needs=("target", "for"),
        turn=turn,
    ),
)
