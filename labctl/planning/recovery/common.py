"""What every cluster has in common, whatever its store."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.planning.recovery.model import (
    Cluster,
    Diagnosis,
    Member,
    Situation,
    Step,
    listed,
    named,
)

SITUATIONS: Mapping[str, Situation] = {
    "new": Situation(
        "No member has ever had data.",
        "Founds it.",
        "`labctl up`",
    ),
    "emptied": Situation(
        "No member has a volume with data any more, though the cluster was in use.",
        "Founds it anew, empty, says so, and runs the jobs again that fill it.",
        "restore a backup, or `labctl up`",
    ),
    "well": Situation(
        "Every member serves.",
        "Nothing.",
        "–",
    ),
    "frozen": Situation(
        "A member's processes are frozen (`docker ps` says paused).",
        "Lets them go on before anything is decided: a frozen member may be the one that leads.",
        "`labctl unpause INSTANCE`",
    ),
}
"""Situations that :func:`at_first` finds."""


def at_first(cluster: Cluster) -> Diagnosis | None:
    """What is the matter with any cluster, before its store is asked about."""
    who = cluster.service
    if not cluster.founded:
        if not cluster.filled or running(cluster.everyone):
            return Diagnosis(who, "new", f"{who} was never founded")
        anew = start(ended(cluster.everyone), "no copy is left: it is founded anew, empty")
        return Diagnosis(who, "emptied", f"{who}: all data are lost", anew)
    if all(m.runs and not m.frozen and m.serves and not m.stranded for m in cluster.everyone):
        return Diagnosis(who, "well", f"every member of {who} serves")
    frozen = [m for m in cluster.everyone if m.runs and m.frozen]
    if frozen:
        thaw = Step(
            "thaw", named(frozen), "a frozen member may be the one that leads: let it tell first"
        )
        return Diagnosis(who, "frozen", f"{who}: frozen: {listed(frozen)}", (thaw,))
    return None


def ended(members: tuple[Member, ...]) -> list[Member]:
    """Those whose process does not run."""
    return [m for m in members if not m.runs]


def running(members: tuple[Member, ...]) -> list[Member]:
    """Those whose process runs."""
    return [m for m in members if m.runs]


def start(members: list[Member], reason: str) -> tuple[Step, ...]:
    """A step that starts these members, if there are any."""
    return (Step("start", named(members), reason),) if members else ()


def one_of(choices: list[str]) -> str:
    """Choices for a person, as the end of a sentence."""
    return ", or ".join(choices)
