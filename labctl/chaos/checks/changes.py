"""Changes of the lab: each comes to its end, and on the way every cluster keeps its majority."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labctl.chaos.checks.finding import kept, unknown
from labctl.chaos.checks.observed import Observation, cluster, spells
from labctl.chaos.checks.windows import Spell
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("changed", "majority")

Change = Mapping[str, Any]
"""A row of changes.json."""

_KINDS = ("galera", "rabbitmq", "redis", "mongodb")
_CLUSTERED = ("mariadb", "mongodb", "rabbitmq", "redis", "sentinel")
_LEAST = 3
"""Members of a cluster that can do without one of them."""
_NEW = "new"
"""What a window is of an instance that was not there before: it takes nothing from a cluster."""


def check(
    changes: Sequence[Change],
    observations: Sequence[Observation],
    faults: Sequence[Spell],
    sizes: Mapping[str, float],
) -> list[Finding]:
    """What became of the changes that were begun; nothing if there were none.

    ``sizes`` are the numbers of members that the lab began with, by service. A change that meets a
    fault proves nothing if it fails.
    """
    begun = [change for change in changes if change["began"] is not None]
    if not begun:
        return []
    return [_changed(begun, faults), _majority(begun, observations, faults, sizes)]


def spell(change: Change, end: float) -> Spell:
    """From when to when a change went on that was begun; ``end`` is that of the run."""
    return float(change["began"]), float(end if change["ended"] is None else change["ended"])


def down(change: Change) -> list[tuple[str, Spell]]:
    """The instances that a change took down (``node/service``), and from when to when."""
    last = change["ended"]
    return [
        (window["name"], (window["began"], last if window["ended"] is None else window["ended"]))
        for window in change["windows"]
        if "/" in window["name"] and window["what"] != _NEW and (window["ended"] or last)
    ]


def _changed(begun: Sequence[Change], faults: Sequence[Spell]) -> Finding:
    windows = sum(len(change["windows"]) for change in begun)
    counts = {"changes": len(begun), "windows": windows}
    failed = [change for change in begun if change["error"] and not change["stopped"]]
    if failed:
        return _failed(failed, faults, counts)
    if untested := next(filter(None, map(_unproved, begun)), ""):
        return unknown("changed", untested, **counts)
    other = [change for change in begun if change["left"]]
    if other:
        said = [Evidence(f"`up` would still: {s}", c["ended"]) for c in other for s in c["left"]]
        first = ", ".join(other[0]["left"][:3])
        why = f"after {other[0]['said']} the lab is not what it should be: `up` would {first}"
        return Finding("changed", True, why, "always", counts, said)
    what = ", ".join(f"{c['said']} in {c['ended'] - c['began']:.1f} s" for c in begun)
    return kept("changed", f"{what}; then the lab was what it should be", **counts)


def _failed(
    failed: Sequence[Change], faults: Sequence[Spell], counts: Mapping[str, float]
) -> Finding:
    said = [Evidence(str(change["error"]), change["ended"]) for change in failed]
    first = failed[0]
    why = f"{first['said']} did not come to its end: {_line(first['error'])}"
    began, ended = spell(first, first["began"])
    if any(since < ended and began < until for since, until in faults):
        return Finding("changed", None, f"{why}; a fault met it", "nothing", counts, said)
    return Finding("changed", True, why, "always", counts, said)


def _unproved(change: Change) -> str:
    """Why a change shows nothing; empty if it shows something."""
    said = str(change["said"])
    if change["ended"] is None or change["stopped"]:
        return f"{said} was stopped before its end"
    # What was added and removed again needs nothing more in the end.
    if not change["steps"] and not change["back"]:
        return f"{said} changed nothing"
    return f"nobody asked the lab after {said}" if change["left"] is None else ""


def _line(error: Any) -> str:
    return str(error).splitlines()[0]


def _majority(
    begun: Sequence[Change],
    observations: Sequence[Observation],
    faults: Sequence[Spell],
    sizes: Mapping[str, float],
) -> Finding:
    """No cluster has more members down at once than it can do without, by plan or as observed."""
    said = [piece for change in begun for piece in _too_many(change, sizes)]
    for change in begun:
        began, ended = spell(change, change["began"])
        seen = [o for o in observations if began <= o["t"] <= ended and not o.get("error")]
        for kind in _KINDS:
            lost = spells(seen, lambda o, kind=kind: _minority(o, kind), least=2)  # type: ignore[misc]
            said += [
                Evidence(f"{kind} had no majority for {end - since:.1f} s", since)
                for since, end in lost
                if not any(a < end and since < b for a, b in faults)
            ]
    if said:
        why = f"{said[0].said} during a change"
        return Finding("majority", True, why, "always", {"times": len(said)}, said)
    return kept("majority", "every cluster kept its majority while the lab was changed")


def _too_many(change: Change, sizes: Mapping[str, float]) -> Iterator[Evidence]:
    """Moments at which a plan has taken down half of a cluster's members, or more."""
    now = change["settings"].get("timers", {})
    for service in _CLUSTERED:
        members = min(sizes.get(service, 0), now.get(f"members.{service}", 0))
        own = [(name, at) for name, at in down(change) if name.endswith(f"/{service}")]
        for _, (since, _end) in own if members >= _LEAST else ():
            together = sorted({name for name, (a, b) in own if a <= since < b})
            if 2 * len(together) >= members:
                said = f"{' and '.join(together)} were down at once, of {members:.0f} members,"
                yield Evidence(said, since)
                break


def _minority(observation: Observation, kind: str) -> bool:
    """Whether too few members of a cluster take part; not if it was not observed."""
    state = cluster(observation, kind)
    if int(state.get("expected") or 0) < _LEAST:
        return False
    size = int(state.get("size") or 0)
    if kind == "galera":
        # A member that gives another its data is no longer synced, and still decides.
        size = sum(str(said).startswith("Primary, ") for said in dict(state["members"]).values())
    return 2 * size <= int(state["expected"])
