"""What is known of a cluster, and what a diagnosis says of it. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal[
    "thaw", "wait", "stop", "read", "force", "follow", "forget", "start", "bootstrap", "restart"
]
"""What a step does. ``thaw``: let frozen members go on. ``wait``: watch them for as long as their
own timers take. ``read``: read how recent the data on their volumes are. ``force``: have the leader
start without waiting for others. ``follow``: have members take the leader for their master when
they start. ``forget``: have the leader drop members that begin anew without data."""

DESTRUCTIVE: frozenset[Action] = frozenset({"stop", "force", "follow", "bootstrap"})
"""Steps that would split or lose a cluster that still serves somewhere."""


@dataclass(frozen=True)
class Member:
    """One instance of a cluster, as the engine, the prober and its volume tell of it."""

    name: str
    """``node/service``."""
    address: str = ""
    runs: bool = True
    """Its process is alive, frozen or not."""
    frozen: bool = False
    answers: bool = True
    """Whether it could be asked; a refused connection is an answer, silence is none."""
    serves: bool = False
    """Its probe says that it is ready for its users."""
    stranded: bool = False
    """It runs, and the rest of the cluster has not counted it for a while."""
    says: str = ""
    """Its part in the cluster in its own words, or why it could not be asked."""
    blank: bool | None = None
    """Whether its volume holds no data of the cluster; None when that was not looked at."""
    data: str | None = None
    """What its position command printed, or of one that runs what it was asked; None when that was
    not done."""
    unreadable: str = ""
    """Why its position could not be read, although that was tried."""
    gave_up: bool = False
    """Its log ends with its having waited for the others in vain."""

    @property
    def node(self) -> str:
        """The node that it is on."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Cluster:
    """A cluster as it was found."""

    service: str
    members: tuple[Member, ...]
    stores: tuple[Member, ...] = ()
    """The instances that hold the data, where those are not the members themselves."""
    founded: bool = True
    """Whether there has ever been a cluster. Founding one is what ``up`` does, and no recovery."""
    filled: bool = True
    """Whether it has been in use: the jobs that fill it are on record as done."""
    waited: bool = False
    """Whether its members have been watched for ``patience`` and nothing came of it."""
    patience: float = 30.0
    """Seconds that the cluster's own timers may take to bring it back, from its settings."""

    @property
    def majority(self) -> int:
        """How many members decide."""
        return len(self.members) // 2 + 1

    @property
    def everyone(self) -> tuple[Member, ...]:
        """Members and the instances with their data."""
        return (*self.members, *self.stores)


@dataclass(frozen=True)
class Step:
    """One thing to do, and why."""

    action: Action
    members: tuple[str, ...]
    """The instances that it is done to; empty where that shows only after the steps before it."""
    reason: str
    leader: str = ""
    """The instance that leads, of ``force``, ``follow`` and ``forget``."""

    @property
    def title(self) -> str:
        """What it does, in a few words."""
        unknown = "the others" if self.action == "start" else "the most recent one"
        who = ", ".join(self.members) or unknown
        return _TITLES[self.action].format(who=who, leader=self.leader)


_TITLES: Mapping[Action, str] = {
    "thaw": "let {who} go on",
    "wait": "watch {who}",
    "stop": "stop {who}",
    "read": "read how recent the data of {who} are",
    "force": "have {leader} start without the others",
    "follow": "have {who} follow {leader}",
    "forget": "have {leader} forget {who}",
    "start": "start {who}",
    "bootstrap": "bootstrap the cluster from {who}",
    "restart": "restart {who}",
}


@dataclass(frozen=True)
class Diagnosis:
    """What is the matter with a cluster, and what to do about it."""

    service: str
    situation: str
    """A key of the store's situations."""
    sentence: str
    """What is the matter. Where ``stops``: with what a person may choose to do."""
    steps: tuple[Step, ...] = ()
    stops: bool = False
    """Whether nothing may be done, because a person has to choose."""

    @property
    def well(self) -> bool:
        """Whether nothing is to be done."""
        return not self.steps and not self.stops


@dataclass(frozen=True)
class Situation:
    """A line of the table in docs/recovery.md."""

    seen: str
    """How a person recognises it."""
    done: str
    """What recover does."""
    by_hand: str
    """The same with the store's own commands."""


@dataclass(frozen=True)
class Store:
    """How one kind of cluster is recovered."""

    kind: str
    title: str
    patience: Callable[[Mapping[str, Any]], float]
    """Seconds that its own timers may take, by the service's settings."""
    diagnose: Callable[[Cluster], Diagnosis]
    situations: Mapping[str, Situation]
    """All that ``diagnose`` may find, in the order of the documentation."""


def named(members: tuple[Member, ...] | list[Member]) -> tuple[str, ...]:
    """The members' names."""
    return tuple(member.name for member in members)


def listed(members: tuple[Member, ...] | list[Member]) -> str:
    """The members' names for a sentence."""
    return ", ".join(named(members))
