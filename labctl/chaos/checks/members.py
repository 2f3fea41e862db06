"""Clusters as labctl observed them: no two leaders for long, and agreement at the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from labctl.chaos.checks.finding import unknown
from labctl.chaos.checks.observed import Observation, cluster, outside, spells
from labctl.chaos.checks.windows import GRACE, Spell
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("leaderless", "member away", "members agree", "two primaries")

State = Mapping[str, Any]

_BLINK = 2.5
"""Seconds: members are asked one after another, so one observation may mix two moments."""
_STEPS_DOWN = 15.0
"""Seconds for which a MongoDB primary without a majority still calls itself primary (10, its
election timeout), plus the interval between observations."""

_AWAY = 5.0
"""Seconds for which a member may seem away: a busy machine answers late."""

_CATCHES_UP = 5.0
"""Seconds within which a member must apply what another has committed."""


Touching = Callable[..., Sequence[Spell]]
"""Services → the times in which faults that act on any of them explain what was observed."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "galera": ("mariadb",),
    "rabbitmq": ("rabbitmq",),
    "redis": ("redis", "sentinel"),
    "mongodb": ("mongodb",),
}
"""Kind of cluster → the services that it is made of."""


def check(
    observations: Sequence[Observation],
    faults: Sequence[Spell],
    used: Collection[str] = (),
    touching: Touching | None = None,
) -> dict[str, list[Finding]]:
    """Kind of cluster → findings, for the kinds observed or ``used`` by workloads.

    Only faults that act on a cluster (``touching``; by default all of ``faults``) explain anything
    about it.
    """
    found: dict[str, list[Finding]] = {}
    healed = max((end for _, end in faults), default=0.0)
    for kind, of_kind in _KINDS.items():
        seen = [o for o in observations if cluster(o, kind)]
        own = faults if touching is None else touching(*_NEEDS[kind])
        if seen and seen[-1]["t"] >= healed:
            found[kind] = [*of_kind(seen, own), *_away(kind, seen, own), _agreement(kind, seen)]
        elif seen:
            why = f"{kind} was not observed after the last fault was healed, at {healed:.1f} s"
            found[kind] = [*of_kind(seen, own), unknown("members agree", why)]
        elif kind in used:
            found[kind] = [unknown("members agree", f"{kind} was not observed")]
    return found


def _away(kind: str, seen: Sequence[Observation], faults: Sequence[Spell]) -> list[Finding]:
    """No member leaves a cluster while nothing that it is made of is broken."""
    sizes = [o for o in seen if cluster(o, kind).get("expected") is not None]
    if not sizes:
        return []
    small = spells(sizes, lambda o: _is_small(cluster(o, kind)), least=2)
    wrong = [spell for spell in small if outside(spell, faults) > _AWAY]
    if not wrong:
        return [Finding("member away", False, f"no member of {kind} left unprompted", "always")]
    begin, end = wrong[0]
    why = f"members of {kind} were away from {begin:.1f} to {end:.1f} s, although nothing was"
    why += " broken that explains it"
    said = [Evidence(f"members were away for {e - b:.1f} s", b) for b, e in wrong]
    return [Finding("member away", True, why, "always", {"times": len(wrong)}, said)]


def _is_small(state: State) -> bool:
    size, expected = state.get("size"), state.get("expected")
    return isinstance(size, int) and isinstance(expected, int) and size < expected


def _agreement(kind: str, seen: Sequence[Observation]) -> Finding:
    """At the end all members take part, name the same leader, and have the same data."""
    t, last = seen[-1]["t"], cluster(seen[-1], kind)
    wrong = [*(problem(last) for problem in _ENDS[kind]), _behind(seen, kind)]
    said = [text for text in wrong if text]
    size, expected = last.get("size"), last.get("expected")
    if expected is not None and size != expected:
        said.insert(0, f"{size} of {expected} members take part")
    counts = {"size": float(size or 0), "expected": float(expected or 0)}
    members = "; ".join(f"{name}: {state}" for name, state in dict(last.get("members", {})).items())
    if not said:
        why = f"all {expected} members of {kind} agree at the end"
        return Finding("members agree", False, why, "always", counts)
    why = f"{kind} at the end: {'; '.join(said)}"
    return Finding("members agree", True, why, "always", counts, [Evidence(members, t)])


