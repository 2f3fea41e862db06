"""RabbitMQ on Mnesia: all in parallel, within the time that each waits for the others' tables.

Each node notes who was running when it went (``nodes_running_at_shutdown``), and when it starts,
waits for the tables of those, ten times thirty seconds. So the last to stop starts by itself and
the others after it, in any order. A node whose data are lost must not start before the others: it
would found a cluster of its own. Sources: RabbitMQ's clustering guide (restarting nodes) and
rabbitmqctl(8).
"""

from __future__ import annotations

import re
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

FORCED = "forced"
"""What the position command says of a node that was told to start without the others."""


def saw(member: Member) -> frozenset[str]:
    """The nodes, itself included, that a member saw running when it went; empty without data.

    Of one that runs: those that it knows as members.
    """
    return frozenset(re.findall(r"rabbit@([a-z0-9-]+)", member.data or ""))


def diagnose(cluster: Cluster) -> Diagnosis:
    """What is the matter with a RabbitMQ cluster."""
    found = common.at_first(cluster)
    if found is not None:
        return found
    alive = common.running(cluster.members)
    if any(m.serves and not m.stranded for m in alive):
        return _beside_others(cluster)
    gone = common.ended(cluster.members)
    unread = [m for m in gone if m.data is None and not m.unreadable]
    if unread:
        steps = (
            Step("read", named(unread), "each noted who was still running when it went"),
            Step("start", (), "all that have data in parallel, as each waits for the others"),
        )
        return Diagnosis(cluster.service, "ended", f"{cluster.service}: nobody serves", steps)
    return _some_run(cluster, alive, gone) if alive else _all_ended(cluster)


def _beside_others(cluster: Cluster) -> Diagnosis:
    who = cluster.service
    gone = common.ended(cluster.members)
    late = [m for m in common.running(cluster.members) if m.stranded or not m.serves]
    stuck = [m for m in late if m.stranded or cluster.waited]
    if stuck:
        restart = Step(
            "restart",
            named(stuck),
            "the others have not counted it for longer than their timers: it joins when it starts",
        )
        return Diagnosis(
            who, "stranded", f"{who}: outside of the cluster: {listed(stuck)}", (restart,)
        )
    if late:
        wait = Step("wait", named(late), "it may still be starting, or about to join again")
        again = Step("restart", named(late), "it joins when it starts")
        return Diagnosis(
            who, "stranded", f"{who}: not in the cluster yet: {listed(late)}", (wait, again)
        )
    leader = next(m for m in cluster.members if m.serves and not m.stranded)
    lost = [m for m in gone if m.blank]
    if lost and leader.data is None and not leader.unreadable:
        ask = Step("read", (leader.name,), f"does it know {listed(lost)}, which has no data?")
        steps = (ask, *common.start(gone, "the others serve: it joins them"))
        return Diagnosis(who, "blank", f"{who}: ended, while others serve: {listed(gone)}", steps)
    # One that it does not know is new: there is nothing to forget.
    blank = [m for m in lost if m.node in saw(leader)]
    steps = (*_forget(blank, leader.name), *common.start(gone, "the others serve: it joins them"))
    situation = "blank" if blank else "degraded"
    return Diagnosis(who, situation, f"{who}: ended, while others serve: {listed(gone)}", steps)


def _forget(blank: list[Member], leader: str) -> tuple[Step, ...]:
    if not blank:
        return ()
    reason = (
        "its data are lost: the cluster would refuse it as one that it knows; it joins as a new "
        "member, and quorum queues grow on it again"
    )
    return (Step("forget", named(blank), reason, leader=leader),)


def _some_run(cluster: Cluster, alive: list[Member], gone: list[Member]) -> Diagnosis:
    who = cluster.service
    sentence = f"{who}: nobody serves; waiting for others: {listed(alive)}"
    helpful = [m for m in gone if not m.blank]
    if helpful:
        steps = common.start(
            helpful, "those that run wait for it: for its tables, or for a majority"
        )
        return Diagnosis(who, "waiting", sentence, steps)
    steps = (Step("restart", named(alive), "together, so that each finds the others' tables"),)
    if not cluster.waited:
        wait = Step("wait", named(alive), "each waits for the others' tables: give them the time")
        steps = (wait, *steps)
    return Diagnosis(who, "waiting", sentence, steps)


