"""Delays: frames leave a node late, by netem as its interface's root qdisc, if the kernel has it.

An interface has one root qdisc: of the delays in force on a node, the longest counts. So delays can
overlap and be healed separately.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine
from labctl.errors import EngineError, InputError, LabError
from labctl.faults import build, kinds, present, reach
from labctl.faults.kind import FaultKind, Key, Request
from labctl.faults.model import DEFAULT_LEASE, Fault, Station
from labctl.host.parallel import together
from labctl.model.ranges import delay_problem
from labctl.model.spans import OFFSET, SPAN, offset, seconds

if TYPE_CHECKING:
    from labctl.model.lab import Lab

NETEM = "netem"
_UNKNOWN = "qdisc kind is unknown"
_QUEUE = "100000"
"""Frames that netem may hold: more than a lab sends during the longest delay."""

# Tries netem on a separate veth pair, so that nothing in the lab is touched.
_TRY = """
ip link add "lc$$" type veth peer name "ld$$" || exit
tc qdisc add dev "lc$$" root netem delay 1ms; code=$?
ip link del "lc$$"
exit $code
"""


def delayed(
    engine: Engine,
    lab: Lab,
    nodes: Sequence[str],
    *,
    by: float,
    jitter: float = 0.0,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that delays what nodes send, by ``by`` seconds ± up to ``jitter`` at random.

    InputError when a value is out of range, EngineError when the kernel does not support it.
    """
    problem = delay_problem(by, jitter)
    if problem:
        raise InputError(problem)
    check_kernel(engine, lab.name, build.stations_of(lab))
    more = f" ± {jitter * 1000:g} ms" if jitter else ""
    return build.fresh(
        lab,
        "delay",
        "node",
        nodes,
        lease=build.checked_lease(lease),
        terms={"said": f"{by * 1000:g} ms{more}", "by": by, "jitter": jitter},
    )


def check_kernel(engine: Engine, lab: str, stations: Sequence[Station]) -> None:
    """Check that the kernel that the nodes run on has netem. EngineError when it has not."""
    up = present.up(engine, lab)
    holder = next((station.holder for station in stations if station.holder in up), None)
    if holder is None:
        raise LabError(f"no node of lab '{lab}' is running; bring it up with `labctl up`")
    result = engine.exec(holder, ["sh", "-c", _TRY, "try"], timeout=15)
    if _UNKNOWN in result.stderr:
        raise EngineError(
            "this kernel has no netem (sch_netem), which delays packets: leave out the delay, or "
            "use a machine whose kernel has it"
        )
    if result.code != 0:
        raise LabError(f"cannot check for netem in {holder}: {result.stderr.strip()}")


def make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Delay what its nodes send, all at once."""
    together(lambda s: settle(engine, s, [*others, fault]), _concerned(engine, fault))
    return {}


def undo(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Leave only the other faults' delays on its nodes; no-op if that is so."""
    together(lambda s: settle(engine, s, others), _concerned(engine, fault))


def settle(engine: Engine, station: Station, faults: Sequence[Fault]) -> None:
    """Set a node's delay to what these faults require, or remove it."""
    found = [f for f in faults if f.kind == "delay" and station.node in f.targets]
    if found:
        longest = max(found, key=least)
        by, jitter = (f"{longest.terms[key] * 1000:g}ms" for key in ("by", "jitter"))
        queue = [NETEM, "limit", _QUEUE, "delay", by, jitter]
        _tc(engine, station, "replace", "dev", "eth0", "root", *queue)
    elif _delayed(engine, station):
        _tc(engine, station, "del", "dev", "eth0", "root")


def is_there(engine: Engine, station: Station, _: Fault) -> bool:
    """Whether a running node still has its netem: a new namespace has none."""
    return _delayed(engine, station)


