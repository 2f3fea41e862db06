"""MongoDB: a majority elects; what is never done is to force a configuration upon a minority.

A forced reconfiguration (``rs.reconfig(…, {force: true})``) may roll back what a majority had
acknowledged, so only a person may ask for it. Source: MongoDB's manual (elections, reconfiguring a
replica set with unavailable members).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.planning.recovery import common
from labctl.planning.recovery.model import (
    Cluster,
    Diagnosis,
    Member,
    Situation,
    Step,
    Store,
    listed,
    named,
)

UNCONFIGURED = "no configuration"
"""What a running member prints that belongs to no replica set."""


def diagnose(cluster: Cluster) -> Diagnosis:
    """What is the matter with a replica set."""
    found, primary = common.at_first(cluster), any(m.says == "primary" for m in cluster.members)
    # Secondaries serve as well: without a primary all is not well.
    if found is not None and (found.situation != "well" or primary):
        return found
    who, gone = cluster.service, common.ended(cluster.members)
    if primary:
        steps = common.start(gone, "the primary has what it missed")
        situation = "degraded" if gone else "joining"
        rest = gone or [m for m in cluster.members if not m.serves]
        return Diagnosis(
            who, situation, f"{who}: ended or behind, while others serve: {listed(rest)}", steps
        )
    unread = [m for m in common.running(cluster.members) if m.data is None and not m.unreadable]
    if unread:
        steps = (
            Step("read", named(unread), "a member may have lost its configuration"),
            *_start(gone),
        )
        return Diagnosis(who, "headless", f"{who}: there is no primary", steps)
    having = [m for m in cluster.members if not _unconfigured(m)]
    if not having:
        return _unconfigured_all(cluster)
    return _headless(cluster, gone, having) if gone else _electing(cluster)


def _headless(cluster: Cluster, gone: list[Member], having: list[Member]) -> Diagnosis:
    who = cluster.service
    if len(having) >= cluster.majority:
        return Diagnosis(who, "headless", f"{who}: there is no primary", _start(gone))
    reason = (
        f"only {listed(having)} has its data: the others take its configuration, elect it and "
        "copy it; what it had not copied itself is lost with their data"
    )
    steps = common.start(gone, reason)
    return Diagnosis(who, "survivor", f"{who}: most members lost their data", steps)


def _electing(cluster: Cluster) -> Diagnosis:
    who = cluster.service
    if not cluster.waited:
        wait = Step("wait", named(cluster.members), "they have a majority and elect by themselves")
        return Diagnosis(who, "electing", f"{who}: there is no primary", (wait,))
    return Diagnosis(
        who,
        "undecided",
        f"{who}: all members run, and none was elected within {cluster.patience:.0f} s: see "
        f"'labctl logs {cluster.members[0].name}'",
        stops=True,
    )


def _start(gone: list[Member]) -> tuple[Step, ...]:
    return common.start(gone, "a majority elects the member that is furthest ahead of it")


def _unconfigured(member: Member) -> bool:
    return UNCONFIGURED in (member.data or "") if member.runs else bool(member.blank)


def _unconfigured_all(cluster: Cluster) -> Diagnosis:
    choices = ["restore a volume", "begin anew with 'labctl down' and 'labctl up'"]
    return Diagnosis(
        cluster.service,
        "lost",
        f"{cluster.service}: no member has the replica set's configuration any more, and none is "
        f"forced upon them: {common.one_of(choices)}",
        stops=True,
    )


def patience(settings: Mapping[str, Any]) -> float:
    """Three elections."""
    return 3 * float(settings.get("election_timeout_ms", 10000)) / 1000


STORE = Store(
    kind="mongodb",
    title="MongoDB",
    patience=patience,
    diagnose=diagnose,
    situations={
        **common.SITUATIONS,
        "joining": Situation(
            "A member runs and is neither primary nor secondary; there is a primary.",
            "Nothing but wait: it is copying.",
            "`rs.status()`",
        ),
        "degraded": Situation(
            "Some members have ended; there is a primary.",
            "Starts them; one without data copies all of them.",
            "start them",
        ),
        "headless": Situation(
            "There is no primary, and members have ended.",
            "Starts them: a majority elects.",
            "start all",
        ),
        "electing": Situation(
            "There is no primary, and all members run.",
            "Waits for three elections.",
            "wait; `rs.status()`",
        ),
        "undecided": Situation(
            "All members run, and after three elections there is still no primary.",
            "**Stops**.",
            "`rs.status()` and the logs: can they reach each other?",
        ),
        "survivor": Situation(
            "There is no primary, and only a minority has data.",
            "Starts all: those without data take the survivor's configuration, elect it and copy "
            "it (seen: MongoDB 6). Nothing is forced; what it had not copied itself is lost.",
            "start all",
        ),
        "lost": Situation(
            "No member has the replica set's configuration (`rs.status()`: `NotYetInitialized`).",
            "**Stops**: it never forces a configuration.",
            "restore a volume; or, knowing that acknowledged writes may be rolled back, on one "
            "that still has a configuration: `rs.reconfig(cfg, {force: true})`",
        ),
    },
)
