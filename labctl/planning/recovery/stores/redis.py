"""Redis under Sentinel: the newest is the master of the highest epoch, if it still has its data.

A replica is never ahead of its master, so the master named at the highest configuration epoch has
the most recent data. Where those are lost and it started, it would empty its replicas; so another
one is made the master first, before anything starts. Redis keeps no replication offset in an
append-only file, so among replicas at rest the one is newest whose file was written last; of
replicas that run, Sentinel compares the offsets itself. Sources: Redis' manual (replication,
Sentinel).
"""

from __future__ import annotations

from collections import Counter
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


def facts(member: Member) -> Mapping[str, str]:
    """What a position command printed.

    ``epoch`` and ``master`` of a sentinel, ``written`` and ``replicaof`` of Redis itself.
    """
    words = (word.partition("=") for word in (member.data or "").split())
    return {key: value for key, _, value in words}


def written(store: Member) -> float:
    """When data were last written, in seconds since the epoch; negative without data."""
    try:
        return float(facts(store).get("written", -1))
    except ValueError:
        return -1.0


def epoch(sentinel: Member) -> int:
    """The configuration epoch at which a sentinel names its master; -1 when it names none."""
    known = facts(sentinel)
    return int(known.get("epoch", 0)) if known.get("master") else -1


def diagnose(cluster: Cluster) -> Diagnosis:
    """What is the matter with Redis and its sentinels."""
    found = common.at_first(cluster)
    if found is not None:
        return found
    who, everyone = cluster.service, cluster.everyone
    gone = common.ended(everyone)
    if not gone:
        late = [m for m in everyone if not m.serves]
        if not cluster.waited:
            wait = Step("wait", named(late), "the sentinels agree on a master by themselves")
            return Diagnosis(who, "agreeing", f"redis: not ready: {listed(late)}", (wait,))
        restart = Step("restart", named(late), "it was not ready within the sentinels' own timers")
        return Diagnosis(who, "agreeing", f"redis: not ready: {listed(late)}", (restart,))
    if _served(cluster):
        steps = common.start(gone, "it asks the others who is master")
        return Diagnosis(
            who, "degraded", f"redis: ended, while a master serves: {listed(gone)}", steps
        )
    unread = [m for m in everyone if m.data is None and not m.unreadable]
    if unread:
        steps = (
            Step("read", named(unread), "the master of the highest epoch has the newest data"),
            *common.start(gone, "the master with its data, the others after it"),
        )
        return Diagnosis(who, "ended", f"redis: ended: {listed(gone)}", steps)
    return _with_facts(cluster, gone)


def _served(cluster: Cluster) -> bool:
    """Whether most sentinels name one master, which runs."""
    said = Counter(m.says for m in cluster.members if m.runs and m.says.startswith("names "))
    name, votes = max(said.items(), key=lambda item: item[1], default=("", 0))
    master = name.removeprefix("names ")
    return votes >= cluster.majority and any(s.node == master and s.runs for s in cluster.stores)


def _with_facts(cluster: Cluster, gone: list[Member]) -> Diagnosis:
    who = cluster.service
    unreadable = [m for m in cluster.everyone if m.unreadable]
    if unreadable:
        why = "; ".join(f"{m.name}: {m.unreadable}" for m in unreadable)
        return Diagnosis(
            who,
            "unreadable",
            f"redis: who has the newest data cannot be told ({why}), so nothing was started: mend "
            f"it, or give it up with 'labctl node replace {unreadable[0].node}'",
            stops=True,
        )
    highest = max(map(epoch, cluster.members))
    knowing = [m for m in cluster.members if epoch(m) >= 0]
    masters = {facts(m)["master"] for m in knowing if epoch(m) == highest}
    if len(masters) > 1:
        return _conflict(cluster, masters, highest)
    with_data = [s for s in cluster.stores if written(s) >= 0]
    if not with_data:
        steps = common.start(gone, "nothing is left of the data: they begin empty")
        return Diagnosis(who, "empty", "redis: all data are lost", steps)
    # Of a failover, a majority knows; fewer may all have missed it.
    by_most = len(knowing) >= cluster.majority
    chosen = next((s for s in cluster.stores if by_most and s.address in masters), None)
    # Without them: whom the one follows that wrote last.
    master = _followed(cluster, chosen or max(with_data, key=written))
    if master is not None and (master.runs or written(master) >= 0):
        return _master_left(cluster, gone, master)
    return _another_master(cluster, gone, master, with_data)


def _followed(cluster: Cluster, start: Member | None) -> Member | None:
    """A master, or whom that one itself came to follow later."""
    by_address = {s.address: s for s in cluster.stores}
    master = start
    for _ in cluster.stores:
        if master is None or "replicaof" not in facts(master):
            return master
        master = by_address.get(facts(master)["replicaof"])
    return None


