"""What is missing from a run's record: then the run is UNKNOWN, before anything else is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from labctl.chaos.judge.record import Record
from labctl.chaos.model.spans import seconds

BLIND = 30.0
"""Seconds without an observation after which nobody knows what happened in them. One takes several
while members are frozen, as each question waits until it is given up."""
_EARLY = 1.5
"""Seconds by which healing a fault, asked for at its time, may seem to come too early."""
_TAIL = 5.0
"""Seconds by which a history may end before its tail is over."""


def missing(run: Record) -> list[str]:
    """What shows that the record is not whole, or not of what was planned."""
    return [*run.damage, *_lines(run), *_short(run), *_ended(run), *_unread(run), *_blind(run)]


def _lines(run: Record) -> list[str]:
    wrote = run.run.get("lines") or {}
    return [
        f"{name} has {there} of the {wrote[name]} lines that the run recorded"
        for name, there in run.lines.items()
        if there != wrote.get(name, there)
    ]


def _short(run: Record) -> list[str]:
    if run.run.get("cut_short"):
        return [f"the run was cut short: {run.run['cut_short']}"]
    if any(event.type == "full" for event in run.events):
        return ["the run was cut short: the client reached the limit of a history and stopped"]
    if not run.finals:
        return ["the run was cut short: the final state of the stores was not read"]
    if not run.run.get("ended"):
        return ["the run was cut short: labctl was killed before its end"]
    return [*_tail(run)]


def _tail(run: Record) -> Iterator[str]:
    """A history that ends before the run let its clients stop."""
    took = ((run.run.get("steady") or {}).get("after") or {}).get("took")
    healed = [f["healed"] for f in run.timeline if f.get("healed") is not None]
    if not run.events or not isinstance(took, (int, float)) or not healed:
        return
    tail = seconds(run.scenario.get("tail") or "10s")
    limit = seconds(run.scenario.get("limit") or "5m")
    due = min(max(healed) + took + tail, limit)
    last = run.events[-1].t
    if last < due - _TAIL - _longest_interval(run):
        yield f"the history ends at {last:.1f} s, and the clients went on to {due:.1f} s"


def _longest_interval(run: Record) -> float:
    """Seconds: the longest that the slowest workload may ask nothing."""
    rates = [float(w.get("rate") or 0.5) for w in run.scenario.get("workloads", ())]
    return 2 / min(rates, default=1.0)


def _ended(run: Record) -> list[str]:
    """Faults that ended earlier than the run meant: how long they lasted, nobody knows."""
    said = []
    for fault in run.timeline:
        name = f"fault {fault.get('index')} ({fault.get('said')}) ended earlier than planned"
        if fault.get("healed_by"):
            said.append(f"{name}: {fault['healed_by']} healed it")
        elif fault.get("overtaken"):
            why = "; ".join(f"{target}: {what}" for target, what in fault["overtaken"].items())
            said.append(f"{name}: {why}")
        elif (lasted := _lasted(fault)) is not None:
            said.append(f"{name}: after {lasted:.1f} s of {fault['lasts']:g} s")
    return said


def _lasted(fault: Mapping[str, Any]) -> float | None:
    """How long a fault lasted that was healed before its time; None if it was not.

    One that is over as soon as it is made has no time.
    """
    planned, healed, asked = (fault.get(key) for key in ("lasts", "healed", "asked"))
    if planned is None or healed is None or asked is None or fault["traits"]["over"]:
        return None
    # A blink undoes itself, and a fault whose making took longer than it should last is healed
    # at once.
    if planned < 1.0 or fault.get("bites") is None or fault["bites"] > asked + planned:
        return None
    lasted = float(healed) - float(asked)
    return lasted if lasted < float(planned) - _EARLY else None


def unread(run: Record, name: str) -> str:
    """Why a workload's final state could not be read; empty when it could."""
    finals = (run.finals or {}).get(name)
    return str(finals["error"]) if isinstance(finals, dict) and set(finals) == {"error"} else ""


def _unread(run: Record) -> Iterator[str]:
    """Workloads and members whose end nobody read."""
    for workload in run.scenario.get("workloads", ()):
        name = str(workload.get("name"))
        if run.finals and name not in run.finals:
            yield f"the final state of {name} was not read"
        finals = (run.finals or {}).get(name)
        if why := unread(run, name):
            yield f"the final state of {name} could not be read: {why}"
        elif isinstance(finals, Mapping):
            for place, values in finals.items():
                if values is None or (isinstance(values, Mapping) and set(values) == {"error"}):
                    why = "" if values is None else f": {values['error']}"
                    yield f"{place} of {name} could not be read in the end{why}"


def _blind(run: Record) -> Iterator[str]:
    """Times in which the observer saw nothing."""
    seen = [o["t"] for o in run.observations if not o.get("error")]
    if run.observations and not seen:
        yield f"nothing was observed: {run.observations[-1].get('error')}"
    if not seen:
        return
    ends = [event.t for event in run.events[:1]] + seen + [event.t for event in run.events[-1:]]
    for before, after in pairwise(ends):
        if after - before > BLIND:
            yield f"nothing was observed from {before:.1f} to {after:.1f} s"