def had_effect(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by pings: even the fastest answer of each node is as late as the delay."""
    seen = _round_trips(engine, fault, others)
    if not seen:
        raise LabError(f"{fault.title} had no effect: no other node can test it")
    for node, took in seen.items():
        if took < least(fault):
            raise LabError(f"{fault.title} had no effect: {node} answers after {_said(took)}")
    return {f"{node} answers after": _said(took) for node, took in seen.items()}


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that nothing is left of it: no netem, and faster answers."""
    still = {node for other in others if other.kind == "delay" for node in other.targets}
    free = [station for station in _concerned(engine, fault) if station.node not in still]
    for station, delayed in zip(free, together(lambda s: _delayed(engine, s), free), strict=True):
        if delayed:
            raise LabError(f"{fault.title} is healed, but {station.node} still has its netem")
    seen = {} if still else _round_trips(engine, fault, others)
    for node, took in seen.items():
        if took >= least(fault):
            raise LabError(f"{fault.title} is healed, but {node} answers after {_said(took)}")
    return {f"{node} answers after": _said(took) for node, took in seen.items()}


def least(fault: Fault) -> float:
    """The minimum delay of a frame, in seconds."""
    return float(fault.terms["by"] - fault.terms["jitter"])


def _concerned(engine: Engine, fault: Fault) -> list[Station]:
    return [s for s in reach.running(engine, fault) if s.node in fault.targets]


def _round_trips(engine: Engine, fault: Fault, others: Sequence[Fault]) -> dict[str, float]:
    """Node → seconds of the fastest answer, for those that another node can ping."""
    up, parted = reach.running(engine, fault), kinds.severed(others)
    pairs = []
    for station in _concerned(engine, fault):
        # Prefer an asker without a delay of its own, so that only this node's delay is measured.
        askers = sorted((s for s in up if s != station), key=lambda s: s.node in fault.targets)
        near = (s for s in askers if frozenset((s.node, station.node)) not in parted)
        asker = next(near, None)
        if asker is not None:
            pairs.append((asker, station))
    wait = 2 * (fault.terms["by"] + fault.terms["jitter"]) + 2
    found = together(lambda pair: reach.quickest(engine, *pair, wait), pairs)
    seen: dict[str, float] = {}
    for (asker, station), took in zip(pairs, found, strict=True):
        if took is None:
            raise LabError(f"{fault.title}: {station.node} does not answer {asker.node}")
        seen[station.node] = took
    return seen


def _delayed(engine: Engine, station: Station) -> bool:
    listed = _tc(engine, station, "show", "dev", "eth0", options=("-j",))
    return any(queue.get("kind") == NETEM for queue in json.loads(listed or "[]"))


def _tc(engine: Engine, station: Station, *words: str, options: Sequence[str] = ()) -> str:
    result = engine.exec(station.holder, ["tc", *options, "qdisc", *words], timeout=15)
    if result.code != 0:
        raise LabError(f"tc on {station.node} refused the delay: {result.stderr.strip()}")
    return result.stdout


def _said(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _build(request: Request) -> Fault:
    return delayed(
        request.engine,
        request.lab,
        request.nodes,
        by=request.terms["by"],
        jitter=request.terms.get("jitter", 0.0),
        lease=request.lease,
    )


def _renew(engine: Engine, fault: Fault, others: Sequence[Fault], station: Station) -> None:
    settle(engine, station, [fault, *others])


def sweep(engine: Engine, stations: Sequence[Station], faults: Sequence[Fault]) -> None:
    """Set the delays of running nodes to what these faults require."""
    together(lambda station: settle(engine, station, faults), stations)


def _problem(terms: Mapping[str, Any]) -> str | None:
    return delay_problem(offset(terms["by"]), seconds(terms.get("jitter", "0s")))


KINDS = (
    FaultKind(
        word="delay",
        summary="Delay what nodes send.",
        build=_build,
        make=make,
        undo=undo,
        had_effect=had_effect,
        gone=gone,
        needs=("target", "by"),
        takes=("jitter",),
        keys=(
            Key("by", "Of a delay: by how much frames are late.", pattern=OFFSET, read=offset),
            Key(
                "jitter",
                "Of a delay: it varies at random by up to this.",
                pattern=SPAN,
                read=seconds,
            ),
        ),
        problem=_problem,
        family="network",
        renew=_renew,
        is_present=is_there,
        sweep=sweep,
        check_machine=check_kernel,
    ),
)
