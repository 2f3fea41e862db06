"""What labctl asks of a container engine: the port that every adapter implements.

Plain frozen data goes in and comes out, so that plans can be made and tested without an engine.
Every object labctl makes carries :data:`LABEL` (its lab); an adapter never lists or touches
anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

LABEL = "labctl.lab"
"""Label with the lab's name, on every container, network and volume that labctl makes."""

_UNKNOWN = datetime.fromtimestamp(0, UTC)

ContainerStatus = Literal["created", "running", "paused", "restarting", "exited", "dead"]


@dataclass(frozen=True)
class Attachment:
    """A container's own network interface: network name, IPv4 address and MAC address."""

    network: str
    address: str
    mac: str


@dataclass(frozen=True)
class VolumeMount:
    """A named volume at a path. ``size`` in bytes of one that lies in memory; 0: on the disk."""

    volume: str
    target: str
    size: int = 0


@dataclass(frozen=True)
class ContainerSpec:
    """Everything that decides how a container runs.

    Exactly one of ``attachment`` (own namespace on the lab's network), ``join`` (name of the
    container whose network namespace and host name are shared), ``host_network`` or none of
    them (no network at all) applies. All capabilities are dropped but ``cap_add``.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    command: tuple[str, ...] = ()
    user: str = "0:0"
    hostname: str = ""
    attachment: Attachment | None = None
    join: str | None = None
    host_network: bool = False
    host_pid: bool = False
    cap_add: tuple[str, ...] = ()
    apparmor: bool = True
    """Whether AppArmor's profile for containers applies, where the machine has AppArmor."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[VolumeMount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    """path → options as of mount(8), such as ``size=16m,mode=0755,uid=901``."""
    devices: tuple[str, ...] = ()
    ulimits: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    stop_seconds: int = 10
    memory_bytes: int = 0
    """Hard limit, without swap; 0 is none."""
    cpu_shares: int = 0
    """Weight when there is less CPU time than asked for; 0 is the engine's default (1024)."""


ENDLESS = 1 << 62
"""Bytes of memory from which on a limit is none: kernels write their largest number for it."""


@dataclass(frozen=True)
class Limits:
    """Hard limits of a container; 0 is none. ``cpus`` is CPU time per time, memory is in bytes."""

    cpus: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class FileEntry:
    """A file to put into a container: absolute path, content, mode and numeric owner."""

    path: str
    data: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Container:
    """A container as the engine reports it."""

    id: str
    name: str
    image: str
    status: ContainerStatus
    labels: Mapping[str, str]
    exit_code: int | None = None
    """Only for ``exited`` and ``dead`` containers."""


@dataclass(frozen=True)
class Network:
    """A macvlan network: subnet in CIDR notation and the parent link on the engine's host."""

    name: str
    subnet: str
    parent: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Image:
    """An image: id, tags, size in bytes, labels, and the time at which it was made."""

    id: str
    tags: tuple[str, ...]
    size: int
    labels: Mapping[str, str]
    created: datetime = _UNKNOWN