def _master_left(cluster: Cluster, gone: list[Member], master: Member) -> Diagnosis:
    """The master has its data: those that name another or none are told before they start."""
    who = cluster.service
    begin = common.start(gone, f"{master.name} was the last master and has its data")
    wrong = [m for m in cluster.members if facts(m).get("master", "") != master.address]
    astray = [m for m in common.running(cluster.members) if m in wrong and epoch(m) >= 0]
    if astray and not cluster.waited:
        wait = Step("wait", named(astray), f"they may hear by themselves of {master.name}")
        return Diagnosis(who, "ended", f"redis: ended: {listed(gone)}", (wait, *begin))
    if astray:
        stop = Step("stop", named(astray), f"they name another master than {master.name}")
        return Diagnosis(who, "ended", f"redis: ended: {listed(gone)}", (stop, *begin))
    blank = [s for s in cluster.stores if s is not master and written(s) < 0]
    untold = [m for m in gone if m in wrong or (m in blank and "replicaof" not in facts(m))]
    if not untold:
        return Diagnosis(who, "ended", f"redis: ended: {listed(gone)}", begin)
    reason = f"without data, or astray, it would not take {master.name} for the master"
    follow = Step("follow", named(untold), reason, leader=master.name)
    return Diagnosis(who, "ended", f"redis: ended: {listed(gone)}", (follow, *begin))


def _another_master(
    cluster: Cluster, gone: list[Member], master: Member | None, with_data: list[Member]
) -> Diagnosis:
    """The master's data are lost, or nobody knows who was master."""
    who = cluster.service
    what = f"{master.name}, the master, has lost its data" if master else "nobody names a master"
    begin = common.start(gone, "they follow the new master")
    alive = common.running(cluster.everyone)
    if alive and not cluster.waited:
        wait = Step("wait", named(alive), "the sentinels may make another one master by themselves")
        return Diagnosis(who, "headless", f"redis: {what}", (wait, *begin))
    if alive:
        stop = Step("stop", named(alive), "they agreed on no other master in their time")
        steps: tuple[Step, ...] = (stop, Step("follow", (), "the newest of the rest leads"), *begin)
        return Diagnosis(who, "headless", f"redis: {what}", steps)
    leader = max(with_data, key=written)
    follow = Step(
        "follow",
        named(cluster.everyone),
        f"{what}, and would empty the others: of these the data of {leader.name} were written last",
        leader=leader.name,
    )
    return Diagnosis(who, "headless", f"redis: {what}", (follow, *begin))


def _conflict(cluster: Cluster, masters: set[str], highest: int) -> Diagnosis:
    named_by = ", ".join(f"{m.name} {facts(m)['master']}" for m in cluster.members if facts(m))
    nodes = [s.node for s in cluster.stores if s.address in masters]
    choices = [f"give the data of {node} up with 'labctl node replace {node}'" for node in nodes]
    return Diagnosis(
        cluster.service,
        "conflict",
        f"redis: different masters are named at epoch {highest} ({named_by}), "
        f"so nothing was started: {common.one_of(choices or ['look at each with redis-cli'])}",
        stops=True,
    )


def patience(settings: Mapping[str, Any]) -> float:
    """To notice the loss, and an attempt at a failover with one more after it."""
    after = float(settings.get("down_after", 5000)) + 2 * float(
        settings.get("failover_timeout", 15000)
    )
    return after / 1000 + 5.0


STORE = Store(
    kind="redis",
    title="Redis",
    patience=patience,
    diagnose=diagnose,
    situations={
        **common.SITUATIONS,
        "agreeing": Situation(
            "All run, and some are not ready.",
            "Waits for the sentinels' timers, then restarts those that are not ready.",
            "`SENTINEL CKQUORUM`, `INFO replication`; restart",
        ),
        "degraded": Situation(
            "Some have ended; most sentinels name one master, which runs.",
            "Starts them.",
            "start them",
        ),
        "ended": Situation(
            "Instances of Redis have ended; the master of the highest epoch runs or has its data.",
            "Tells those without data who is the master, and starts all; a former master follows.",
            "compare `config-epoch` and `monitor` in the sentinels' files; start",
        ),
        "headless": Situation(
            "The master has ended and has lost its data (or no sentinel knows who was master).",
            "If sentinels run, waits for their failover. Otherwise, before anything starts, the "
            "one of the others whose file was written last becomes the master: an empty master "
            "would empty its replicas.",
            "remove `replicaof` from the newest one's file, name it in the others' and in "
            "the sentinels' (`sentinel monitor`), start",
        ),
        "unreadable": Situation(
            "As above, and a volume cannot be read.",
            "**Stops**.",
            "mend it",
        ),
        "conflict": Situation(
            "Sentinels name different masters at the same epoch.",
            "**Stops**: only a person knows whose data are right.",
            "look at both; `labctl node replace NODE` for the one that is wrong",
        ),
        "empty": Situation(
            "All data are lost.",
            "Starts it empty: it coordinates, and keeps nothing for good.",
            "start",
        ),
    },
)
