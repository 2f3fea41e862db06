"""Plain data: the steps of ``up``, the graph that they form, and the observed state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from labctl.engine.port import Container, Network

Action = Literal["create", "start", "unpause", "restart"]

IMAGE_COST = 30.0
"""CPU-seconds of an image build, roughly: images come first anyway."""
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
        """What it does, to be shown to the user."""
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
    """Create the lab's veth pair on the engine's host; if it exists, set only its filter."""

    exists: bool = False

    @property
    def title(self) -> str:
        """Create the link, or its filter."""
        return "set the filter of the lab's link" if self.exists else "create the lab's link"


@dataclass(frozen=True)
class CreateNetwork(Step):
    """Create the macvlan network on the link."""

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
    """Create or start the container that keeps an instance's in-memory volumes mounted."""

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
    bootstrap: bool = False

    @property
    def title(self) -> str:
        """Create/start/unpause/restart INSTANCE."""
        return f"{self.action} {self.instance}" + (" (bootstrap)" if self.bootstrap else "")


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
    """End a member that leaves its cluster, and have one that stays forget it, by ``command``."""

    leaving: str = ""
    container: str = ""
    grace: int = 0
    drain: tuple[tuple[str, ...], ...] = ()
    by: str = ""
    command: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Have INSTANCE forget NODE."""
        return f"have {self.by} forget {self.leaving}"


@dataclass(frozen=True)
class Join(Step):
    """Have an instance take its part of a cluster that was there before it, by ``command``."""

    instance: str = ""
    command: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Have INSTANCE take its part."""
        return f"have {self.instance} take its part"


@dataclass(frozen=True)
class RemoveVolumes(Step):
    """Remove the volumes of an instance, or of a node, that is to begin anew without data."""

    volumes: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    """Instances whose data they are."""

    @property
    def title(self) -> str:
        """Remove volume VOLUME and others."""
        return f"remove volume{'s' if len(self.volumes) > 1 else ''} {', '.join(self.volumes)}"


@dataclass(frozen=True)
class ForgetJobs(Step):
    """Remove jobs from the record, because their results are lost, before empty stores start.

    If ``up`` is then interrupted, the next one still knows that the jobs have to run.
    """

    jobs: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Forget that SERVICE/JOB and others were done."""
        return f"forget that {', '.join(self.jobs)} {'were' if len(self.jobs) > 1 else 'was'} done"


@dataclass(frozen=True)
class RunJob(Step):
    """Run a one-shot container and wait until it ends; ``running`` if it was started before."""

    service: str = ""
    job: str = ""
    running: bool = False
    timeout: float = 0

    @property
    def title(self) -> str:
        """Run (or await) job SERVICE/JOB."""
        return f"{'await' if self.running else 'run'} {self.service}/{self.job}"


@dataclass(frozen=True)
class Observed:
    """What exists: found by labels and probes, never from a state file."""

    images: frozenset[str] = frozenset()
    """Those of the desired tags that the engine has."""
    link: bool = False
    filtered: bool = False
    """Whether the link lets only replies through from the lab to the engine's host."""
    network: Network | None = None
    names: str | None = None
    """What the nodes' /etc/hosts say, as far as every one of them was told."""
    containers: Mapping[str, Container] = field(default_factory=dict)
    """By name, all of the lab."""
    volumes: frozenset[str] = frozenset()
    """Names of the lab's volumes."""
    done: Mapping[str, str] = field(default_factory=dict)
    """``service/job`` → hash of the one-shot container that succeeded, as recorded in the lab."""
    members: frozenset[str] = frozenset()
    """Instances that have been cluster members, as far as their volumes tell."""
    ready: frozenset[str] = frozenset()
    """Ids of the probes that answered."""
    asked: bool = False
    """Whether the prober could be asked."""
    said: Mapping[str, str] = field(default_factory=dict)
    """Probe → its answer in words."""
    clusters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind of cluster → how its members see it."""
    stranded: frozenset[str] = frozenset()
    """Running instances that the rest of their cluster has not counted for a while."""
    renew: Mapping[str, bool] = field(default_factory=dict)
    """Nodes to be made anew though nothing about them has changed → whether their data go, too."""
    united: frozenset[str] = frozenset()
    """Services whose members all have the same data, from a checkpoint, and start at once."""
    bootstrap_instances: Mapping[str, str] = field(default_factory=dict)
    """Service → instance that bootstraps its cluster again, when no member is left (recover)."""


@dataclass(frozen=True)
class Plan:
    """Steps by id, each after the steps that it needs."""

    steps: Mapping[str, Step]

    @cached_property
    def remaining(self) -> Mapping[str, float]:
        """Step → cost of the longest chain from it to the end, including its own."""
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
        """These steps and all that wait for any of them, directly or indirectly."""
        found = set(steps)
        for step in self.steps.values():  # which is a topological order
            if step.needs & found:
                found.add(step.id)
        return found

    @property
    def longest_chain(self) -> float:
        """CPU-seconds of the longest chain: a lower bound on any machine."""
        return max(self.remaining.values(), default=0.0)
