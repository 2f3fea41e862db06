"""Galera: prove that nothing is primary, compare positions, bootstrap from the most advanced.

Sources: Galera's documentation (quorum, pc.recovery, restarting the cluster) and its distributors'
procedures. Where kolla compares numbers only, identities are compared first here: a number says
nothing about another history.
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

_POSITION = re.compile(r"^(?P<uuid>[0-9a-f-]+):(?P<number>-?\d+)$")
_NOBODY = "00000000-0000-0000-0000-000000000000"
"""The identity of data that never belonged to a cluster."""

Position = tuple[str, int]
"""The cluster's identity, and the number of the last change."""


def position(member: Member) -> Position | None:
    """How recent a member's data are; None when it has none. ValueError when it cannot be told."""
    last = "".join((member.data or "").strip().splitlines()[-1:])
    if not last:
        return None
    found = _POSITION.match(last)
    if found is None:
        raise ValueError(f"it said {last[:80]!r}")
    if found["uuid"] == _NOBODY:
        return None
    if int(found["number"]) < 0:
        raise ValueError("its storage engine does not know it")
    return found["uuid"], int(found["number"])


def diagnose(cluster: Cluster) -> Diagnosis:
    """What is the matter with a Galera cluster."""
    found = common.at_first(cluster)
    if found is not None:
        return found
    if any(m.runs and (m.serves or _primary(m)) for m in cluster.members):
        return _beside_primary(cluster)
    alive = common.running(cluster.members)
    return _without_primary(cluster, alive) if alive else _all_ended(cluster)


def _primary(member: Member) -> bool:
    return member.says.startswith("Primary")


def _out(member: Member) -> bool:
    """Whether a member says itself that it belongs to no primary component."""
    return member.answers and member.says.startswith("non-Primary")


def _beside_primary(cluster: Cluster) -> Diagnosis:
    who, gone = cluster.service, common.ended(cluster.members)
    out = [m for m in common.running(cluster.members) if _out(m)]
    if out and not cluster.waited:
        wait = Step("wait", named(out), "a member that was cut off joins again by itself")
        again = Step("restart", named(out), "it joins when it starts")
        sentence = f"{who}: outside of the primary component: {listed(out)}"
        return Diagnosis(who, "outside", sentence, (wait, again))
    if out:
        restart = Step("restart", named(out), "it did not join again within its own timers")
        return Diagnosis(
            who, "outside", f"{who}: outside of the primary component: {listed(out)}", (restart,)
        )
    if gone:
        steps = common.start(
            gone, "the primary component serves: it copies what it missed and joins, one at a time"
        )
        return Diagnosis(
            who, "degraded", f"{who}: ended, while others serve: {listed(gone)}", steps
        )
    late = [m for m in cluster.members if not m.serves]
    return Diagnosis(who, "joining", f"{who}: being taken in: {listed(late)}")


def _without_primary(cluster: Cluster, alive: list[Member]) -> Diagnosis:
    who = cluster.service
    gone = common.ended(cluster.members)
    # Fewer than a majority, each of which says that it is out: they have nobody to find.
    proved = len(alive) < cluster.majority and all(map(_out, alive))
    silent = [m for m in alive if not m.answers]
    if not (cluster.waited or proved):
        wait = Step(
            "wait",
            named(alive),
            f"those that run may make a primary component again by themselves; their timers take "
            f"{cluster.patience:.0f} s",
        )
        return Diagnosis(
            who, "partless", f"{who}: nobody serves", (wait, *_stop_and_found(alive, gone))
        )
    if silent:
        choices = [
            "wait until it answers",
            f"end it with 'labctl kill {silent[0].name}' and recover again",
        ]
        return Diagnosis(
            who,
            "silent",
            f"{listed(silent)} cannot be asked and may be primary, so nothing is stopped: "
            f"{common.one_of(choices)}",
            stops=True,
        )
    return Diagnosis(
        who,
        "partless",
        f"{who}: nobody is in a primary component, which those that run did not restore",
        _stop_and_found(alive, gone),
    )


def _stop_and_found(alive: list[Member], gone: list[Member]) -> tuple[Step, ...]:
    everyone = [*alive, *gone]
    return (
        Step("stop", named(alive), "nobody is primary: positions can be compared only at rest"),
        Step("read", named(everyone), "the cluster goes on from the most recent data"),
        Step("bootstrap", (), "of one identity, the highest number"),
        Step("start", (), "the others join, one at a time"),
    )


def _all_ended(cluster: Cluster) -> Diagnosis:
    who, members = cluster.service, list(cluster.members)
    unread = [m for m in members if m.data is None and not m.unreadable]
    if unread:
        steps = _stop_and_found([], members)[1:]
        steps = (Step("read", named(unread), steps[0].reason), *steps[1:])
        return Diagnosis(who, "ended", f"{who}: no member is left", steps)
    positions: dict[str, Position] = {}
    unknown = {m.name: m.unreadable for m in members if m.unreadable}
    for member in members:
        try:
            found = None if member.unreadable else position(member)
        except ValueError as error:
            unknown[member.name] = str(error)
            continue
        if found is not None:
            positions[member.name] = found
    if unknown:
        return _unreadable(cluster, unknown)
    if not positions:
        return _empty(cluster)
    if len({uuid for uuid, _ in positions.values()}) > 1:
        return _conflict(cluster, positions)
    best = max(positions, key=lambda name: positions[name][1])
    said = ", ".join(
        f"{m.name} {positions[m.name][1] if m.name in positions else 'no data'}" for m in members
    )
    others = [m for m in members if m.name != best]
    steps = (
        Step("bootstrap", (best,), f"its data are the most recent of those there are ({said})"),
        *common.start(others, "they copy what they missed and join, one at a time"),
    )
    return Diagnosis(who, "ended", f"{who}: no member is left", steps)


