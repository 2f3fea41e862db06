"""Frames that leave a node late: netem at the root of its interface, where the kernel has it.

An interface has one root: of the delays in force on a node the longest counts. So delays overlap,
and each is healed by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from labctl.engine.port import Engine
from labctl.errors import EngineError, LabError
from labctl.faults import present, reach
from labctl.faults.model import Fault, Station
from labctl.faults.partition import severed
from labctl.host.parallel import together

NETEM = "netem"
_UNKNOWN = "qdisc kind is unknown"
_QUEUE = "100000"
"""Frames that may be on their way at once: more than a lab sends in the longest delay."""

# On a pair of its own, so that nothing of the lab's is touched.
_TRY = """
ip link add "lc$$" type veth peer name "ld$$" || exit
tc qdisc add dev "lc$$" root netem delay 1ms; code=$?
ip link del "lc$$"
exit $code
"""


def ask_kernel(engine: Engine, lab: str, stations: Sequence[Station]) -> None:
    """Ask the kernel that the nodes run on for netem. EngineError when it has none."""
    up = present.up(engine, lab)
    holder = next((station.holder for station in stations if station.holder in up), None)
    if holder is None:
        raise LabError(f"no node of lab '{lab}' runs; bring it up with `labctl up`")
    result = engine.exec(holder, ["sh", "-c", _TRY, "try"], timeout=15)
    if _UNKNOWN in result.stderr:
        raise EngineError(
            "this kernel has no netem (sch_netem), by which packets are delayed: leave the delay "
            "out, or use a machine whose kernel has it"
        )
    if result.code != 0:
        raise LabError(f"{holder} cannot be asked for netem: {result.stderr.strip()}")


def make(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Delay what its nodes send, all at once."""
    together(lambda s: settle(engine, s, [*others, fault]), _concerned(engine, fault))
    return {}


def undo(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Leave its nodes the delays that are others'; done already is well."""
    together(lambda s: settle(engine, s, others), _concerned(engine, fault))


def settle(engine: Engine, station: Station, faults: Sequence[Fault]) -> None:
    """Delay what a node sends as these faults say, or no more."""
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


def bites(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by pings: the quickest answer of each node is as late as the delay makes it."""
    seen = _round_trips(engine, fault, others)
    if not seen:
        raise LabError(f"{fault.title} does not bite: nobody is there to notice it")
    for node, took in seen.items():
        if took < least(fault):
            raise LabError(f"{fault.title} does not bite: {node} answers after {_said(took)}")
    return {f"{node} answers after": _said(took) for node, took in seen.items()}


def gone(engine: Engine, fault: Fault, others: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that nothing of it is left: no netem, and answers that are quicker again."""
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
    """Seconds that a frame is late at least."""
    return float(fault.terms["by"] - fault.terms["jitter"])


def _concerned(engine: Engine, fault: Fault) -> list[Station]:
    return [s for s in reach.running(engine, fault) if s.node in fault.targets]


def _round_trips(engine: Engine, fault: Fault, others: Sequence[Fault]) -> dict[str, float]:
    """Node → seconds of the quickest answer, for those that somebody can ask."""
    up, parted = reach.running(engine, fault), severed(others)
    pairs = []
    for station in _concerned(engine, fault):
        # Rather one that is not delayed itself: then it is this node's delay that is seen.
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
