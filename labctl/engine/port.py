"""What labctl needs from a container engine: the port that every adapter implements.

Plain frozen data goes in and comes out, so that plans can be made and tested without an engine.
Every object that labctl creates has :data:`LABEL` (its lab); an adapter never lists or touches
anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """A named volume mounted at a path. ``size`` in bytes if it is kept in memory; 0: on disk."""

    volume: str
    target: str
    size: int = 0


@dataclass(frozen=True)
class ContainerSpec:
    """Everything that decides how a container runs.

    At most one of ``attachment`` (own namespace on the lab's network), ``join`` (name of the
    container whose network namespace and host name are shared) and ``host_network`` is set;
    without them there is no network. All capabilities except ``cap_add`` are dropped.
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
    """path → options as for mount(8), such as ``size=16m,mode=0755,uid=901``."""
    devices: tuple[str, ...] = ()
    ulimits: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    stop_seconds: int = 10
    memory_bytes: int = 0
    """Hard limit, without swap; 0 is none."""
    cpu_shares: int = 0
    """Weight when containers compete for CPU time; 0 is the engine's default (1024)."""


ENDLESS = 1 << 62
"""Bytes of memory; a limit this large means none: kernels report their largest number then."""


@dataclass(frozen=True)
class Limits:
    """Hard limits of a container; 0 is none. ``cpus`` is a number of CPUs, memory is in bytes."""

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
class Sent:
    """A file that arrives in pieces: absolute path, bytes in all, and the pieces."""

    path: str
    size: int
    pieces: Iterable[bytes]


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
    """An image: id, tags, size in bytes, labels, and when it was created."""

    id: str
    tags: tuple[str, ...]
    size: int
    labels: Mapping[str, str]
    created: datetime = _UNKNOWN


@dataclass(frozen=True)
class ExecResult:
    """A finished command's exit code and output."""

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
    """Whether users in containers are mapped to others on the machine (``userns-remap``)."""


class Stream(Protocol):
    """A running command's standard output, a line at a time."""

    def __iter__(self) -> Iterator[str]:
        """Lines without their newline, as they arrive; ends when the command ends."""
        ...

    def close(self) -> None:
        """Stop reading; the command sees its output closed."""
        ...


class Engine(Protocol):
    """A container engine.

    Every method raises :class:`labctl.errors.EngineError` with one sentence when the engine
    refuses or cannot be reached. Methods say so where a missing object is no error.
    """

    @property
    def url(self) -> str:
        """The engine's URL, with which another process can connect."""
        ...

    def info(self) -> EngineInfo:
        """The engine's version and its machine's resources."""
        ...

    # images
    def images(self, label: str) -> list[Image]:
        """All images with the label (key, or key=value)."""
        ...

    def image(self, tag: str) -> Image | None:
        """One image, or None."""
        ...

    def pull(self, tag: str) -> bool:
        """Pull an image; False when no registry that has it can be reached."""
        ...

    def import_image(self, tarball: str, tag: str, changes: Sequence[str]) -> None:
        """Make an image from a root file system's tar (a local path), with Dockerfile changes."""
        ...

    def build(
        self, context: bytes, tag: str, labels: Mapping[str, str], *, fresh: bool = False
    ) -> Iterator[str]:
        """Build a tar context with its Dockerfile; yields log lines as they arrive.

        ``fresh``: without the build cache.
        """
        ...

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its tags; no-op if absent."""
        ...

    # networks
    def networks(self, lab: str | None = None) -> list[Network]:
        """Networks with our label, of one lab or of all."""
        ...

    def subnets(self) -> list[str]:
        """Subnets (CIDR) of all the engine's networks, ours or not: those that are taken."""
        ...

    def create_network(self, network: Network) -> None:
        """Create a macvlan network in bridge mode on ``network.parent``, without a default route.

        The subnet's first address stays free for the engine (its unused gateway).
        """
        ...

    def remove_network(self, name: str) -> None:
        """Remove; no-op if absent."""
        ...

    # volumes
    def volumes(self, lab: str) -> list[str]:
        """Names of a lab's volumes."""
        ...

    def create_volume(self, name: str, labels: Mapping[str, str], size: int = 0) -> None:
        """Create; no-op if it exists.

        With a ``size`` in bytes it is a file system in memory, whose content is lost when no
        running container has it mounted.
        """
        ...

    def remove_volume(self, name: str) -> None:
        """Remove; no-op if absent."""
        ...

    # containers
    def containers(self, lab: str | None = None) -> list[Container]:
        """Containers with our label in any state, of one lab or of all, in one request."""
        ...

    def create(self, spec: ContainerSpec) -> str:
        """Create without starting; returns the id."""
        ...

    def start(self, name: str) -> None:
        """Start; no-op if running."""
        ...

    def stop(self, name: str, seconds: int) -> None:
        """Send the stop signal, kill after ``seconds``; no-op if not running."""
        ...

    def kill(self, name: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process; SIGKILL is a no-op if it is not running."""
        ...

    def pause(self, name: str) -> None:
        """Freeze all processes; no-op if paused."""
        ...

    def unpause(self, name: str) -> None:
        """Resume all processes; no-op if not paused."""
        ...

    def limits(self, name: str) -> Limits:
        """The hard limits of a container in any state."""
        ...

    def limit(self, name: str, wanted: Limits) -> None:
        """Set all hard limits in one request.

        With a memory limit below what its processes use, the kernel either refuses or kills one
        of them.
        """
        ...

    def remove(self, name: str) -> None:
        """Kill and remove with anonymous volumes; no-op if absent.

        Containers that ``join`` it lose their network: Podman removes them along with it.
        """
        ...

    def wait(self, name: str, timeout: float) -> int:
        """Wait until it ends; returns the exit code. EngineError after ``timeout`` seconds."""
        ...

    def logs(self, name: str, tail: int | None = None) -> str:
        """Standard output and error so far, or only their last ``tail`` lines."""
        ...

    def follow(self, name: str, tail: int | None = None) -> Stream:
        """The same as :meth:`logs`, then new lines as they arrive."""
        ...

    def put_files(self, name: str, files: Sequence[FileEntry]) -> None:
        """Write files into a container, created or running, with missing parent directories.

        Existing directories are left unchanged. Not below a tmpfs, which would hide the files.
        """
        ...

    def read_file(self, name: str, path: str) -> bytes | None:
        """A file in a container in any state; None when there is none."""
        ...

    def send(self, name: str, files: Iterable[Sent]) -> None:
        """Write files piece by piece, that may be larger than memory.

        Root's, mode 0600, and not on a volume; otherwise as :meth:`put_files`.
        """
        ...

    def fetch(self, name: str, path: str) -> Iterator[bytes]:
        """A regular file in a container in any state, piece by piece; EngineError without one."""
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
        """Run a command and wait for it, at most ``timeout`` seconds.

        EngineError when the container is not running or the command does not end in time; it is
        left running then.
        """
        ...

    def exec_stream(
        self, name: str, command: Sequence[str], *, stdin: bytes | None = None
    ) -> Stream:
        """Run a command and read its standard output as it arrives.

        Without ``stdin`` the command's input stays open until the stream is closed or this
        process dies, so a command that exits at the end of its input exits then.
        """
        ...

    def exec_attached(
        self, name: str, command: Sequence[str], *, tty: bool, stdin: bool = True
    ) -> int:
        """Run a command on our terminal or pipes; returns its exit code.

        Without ``stdin`` our standard input is not read. If this process is interrupted, the
        command is ended too. ReaderGoneError when nobody reads our output any more.
        """
        ...