def _empty(cluster: Cluster) -> Diagnosis:
    who, first = cluster.service, cluster.members[0]
    if cluster.filled:
        return Diagnosis(
            who,
            "empty",
            f"{who}: no member is left and none has data: nothing was started; "
            "run 'labctl down', then 'labctl up'",
            stops=True,
        )
    steps = (
        Step("bootstrap", (first.name,), "no member has ever been given data: founding goes on"),
        *common.start(list(cluster.members[1:]), "they join, one at a time"),
    )
    return Diagnosis(who, "unfounded", f"{who}: ended while it was being founded", steps)


def _unreadable(cluster: Cluster, unknown: Mapping[str, str]) -> Diagnosis:
    who = cluster.service
    said = "; ".join(f"{name}: {why}" for name, why in unknown.items())
    choices = [
        f"give it up with 'labctl node replace {name.partition('/')[0]}'" for name in unknown
    ]
    return Diagnosis(
        who,
        "unreadable",
        f"{who}: nothing was started, because a position cannot be read and may be the most recent "
        f"({said}): {common.one_of(['mend it', *choices])}",
        stops=True,
    )


def _conflict(cluster: Cluster, positions: Mapping[str, Position]) -> Diagnosis:
    who = cluster.service
    said = ", ".join(f"{n} {uuid}:{number}" for n, (uuid, number) in positions.items())
    choices = []
    for identity in dict.fromkeys(uuid for uuid, _ in positions.values()):
        wrong = [n.partition("/")[0] for n, (uuid, _) in positions.items() if uuid != identity]
        choices.append(f"keep {identity} with 'labctl node replace {' '.join(wrong)}'")
    return Diagnosis(
        who,
        "conflict",
        f"{who}: its members have data of different clusters ({said}), so nothing was started: "
        f"{common.one_of(choices)}",
        stops=True,
    )


def patience(settings: Mapping[str, Any]) -> float:
    """evs.inactive_timeout to part with those that are gone; then pc.recovery has as long again."""
    return 10.0 + 2 * float(settings.get("inactive_timeout", 15))


STORE = Store(
    kind="galera",
    title="Galera",
    patience=patience,
    diagnose=diagnose,
    situations={
        **common.SITUATIONS,
        "joining": Situation(
            "A member runs and is not `Synced` yet; others are `Primary`.",
            "Nothing but wait: it is copying.",
            "`SHOW STATUS LIKE 'wsrep_local_state_comment'` until it says `Synced`",
        ),
        "degraded": Situation(
            "Some members have ended; others are `Primary`.",
            "Starts them; they join one at a time.",
            "start one, wait for `Synced`, start the next",
        ),
        "outside": Situation(
            "A member says `non-Primary`; others are `Primary`.",
            "Waits for the cluster's timers, then restarts it.",
            "restart it",
        ),
        "partless": Situation(
            "Members run and none is `Primary`.",
            "Waits for the cluster's timers (`pc.recovery` may restore it), unless fewer than a "
            "majority run and each says `non-Primary`. Then stops them and goes on as below.",
            "wait; then, if the others are surely down: "
            "`SET GLOBAL wsrep_provider_options='pc.bootstrap=YES'` on the most recent one",
        ),
        "silent": Situation(
            "A member runs, none is `Primary`, and one gives no answer at all.",
            "**Stops**: the silent one may be primary.",
            "find out why it is silent; kill it if it has to be",
        ),
        "ended": Situation(
            "No member runs.",
            "Reads each one's position, compares identities, bootstraps from the highest number; "
            "the others join one at a time.",
            "`mariadbd --wsrep-recover` on each; on the highest one `safe_to_bootstrap: 1` in "
            "`grastate.dat` and `mariadbd --wsrep-new-cluster`, once",
        ),
        "unreadable": Situation(
            "No member runs, and one's position cannot be read.",
            "**Stops**: it may be the most recent one.",
            "mend it, or give its data up: `labctl node replace NODE`",
        ),
        "conflict": Situation(
            "No member runs, and they have different identities (UUIDs).",
            "**Stops**: only a person knows which history is the right one.",
            "look at both; `labctl node replace NODE` for those that are wrong",
        ),
        "unfounded": Situation(
            "No member runs, and none has data: its first start was interrupted.",
            "Founds it anew.",
            "`labctl up`",
        ),
        "empty": Situation(
            "No member runs and none has data, though the cluster was in use.",
            "**Stops**: everything is lost, in the services that use it as well.",
            "restore a backup, or `labctl down` and `labctl up`",
        ),
    },
)