def _all_ended(cluster: Cluster) -> Diagnosis:
    who, members = cluster.service, list(cluster.members)
    blank = [m for m in members if m.blank]
    survivors = [m for m in members if not m.blank]
    unreadable = [m for m in survivors if m.unreadable]
    lost = {m.node for m in blank}
    last_first = sorted(survivors, key=lambda m: len(saw(m)) or len(members) + 1)
    free = [m for m in survivors if not saw(m) & lost]
    told = any(FORCED in (m.data or "") for m in survivors)
    timed_out = all(m.gave_up for m in survivors)
    begin = common.start(
        last_first, "in parallel, the last to stop first: each waits five minutes for the others"
    )
    later = (
        *_forget(blank, last_first[0].name),
        *common.start(blank, "it joins as a new member once the others serve"),
    )
    if told or (free and not timed_out):
        situation = "blank" if blank else "ended"
        return Diagnosis(who, situation, f"{who}: no member is left", (*begin, *later))
    if unreadable:
        why = "; ".join(f"{m.name}: {m.unreadable}" for m in unreadable)
        return Diagnosis(
            who,
            "unreadable",
            f"{who}: who stopped last cannot be told ({why}), so nobody is made to start alone: "
            f"mend it, or give it up with 'labctl node replace {unreadable[0].node}'",
            stops=True,
        )
    leader = last_first[0]
    why = (
        f"all waited for each other in vain; {leader.name} saw the fewest running when it went"
        if timed_out
        else f"all wait for {', '.join(sorted(lost))}, whose data are lost; {leader.name} is the "
        "last to stop of those that are left"
    )
    force = Step(
        "force",
        (leader.name,),
        f"the last resort, as changes of queues and users that it missed are lost: {why}",
        leader=leader.name,
    )
    return Diagnosis(who, "force", f"{who}: nobody can start by itself", (force, *begin, *later))


def patience(_settings: Mapping[str, Any]) -> float:
    """A broker starts, or comes out of a minority's pause, within this time.

    Tables take longer only where they are awaited from a node that is not there.
    """
    return 45.0


STORE = Store(
    kind="rabbitmq",
    title="RabbitMQ",
    patience=patience,
    diagnose=diagnose,
    situations={
        **common.SITUATIONS,
        "degraded": Situation(
            "Some nodes have ended; others serve.",
            "Starts them.",
            "start them",
        ),
        "stranded": Situation(
            "A node runs, and the others do not count it (`running: false` in `/api/nodes`).",
            "Waits until it could have joined by itself, then restarts it.",
            "restart that node",
        ),
        "blank": Situation(
            "A node has lost its data; others still have theirs.",
            "Starts the others first; has one forget the lost one, which then joins as a new "
            "member; quorum queues grow to their size again.",
            "`rabbitmq-queues shrink rabbit@LOST`, `rabbitmqctl forget_cluster_node rabbit@LOST`, "
            "start it, `rabbitmq-queues grow rabbit@LOST all`",
        ),
        "waiting": Situation(
            "Nodes run, none serves: they wait for tables, or for a majority.",
            "Starts those that they wait for; if all run, waits, then restarts them together.",
            "start the others within five minutes",
        ),
        "ended": Situation(
            "No node runs.",
            "Starts all in parallel, the last to stop first.",
            "start all at once: each waits 10 × 30 s for those it saw running when it went",
        ),
        "force": Situation(
            "No node runs, and those with data wait for one whose data are lost, or waited for "
            "each other in vain.",
            "As the last resort, and said: the last to stop of those that are left starts without "
            "the others.",
            "`rabbitmqctl force_boot` on **one** stopped node, then start all",
        ),
        "unreadable": Situation(
            "As above, and who stopped last cannot be read.",
            "**Stops**.",
            "read `nodes_running_at_shutdown` in each node's data",
        ),
    },
)
