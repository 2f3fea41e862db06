"""How long a fault takes until it bites, how far apart its targets are hit, how long it heals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.benchmark.gaps import SECONDS, await_healthy
from labctl.engine.port import Engine
from labctl.faults import Fault, Target, cut, halt, heal, heal_all, inject, lossy
from labctl.model.lab import Instance, Lab, Node
from labctl.planning.desired import Desired

_PORT, _PERCENT = 3306, 20.0
_MOVER = "keepalived"


@dataclass(frozen=True)
class Case:
    """A fault to be measured: how it is made, and how long it lasts in seconds."""

    make: Callable[[Engine], Fault]
    lasts: float = 0.0


@dataclass(frozen=True)
class Trial:
    """What one fault took, in seconds.

    ``made``: making it, on all targets. ``bites``: from asking for it until it was proved.
    ``skew``: from the first target that was hit to the last, None where there is but one.
    ``healed``: undoing it, and the proof that nothing of it is left.
    """

    made: float
    bites: float
    skew: float | None
    healed: float


def cases(lab: Lab) -> dict[str, Case]:
    """What is measured, by its name: on one instance, on its like on all nodes, on a node."""
    one = plain(lab)
    node = next(each for each in reversed(lab.nodes) if each != lab.client)
    peers = [each for each in lab.instances if each.service == one.service]
    found = {f"{kind} an instance": _halts(lab, kind, one) for kind in _HALTS}
    if len(peers) > 1:
        found[f"kill {len(peers)} instances"] = _halts(lab, "kill", *peers)
    return found | _on_node(lab, node)


_HALTS = ("kill", "pause", "stop")


def _halts(lab: Lab, kind: str, *instances: Instance) -> Case:
    targets = [Target(each.node.name, each.service.name) for each in instances]
    return Case(lambda engine: halt(engine, lab, kind, targets))


def _on_node(lab: Lab, node: Node) -> dict[str, Case]:
    name, groups = Target(node.name), [[node.name]]
    return {
        # As long as for the gaps: its peers must have noticed before it comes back.
        "power-off of a node": Case(
            lambda engine: halt(engine, lab, "kill", [name]), SECONDS["power"]
        ),
        "cut of a node": Case(lambda _: cut(lab, groups)),
        f"cut of port {_PORT}": Case(lambda _: cut(lab, groups, only=_PORT)),
        f"loss of {_PERCENT:g} %": Case(lambda _: lossy(lab, groups, percent=_PERCENT)),
    }


def plain(lab: Lab) -> Instance:
    """The instance that is ready soonest of those that are in no cluster and hold no address."""
    return min(
        (
            each
            for each in lab.instances
            if each.node != lab.client
            and each.service.doc.cluster is None
            and each.service.name != _MOVER
        ),
        key=lambda each: each.service.doc.cost,
    )


def trial(engine: Engine, desired: Desired, case: Case) -> Trial:
    """Make a fault and heal it; the lab must be healthy, and is so again at the end.

    LabError when it does not bite, or something of it is left.
    """
    try:
        asked = time.monotonic()
        fault = case.make(engine)
        evidence = inject(engine, fault)
        bites = time.monotonic() - asked
        threading.Event().wait(case.lasts)
        asked = time.monotonic()
        heal(engine, fault)
        healed = time.monotonic() - asked
    finally:
        heal_all(engine, desired.lab).check()
    await_healthy(engine, desired)
    return Trial(evidence.took, bites, skew(evidence.seen.get("moments", {})), healed)


def skew(moments: Mapping[str, float]) -> float | None:
    """Seconds from the first target to the last; None where there is but one."""
    return max(moments.values()) - min(moments.values()) if len(moments) > 1 else None
