"""An engine in memory: the port's semantics without processes or a kernel."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from labctl.engine.port import (
    LABEL,
    Container,
    ContainerSpec,
    ContainerStatus,
    EngineInfo,
    ExecResult,
    FileEntry,
    Image,
    Limits,
    Network,
    Sent,
    Stream,
)
from labctl.engine.refusals import refusal, refused
from labctl.engine.streams import LineStream
from labctl.errors import EngineError
from tests.fakes import programs

INFO = EngineInfo(
    kind="docker",
    version="28.0",
    api_version="1.41",
    cpus=2,
    memory=24 << 30,
    storage_driver="memory",
    cgroup_version="2",
    rootless=False,
    root_dir="/nonexistent",
)
KILLED = 137


@dataclass
class _Box:
    id: str
    spec: ContainerSpec
    status: ContainerStatus = "created"
    code: int | None = None
    log: str = ""
    files: dict[str, FileEntry] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


class FakeEngine:
    """Engine for tests.

    ``main`` decides what a started container's process does and ``program`` what a command
    does (see tests.fakes.programs); ``failures`` maps (method, name) to the error it raises;
    ``calls`` is every change that was asked for, in order.
    """

    def __init__(
        self,
        *,
        main: Callable[[FakeEngine, ContainerSpec], programs.Main] = programs.main,
        program: programs.Program = programs.program,
        info: EngineInfo = INFO,
    ) -> None:
        self._main, self._program, self._info = main, program, info
        self._boxes: dict[str, _Box] = {}
        self._networks: dict[str, Network] = {}
        self._volumes: dict[str, tuple[dict[str, str], dict[str, FileEntry]]] = {}
        self._in_memory: set[str] = set()
        self._images: dict[str, Image] = {}
        self._ids = (f"{number:064x}" for number in itertools.count(1))
        self._lock = threading.RLock()
        self.url = "unix:fake"
        self.links: dict[str, str] = {}
        self.tables: set[str] = set()
        self.registry: set[str] = set()
        self.failures: dict[tuple[str, str], EngineError] = {}
        self.calls: list[tuple[str, str]] = []

    # scripting

    def add_image(self, tag: str, labels: Mapping[str, str] | None = None) -> None:
        """Have an image, with a shell's usual files."""
        self._images[tag] = Image(next(self._ids), (tag,), 1 << 20, dict(labels or {}))

    def hostname(self, name: str) -> str:
        """The host name that a container's processes see."""
        spec = self._box("cannot look at", name).spec
        return self.hostname(spec.join) if spec.join else spec.hostname

    def end(self, name: str, code: int = 0, log: str = "") -> None:
        """The container's main process ends by itself."""
        with self._lock:
            box = self._boxes[name]
            box.status, box.code, box.log = "exited", code, box.log + log
            self._empty_memory()

    def restart(self) -> None:
        """The engine, or its machine, starts anew: nothing runs any more."""
        with self._lock:
            for name, box in self._boxes.items():
                if box.status in ("running", "paused"):
                    self.end(name, KILLED)

    def prune(self, *, volumes: bool = False) -> None:
        """What ``docker system prune`` does; with ``volumes`` as engines before 23 did."""
        with self._lock:
            ended = [n for n, box in self._boxes.items() if box.status not in ("running", "paused")]
            for name in ended:
                del self._boxes[name]
            used = {
                box.spec.attachment.network for box in self._boxes.values() if box.spec.attachment
            }
            self._networks = {n: net for n, net in self._networks.items() if n in used}
            mounted = {m.volume for box in self._boxes.values() for m in box.spec.volumes}
            if volumes:
                self._volumes = {n: v for n, v in self._volumes.items() if n in mounted}

    def _empty_memory(self) -> None:
        """Volumes in memory lose what they hold when nothing that runs has them mounted."""
        boxes = self._boxes.values()
        alive = [box.spec for box in boxes if box.status in ("running", "paused")]
        mounted = {mount.volume for spec in alive for mount in spec.volumes}
        for name in self._in_memory - mounted:
            self._volumes.get(name, ({}, {}))[1].clear()

    @contextmanager
    def _doing(self, method: str, name: str) -> Iterator[None]:
        with self._lock:
            self.calls.append((method, name))
            if error := self.failures.get((method, name)):
                raise error
            yield
            self._empty_memory()

    def _box(self, doing: str, name: str) -> _Box:
        if name not in self._boxes:
            raise EngineError(refusal(f"{doing} container {name}", "no such container"))
        return self._boxes[name]

    def _running(self, doing: str, name: str) -> _Box:
        box = self._box(doing, name)
        if box.status != "running":
            said = "is paused" if box.status == "paused" else "is not running"
            raise EngineError(refusal(f"{doing} container {name}", said))
        return box

    # engine and images

    def info(self) -> EngineInfo:
        return self._info

    def images(self, label: str) -> list[Image]:
        key, _, value = label.partition("=")
        return [
            image
            for image in self._images.values()
            if key in image.labels and (not value or image.labels[key] == value)
        ]

    def image(self, tag: str) -> Image | None:
        return self._images.get(tag)

    def pull(self, tag: str) -> bool:
        if tag in self.registry:
            self.add_image(tag)
        return tag in self._images

    def import_image(self, tarball: str, tag: str, changes: Sequence[str]) -> None:
        with self._doing("import_image", tag):
            if not Path(tarball).is_file():
                raise EngineError(f"cannot make image {tag}: there is no file {tarball}")
            self.add_image(tag)

    def build(
        self, context: bytes, tag: str, labels: Mapping[str, str], *, fresh: bool = False
    ) -> Iterator[str]:
        with self._doing("build afresh" if fresh else "build", tag):
            self.add_image(tag, labels)
        yield f"Successfully tagged {tag}"

    def remove_image(self, image_id: str) -> None:
        with self._doing("remove_image", image_id):
            for tag, image in list(self._images.items()):
                if image_id in (image.id, tag):
                    del self._images[tag]

    # networks and volumes

    def networks(self, lab: str | None = None) -> list[Network]:
        return [n for n in list(self._networks.values()) if _of(lab, n.labels)]

    def subnets(self) -> list[str]:
        return [network.subnet for network in self._networks.values()]

    def create_network(self, network: Network) -> None:
        with self._doing("create_network", network.name):
            doing = f"cannot create network {network.name}"
            for other in self._networks.values():
                if other.name == network.name:
                    said = f"network with name {network.name} already exists"
                    raise EngineError(refusal(doing, said))
                if IPv4Network(other.subnet).overlaps(IPv4Network(network.subnet)):
                    raise refused(doing, "pool overlaps with other one on this address space")
            self._networks[network.name] = network

    def remove_network(self, name: str) -> None:
        with self._doing("remove_network", name):
            self._networks.pop(name, None)

    def volumes(self, lab: str) -> list[str]:
        return [name for name, (labels, _) in self._volumes.items() if _of(lab, labels)]

    def create_volume(self, name: str, labels: Mapping[str, str], size: int = 0) -> None:
        with self._doing("create_volume", name):
            self._volumes.setdefault(name, (dict(labels), {}))
            if size:
                self._in_memory.add(name)

    def remove_volume(self, name: str) -> None:
        with self._doing("remove_volume", name):
            self._volumes.pop(name, None)

    # containers

    def containers(self, lab: str | None = None) -> list[Container]:
        with self._lock:
            return [
                Container(
                    id=box.id,
                    name=box.spec.name,
                    image=box.spec.image,
                    status=box.status,
                    labels=dict(box.spec.labels),
                    exit_code=box.code if box.status in ("exited", "dead") else None,
                )
                for box in self._boxes.values()
                if _of(lab, box.spec.labels)
            ]

    def create(self, spec: ContainerSpec) -> str:
        with self._doing("create", spec.name):
            doing = f"cannot create container {spec.name}"
            if spec.name in self._boxes:
                said = f'container name "{spec.name}" is already in use'
                raise EngineError(refusal(doing, said))
            if spec.image not in self._images:
                raise EngineError(refusal(doing, "no such image"))
            if spec.join is not None and spec.join not in self._boxes:
                raise EngineError(refusal(doing, "no such container"))
            box = _Box(next(self._ids), spec, limits=Limits(memory=spec.memory_bytes))
            for mount in spec.volumes:
                self._volumes.setdefault(mount.volume, ({}, {}))
            self._boxes[spec.name] = box
            return box.id

    def start(self, name: str) -> None:
        with self._doing("start", name):
            box = self._box("cannot start", name)
            if box.status in ("running", "paused"):
                return
            if box.spec.join is not None:
                self._running("cannot start", box.spec.join)
            self._claim_address(box)
            box.status, box.code = "running", None
            self._take_names(box)
            ended = self._main(self, box.spec)
            box.log += ended.log
            if ended.code is not None:
                box.status, box.code = "exited", ended.code

    def _take_names(self, box: _Box) -> None:
        """What a holder does when it starts, and at SIGHUP."""
        if box.spec.attachment is not None:
            names = self._place(box.spec.name, "/var/lib/labctl/hosts").get("/var/lib/labctl/hosts")
            if names is not None:
                box.files["/etc/hosts"] = FileEntry("/etc/hosts", names.data)

    def _claim_address(self, box: _Box) -> None:
        wanted = box.spec.attachment
        for other in self._boxes.values():
            has = other.spec.attachment
            if other is box or not wanted or not has or other.status not in ("running", "paused"):
                continue
            if (has.network, has.address) == (wanted.network, wanted.address):
                doing = f"cannot start container {box.spec.name}"
                raise EngineError(refusal(doing, "address already in use"))

    def stop(self, name: str, seconds: int) -> None:
        with self._doing("stop", name):
            box = self._box("cannot stop", name)
            if box.status in ("running", "paused"):
                box.status, box.code = "exited", 0

    def kill(self, name: str, signal: str = "SIGKILL") -> None:
        with self._doing("kill", name):
            doing = f"cannot send {signal} to"
            if signal != "SIGKILL":
                box = self._running(doing, name)
                if signal == "SIGHUP":
                    self._take_names(box)
                return
            box = self._box(doing, name)
            if box.status in ("running", "paused"):
                box.status, box.code = "exited", KILLED

    def pause(self, name: str) -> None:
        with self._doing("pause", name):
            if self._box("cannot pause", name).status != "paused":
                self._running("cannot pause", name).status = "paused"

    def unpause(self, name: str) -> None:
        with self._doing("unpause", name):
            box = self._box("cannot unpause", name)
            if box.status == "paused":
                box.status = "running"

    def limits(self, name: str) -> Limits:
        return self._box("cannot look at", name).limits

    def limit(self, name: str, wanted: Limits) -> None:
        with self._doing("limit", name):
            self._box("cannot limit", name).limits = wanted

    def remove(self, name: str) -> None:
        with self._doing("remove", name):
            self._boxes.pop(name, None)

    def wait(self, name: str, timeout: float) -> int:
        box = self._box("cannot wait for", name)
        if box.status in ("running", "paused"):
            raise EngineError(
                f"cannot wait for container {name}: it did not end within {timeout:g} seconds"
            )
        return box.code or 0

    def logs(self, name: str, tail: int | None = None) -> str:
        lines = self._box("cannot read the log of", name).log.splitlines(keepends=True)
        return "".join(lines if tail is None else lines[len(lines) - tail :])

    def follow(self, name: str, tail: int | None = None) -> Stream:
        return LineStream([self.logs(name, tail).encode()], lambda: None)

    # files and commands

    def _place(self, name: str, path: str) -> dict[str, FileEntry]:
        """Where a container's path lies: on a volume, in its holder's /etc/hosts, or its own."""
        spec = self._box("cannot look at", name).spec
        for mount in spec.volumes:
            if path.startswith(mount.target + "/"):
                return self._volumes[mount.volume][1]
        if spec.join is not None and path == "/etc/hosts":
            return self._place(spec.join, path)
        return self._boxes[name].files

    def put_files(self, name: str, files: Sequence[FileEntry]) -> None:
        with self._doing("put_files", name):
            self._box("cannot write files into", name)
            for file in files:
                self._place(name, file.path)[file.path] = file

    def read_file(self, name: str, path: str) -> bytes | None:
        with self._lock:
            self._box(f"cannot read {path} in", name)
            file = self._place(name, path).get(path)
            return file.data if file else None

    def send(self, name: str, files: Iterable[Sent]) -> None:
        whole = [(file, b"".join(file.pieces)) for file in files]
        assert all(len(data) == file.size for file, data in whole)
        self.put_files(name, [FileEntry(file.path, data, 0o600) for file, data in whole])

    def fetch(self, name: str, path: str) -> Iterator[bytes]:
        data = self.read_file(name, path)
        if data is None:
            doing = f"cannot read {path} in container {name}"
            raise EngineError(refusal(doing, "no such file"))
        yield from (data[at : at + 1000] for at in range(0, len(data), 1000))

    def exec(
        self,
        name: str,
        command: Sequence[str],
        *,
        stdin: bytes | None = None,
        user: str | None = None,
        timeout: float = 60.0,
    ) -> ExecResult:
        with self._doing("exec", name):
            self._running(f"cannot run {command[0]} in", name)
        return self._program(self, name, command, stdin or b"")

    def exec_stream(
        self, name: str, command: Sequence[str], *, stdin: bytes | None = None
    ) -> Stream:
        result = self.exec(name, command, stdin=stdin)
        return LineStream([result.stdout.encode()], lambda: None)

    def exec_attached(
        self, name: str, command: Sequence[str], *, tty: bool, stdin: bool = True
    ) -> int:
        return self.exec(name, command).code


def _of(lab: str | None, labels: Mapping[str, str]) -> bool:
    return LABEL in labels and lab in (None, labels[LABEL])