@dataclass(frozen=True)
class ExecResult:
    """How a command in a container ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class EngineInfo:
    """The engine and its machine. ``kind`` is docker or podman; memory in bytes."""

    kind: Literal["docker", "podman"]
    version: str
    api_version: str
    cpus: int
    memory: int
    storage_driver: str
    cgroup_version: str
    rootless: bool
    root_dir: str
    remapped: bool = False
    """Users in containers are others on the machine (Docker's ``userns-remap``)."""


class Stream(Protocol):
    """A running command's standard output, a line at a time."""

    def __iter__(self) -> Iterator[str]:
        """Lines without their newline, as they come; ends when the command ends."""
        ...

    def close(self) -> None:
        """Stop reading; the command sees its output closed."""
        ...


class Engine(Protocol):
    """A container engine.

    Every method raises :class:`labctl.errors.EngineError` with one sentence when the engine
    refuses or cannot be reached. ``NotFound`` situations are stated at each method.
    """

    @property
    def url(self) -> str:
        """Where the engine is reached: another process can connect with it."""
        ...

    def info(self) -> EngineInfo:
        """Ask what the engine is and what its machine has."""
        ...

    # images
    def images(self, label: str) -> list[Image]:
        """All images that carry the label (key, or key=value)."""
        ...

    def image(self, tag: str) -> Image | None:
        """One image, or None."""
        ...

    def pull(self, tag: str) -> bool:
        """Pull an image; False when no registry that has it can be reached."""
        ...

    def import_image(self, tarball: str, tag: str, changes: Sequence[str]) -> None:
        """Make an image of a root file system's tar (a path here), with Dockerfile changes."""
        ...

    def build(
        self, context: bytes, tag: str, labels: Mapping[str, str], *, fresh: bool = False
    ) -> Iterator[str]:
        """Build a tar context with its Dockerfile; yields the log's lines as they come.

        ``fresh``: every step is done again, whatever was built before.
        """
        ...

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its tags; absent is well."""
        ...

    # networks
    def networks(self, lab: str | None = None) -> list[Network]:
        """Labelled networks, of one lab or of all."""
        ...

    def subnets(self) -> list[str]:
        """Subnets (CIDR) of every network of the engine, ours or not: what is taken."""
        ...

    def create_network(self, network: Network) -> None:
        """Create a macvlan network in bridge mode on ``network.parent``, without a default route.

        The subnet's first address stays free for the engine (its unused gateway).
        """
        ...

    def remove_network(self, name: str) -> None:
        """Remove; absent is well."""
        ...

    # volumes
    def volumes(self, lab: str) -> list[str]:
        """Names of a lab's volumes."""
        ...

    def create_volume(self, name: str, labels: Mapping[str, str], size: int = 0) -> None:
        """Create; present is well.

        With a ``size`` in bytes it is a file system in memory, empty whenever no container that
        runs has it mounted.
        """
        ...

    def remove_volume(self, name: str) -> None:
        """Remove; absent is well."""
        ...

    # containers
    def containers(self, lab: str | None = None) -> list[Container]:
        """Labelled containers in any state, of one lab or of all, in one question."""
        ...

    def create(self, spec: ContainerSpec) -> str:
        """Create without starting; returns the id."""
        ...

    def start(self, name: str) -> None:
        """Start; already running is well."""
        ...

    def stop(self, name: str, seconds: int) -> None:
        """Ask to end, kill after ``seconds``; not running is well."""
        ...

    def kill(self, name: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process; not running is well for SIGKILL."""
        ...

    def pause(self, name: str) -> None:
        """Freeze every process; already paused is well."""
        ...

    def unpause(self, name: str) -> None:
        """Thaw; not paused is well."""
        ...

    def limits(self, name: str) -> Limits:
        """The hard limits of a container in any state."""
        ...

    def limit(self, name: str, wanted: Limits) -> None:
        """Set hard limits, all of them, at once.

        A limit of memory that is below what its processes use may be refused, or the kernel kills
        one of them: that is the kernel's choice.
        """
        ...

    def remove(self, name: str) -> None:
        """Kill and remove with anonymous volumes; absent is well.

        Containers that ``join`` it cannot go on: Podman removes them along with it.
        """
        ...

    def wait(self, name: str, timeout: float) -> int:
        """Wait for the end; the exit code. EngineError after ``timeout`` seconds."""
        ...

    def logs(self, name: str, tail: int | None = None) -> str:
        """Standard output and error so far, the last ``tail`` lines of it."""
        ...

    def follow(self, name: str, tail: int | None = None) -> Stream:
        """The same, then what comes."""
        ...

    def put_files(self, name: str, files: Sequence[FileEntry]) -> None:
        """Write files into a container, created or running, making parent directories.

        Directories that exist stay as they are. Not beneath a tmpfs: it would hide them.
        """
        ...

    def read_file(self, name: str, path: str) -> bytes | None:
        """A file of a container in any state; None when there is none."""
        ...

    def exec(
        self,
        name: str,
        command: Sequence[str],
        *,
        stdin: bytes | None = None,
        user: str | None = None,
        timeout: float = 60.0,
    ) -> ExecResult:
        """Run a command to its end. EngineError when the container does not run."""
        ...

    def exec_stream(
        self, name: str, command: Sequence[str], *, stdin: bytes | None = None
    ) -> Stream:
        """Run a command and read its standard output as it comes.

        Without ``stdin`` the command's input stays open until the stream is closed or this
        process dies: a command that ends with its input ends then.
        """
        ...

    def exec_attached(
        self, name: str, command: Sequence[str], *, tty: bool, stdin: bool = True
    ) -> int:
        """Run a command on this terminal (or these pipes); returns its exit code.

        Without ``stdin`` our input is left to others. Whatever ends this process meanwhile ends
        the command. ReaderGoneError when nobody reads its output any more.
        """
        ...