def _two(kind: str, bad: Callable[[State], bool], what: str, longest: float) -> Any:
    """A checker of a state that must not last longer than ``longest`` seconds."""

    def of_kind(observations: Sequence[Observation], _: Sequence[Spell]) -> list[Finding]:
        seen = spells(observations, lambda o: bad(cluster(o, kind)))
        lasting = spells(observations, lambda o: bad(cluster(o, kind)), least=2)
        wrong = [spell for spell in lasting if spell[1] - spell[0] > longest]
        total = sum(end - begin for begin, end in seen)
        counts = {"seconds": round(total, 2), "times": len(seen)}
        said = [Evidence(f"{what} for {end - begin:.1f} s", begin) for begin, end in seen]
        why = f"{what} for {total:.1f} s in all" if seen else f"never {what}"
        return [Finding("two primaries", bool(wrong), why, "always", counts, said)]

    return of_kind


def _components(state: State) -> bool:
    """Whether there are several primary components: views that share no member or no history."""
    return int(state.get("components") or 0) > 1


def _leaderless(observations: Sequence[Observation], faults: Sequence[Spell]) -> list[Finding]:
    """No queue may be without a leader, except during faults and for a minute afterwards."""
    seen = [o for o in observations if "leaderless" in cluster(o, "rabbitmq")]
    if not seen:
        return []
    late = [(begin, end + GRACE) for begin, end in faults]
    without = spells(seen, lambda o: bool(cluster(o, "rabbitmq")["leaderless"]))
    lasting = spells(seen, lambda o: bool(cluster(o, "rabbitmq")["leaderless"]), least=2)
    wrong = [spell for spell in lasting if outside(spell, late) > _BLINK]
    said = [Evidence(f"a queue had no leader for {e - b:.1f} s", b) for b, e in without]
    total = sum(end - begin for begin, end in without)
    why = f"queues were without a leader for {total:.1f} s"
    why += ", although nothing was broken" if wrong else "; never long after a fault"
    return [Finding("leaderless", bool(wrong), why, "always", {"seconds": round(total, 2)}, said)]


def _behind(seen: Sequence[Observation], kind: str) -> str:
    """Members that at the end lack what another had committed a while before.

    Clients write all the time and members are asked in turn, so their latest states differ.
    """
    before = [o for o in seen if o["t"] <= seen[-1]["t"] - _CATCHES_UP]
    had = dict(cluster(before[-1], kind).get("committed") or {}) if before else {}
    most = max(had.values(), default=0)
    now = dict(cluster(seen[-1], kind).get("committed") or {})
    late = [f"{name} has committed {value}" for name, value in now.items() if value < most]
    known = f"another had {most} already {_CATCHES_UP:g} s earlier"
    return f"{', '.join(late)}, {known}" if late else ""


def _differing(what: str, key: str) -> Callable[[State], str]:
    def problem(state: State) -> str:
        values = state.get(key)
        if not isinstance(values, Mapping) or len(set(map(str, values.values()))) < 2:
            return ""
        return f"{what} differs: " + ", ".join(f"{n} {value}" for n, value in values.items())

    return problem


def _missing(what: str, key: str) -> Callable[[State], str]:
    return lambda state: "" if state.get(key) or key not in state else f"there is no {what}"


def _several(what: str, key: str) -> Callable[[State], str]:
    def problem(state: State) -> str:
        names = state.get(key)
        many = isinstance(names, Sequence) and not isinstance(names, str) and len(names) > 1
        return f"{' and '.join(map(str, names or ()))} are {what}" if many else ""

    return problem


def _stranded(state: State) -> str:
    return "its nodes see different clusters" if state.get("partitioned") else ""


def _named(state: State) -> str:
    """Sentinels that name different masters."""
    named = {m for m in dict(state.get("members", {})).values() if str(m).startswith("names ")}
    return f"sentinels differ: {', '.join(sorted(named))}" if len(named) > 1 else ""


def _leaderless_end(state: State) -> str:
    queues = state.get("leaderless")
    return f"{queues} without a leader" if queues else ""


_KINDS: Mapping[str, Callable[[Sequence[Observation], Sequence[Spell]], list[Finding]]] = {
    "galera": _two("galera", _components, "two primary components", _BLINK),
    "rabbitmq": _leaderless,
    "redis": lambda *_: [],
    "mongodb": _two(
        "mongodb", lambda s: len(s.get("primaries") or ()) > 1, "two primaries", _STEPS_DOWN
    ),
}

_ENDS: Mapping[str, Sequence[Callable[[State], str]]] = {
    "galera": (_differing("the state UUID", "uuids"),),
    "rabbitmq": (_stranded, _leaderless_end),
    "redis": (_missing("master", "master"), _several("masters", "masters"), _named),
    "mongodb": (_missing("primary", "primary"), _several("primaries", "primaries")),
}
