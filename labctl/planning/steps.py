"""The steps that ``up`` takes, the graph they make, and what is observed before: plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from labctl.engine.port import Container, Network

Action = Literal["create", "start", "unpause", "restart"]

IMAGE_COST = 30.0
"""CPU-seconds of an image build, roughly: images come before all else anyway."""
CONTAINER_COST = 0.3
"""CPU-seconds that the engine takes to create and start a container (measured)."""


@dataclass(frozen=True)
class Step:
    """One thing to do. ``needs`` are ids of steps that come first; ``cost`` is in CPU-seconds."""

    id: str
    needs: frozenset[str] = frozenset()
    cost: float = CONTAINER_COST

    @property
    def title(self) -> str:
        """What it does, for people."""
        return self.id


@dataclass(frozen=True)
class BuildImage(Step):
    """Build the image of a role."""

    role: str = ""
    tag: str = ""

    @property
    def title(self) -> str:
        """Build image ROLE."""
        return f"build image {self.role}"


@dataclass(frozen=True)
class CreateLink(Step):
    """Make the lab's veth pair on the engine's host, or only its filter."""

    there: bool = False

    @property
    def title(self) -> str:
        """Create the link, or its filter."""
        return "set the filter of the lab's link" if self.there else "create the lab's link"


@dataclass(frozen=True)
class CreateNetwork(Step):
    """Make the macvlan network on the link."""

    title = "create the network"


@dataclass(frozen=True)
class WriteNames(Step):
    """Write the nodes' names down for all, and tell the holders that run already."""

    holders: tuple[str, ...] = ()
    title = "write the names of the nodes"


@dataclass(frozen=True)
class Stop(Step):
    """Stop a container orderly: ``grace`` is in seconds."""

    container: str = ""
    grace: int = 0

    @property
    def title(self) -> str:
        """Stop CONTAINER."""
        return f"stop {self.container}"


@dataclass(frozen=True)
class Remove(Step):
    """Remove a container that is half-made, changed, or no part of the lab any more.

    One that serves is drained first, with commands that it has for that, and then has ``grace``
    seconds to end by itself.
    """

    container: str = ""
    grace: int = 0
    drain: tuple[tuple[str, ...], ...] = ()

    @property
    def title(self) -> str:
        """Remove CONTAINER."""
        return f"remove {self.container}"


@dataclass(frozen=True)
class StartHolder(Step):
    """Create or start the container that owns a node's network namespace."""

    node: str = ""
    action: Action = "create"

    @property
    def title(self) -> str:
        """Create/start node NODE."""
        return f"{self.action} node {self.node}"


@dataclass(frozen=True)
class StartDisk(Step):
    """Create or start the container that keeps an instance's volumes in memory."""

    instance: str = ""
    action: Action = "create"

    @property
    def title(self) -> str:
        """Create/start the disk of INSTANCE."""
        return f"{self.action} the disk of {self.instance}"


@dataclass(frozen=True)
class StartInstance(Step):
    """Create, start, thaw or restart an instance; ``founding`` when it bootstraps its cluster."""

    instance: str = ""
    action: Action = "create"
    founding: bool = False

    @property
    def title(self) -> str:
        """Create/start/unpause/restart INSTANCE."""
        return f"{self.action} {self.instance}" + (" (founding)" if self.founding else "")


@dataclass(frozen=True)
class AwaitReady(Step):
    """Wait until probes answer. ``probes`` are ids, ``timeout`` in seconds."""

    service: str = ""
    probes: tuple[str, ...] = ()
    timeout: float = 0

    @property
    def title(self) -> str:
        """Await SERVICE."""
        return f"await {self.id.removeprefix('ready:').partition('#')[0]}"


@dataclass(frozen=True)
class AwaitCounted(Step):
    """Wait until a cluster counts so many members: who runs may not be taken in yet."""

    service: str = ""
    members: int = 0
    timeout: float = 0

    @property
    def title(self) -> str:
        """Await that SERVICE counts N members."""
        return f"await that {self.service} counts {self.members} members"


@dataclass(frozen=True)
class Forget(Step):
    """Have a cluster forget a member that has left, with a command in one that stays."""

    leaving: str = ""
    by: str = ""
    command: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Have SERVICE forget NODE."""
        return f"have {self.by.partition('/')[2]} forget {self.leaving}"


@dataclass(frozen=True)
class ForgetJobs(Step):
    """Take jobs off the record, because what they made is gone, before stores begin anew.

    If ``up`` is then interrupted, the next one still knows that the jobs have to run.
    """

    jobs: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Forget that SERVICE/JOB and others were done."""
        return f"forget that {', '.join(self.jobs)} {'were' if len(self.jobs) > 1 else 'was'} done"


@dataclass(frozen=True)
class RunJob(Step):
    """Run a one-shot container to its end; ``runs`` when it does already, and is waited for."""

    service: str = ""
    job: str = ""
    runs: bool = False
    timeout: float = 0

    @property
    def title(self) -> str:
        """Run (or await) job SERVICE/JOB."""
        return f"{'await' if self.runs else 'run'} {self.service}/{self.job}"


@dataclass(frozen=True)
class Observed:
    """What is there: found by labels and by asking, never from a state file."""

    images: frozenset[str] = frozenset()
    """Tags present, of the desired ones."""
    link: bool = False
    filtered: bool = False
    """Whether the link lets nothing from the lab to the engine's host but replies."""
    network: Network | None = None
    names: str | None = None
    """What the nodes' /etc/hosts say, as far as every one of them was told."""
    containers: Mapping[str, Container] = field(default_factory=dict)
    """By name, all of the lab."""
    volumes: frozenset[str] = frozenset()
    """Names of the lab's volumes."""
    done: Mapping[str, str] = field(default_factory=dict)
    """``service/job`` → hash of the one-shot container that ended well, as recorded in the lab."""
    members: frozenset[str] = frozenset()
    """Instances (of services whose cluster starts from a seed) that have been in the cluster."""
    ready: frozenset[str] = frozenset()
    """Probe ids that answered."""
    stranded: frozenset[str] = frozenset()
    """Instances that run, and that the rest of their cluster has not counted for a while."""
    founders: Mapping[str, str] = field(default_factory=dict)
    """Service → instance that founds its cluster anew, when no member was left (recover)."""


@dataclass(frozen=True)
class Plan:
    """Steps by id, in an order in which each comes after what it needs."""

    steps: Mapping[str, Step]

    @cached_property
    def remaining(self) -> Mapping[str, float]:
        """Step → cost of the longest chain from it to the end, itself included."""
        longest: dict[str, float] = {}
        users: dict[str, list[str]] = {name: [] for name in self.steps}
        for step in self.steps.values():
            for need in step.needs:
                users[need].append(step.id)
        for name in reversed(list(self.steps)):
            after = max((longest[user] for user in users[name]), default=0.0)
            longest[name] = self.steps[name].cost + after
        return longest

    def users(self, steps: Iterable[str]) -> set[str]:
        """Steps that wait for any of these, however many others are between."""
        found = set(steps)
        for step in self.steps.values():  # each comes after what it needs
            if step.needs & found:
                found.add(step.id)
        return found

    @property
    def longest_chain(self) -> float:
        """CPU-seconds of the longest chain: no machine is faster than this."""
        return max(self.remaining.values(), default=0.0)
