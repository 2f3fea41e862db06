"""The engine port on Docker's API: Docker itself (20.10 or later) and Podman (4.3 or later).

The only module that imports the Docker SDK. It uses the low-level client, which makes one
request per call and returns plain dictionaries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from labctl.engine import answers, archive, commands, limits, podman, removal
from labctl.engine.port import (
    Container,
    ContainerSpec,
    EngineInfo,
    ExecResult,
    FileEntry,
    Image,
    Limits,
    Network,
    Sent,
    Stream,
)
from labctl.engine.refusals import refused, unreachable
from labctl.engine.spec import container_config, volume_options
from labctl.engine.ssh import Tunnel
from labctl.engine.streams import STDOUT, LineStream, text
from labctl.errors import EngineError
from labctl.model import reference

_CONNECTIONS = 64
"""How many threads can talk to the engine at once without opening new connections."""


class DockerEngine:
    """An engine at a URL such as ``unix:///var/run/docker.sock``; safe to use from threads."""

    def __init__(self, url: str) -> None:
        """Connect; EngineError when nothing answers there."""
        self.url = url
        self._tunnel = Tunnel(url) if url.startswith("ssh:") else None
        local = self._tunnel.url if self._tunnel else url
        with self._translated("cannot connect"), _url_checked(url):
            # Any: the published stubs cover only part of the low-level client.
            where = kwargs_from_env({**os.environ, "DOCKER_HOST": local})
            self._api: Any = docker.APIClient(**where, version="auto", max_pool_size=_CONNECTIONS)
            # A socket has no proxy, and looking for one in the environment slows every call.
            self._api.trust_env = not local.startswith("unix:")

    # the engine

    @cached_property
    def _info(self) -> EngineInfo:
        with self._translated("cannot ask the engine about itself"):
            return answers.engine_info(self._api.info(), self._api.version())

    def info(self) -> EngineInfo:
        """The engine's version and its machine's resources (asked once, then cached)."""
        return self._info

    # images

    def images(self, label: str) -> list[Image]:
        """All images with the label."""
        with self._translated("cannot list images"):
            found = self._api.images(filters={"label": label})
        return [answers.image(item) for item in found]

    def image(self, tag: str) -> Image | None:
        """One image, or None."""
        with self._translated(f"cannot look at image {tag}"):
            try:
                return answers.image(self._api.inspect_image(tag))
            except docker.errors.NotFound:
                return None

    def pull(self, tag: str) -> bool:
        """Pull an image; False when no registry that has it can be reached."""
        wanted = reference.parse(tag)
        try:
            with self._translated(f"cannot pull image {tag}"):
                events = self._api.pull(wanted.name, wanted.version, stream=True, decode=True)
                answers.drain(events)
        except EngineError:
            # Engines have many messages for "no such registry", so any failure counts as that
            # while the engine itself answers. Others, such as a full disk, show up again when the
            # image is made in another way.
            self._ping()
        return self.image(tag) is not None

    def import_image(self, tarball: str, tag: str, changes: Sequence[str]) -> None:
        """Make an image from a root file system's tar, with Dockerfile changes."""
        if not Path(tarball).is_file():
            raise EngineError(f"cannot make image {tag}: there is no file {tarball}")
        with self._translated(f"cannot make image {tag}"):
            # Name and tag in one argument: Podman ignores a separate tag.
            response = self._api.import_image_from_file(tarball, tag, changes=list(changes))
            answers.drain(answers.json_lines(response))

    def build(
        self, context: bytes, tag: str, labels: Mapping[str, str], *, fresh: bool = False
    ) -> Iterator[str]:
        """Build a tar context with its Dockerfile; yields log lines as they arrive."""
        with self._translated(f"cannot build image {tag}"):
            log = self._api.build(
                fileobj=BytesIO(context),
                custom_context=True,
                tag=tag,
                labels=dict(labels),
                nocache=fresh,
                rm=True,
                forcerm=True,
                decode=True,
            )
            yield from answers.build_lines(answers.checked(log))

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its tags; no-op if absent."""
        with self._translated(f"cannot remove image {image_id}"), suppress(docker.errors.NotFound):
            self._api.remove_image(image_id, force=True)

    # networks

    def networks(self, lab: str | None = None) -> list[Network]:
        """Networks with our label, of one lab or of all."""
        with self._translated("cannot list networks"):
            found = self._api.networks(filters={"label": answers.label_filter(lab)})
        return [answers.network(item) for item in found if answers.has_lab_label(item, lab)]

    def subnets(self) -> list[str]:
        """Subnets (CIDR) of all the engine's networks."""
        with self._translated("cannot list networks"):
            return [subnet for item in self._api.networks() for subnet in answers.subnets(item)]

    def create_network(self, network: Network) -> None:
        """Create a macvlan network in bridge mode; the engine reserves the subnet's first address.

        It is internal: containers get no default route.
        """
        with self._translated(f"cannot create network {network.name}"):
            self._api.create_network(
                network.name,
                driver="macvlan",
                options={"parent": network.parent, "macvlan_mode": "bridge"},
                ipam={"Driver": "default", "Config": [{"Subnet": network.subnet}]},
                check_duplicate=True,
                internal=True,
                labels={**network.labels, answers.PARENT_LABEL: network.parent},
            )

    def remove_network(self, name: str) -> None:
        """Remove; no-op if absent."""
        with self._translated(f"cannot remove network {name}"), suppress(docker.errors.NotFound):
            self._api.remove_network(name)

    # volumes

    def volumes(self, lab: str) -> list[str]:
        """Names of a lab's volumes."""
        with self._translated("cannot list volumes"):
            found = self._api.volumes(filters={"label": answers.label_filter(lab)})["Volumes"]
        return [item["Name"] for item in found or () if answers.has_lab_label(item, lab)]

    def create_volume(self, name: str, labels: Mapping[str, str], size: int = 0) -> None:
        """Create; no-op if it exists."""
        with self._translated(f"cannot create volume {name}"):
            options = volume_options(size) or None
            self._api.create_volume(name, driver_opts=options, labels=dict(labels))

    def remove_volume(self, name: str) -> None:
        """Remove; no-op if absent."""
        with self._translated(f"cannot remove volume {name}"), suppress(docker.errors.NotFound):
            self._api.remove_volume(name)

    # containers

    def containers(self, lab: str | None = None) -> list[Container]:
        """Containers with our label in any state, of one lab or of all, in one request."""
        with self._translated("cannot list containers"):
            found = self._api.containers(all=True, filters={"label": answers.label_filter(lab)})
        return [answers.container(item) for item in found if answers.has_lab_label(item, lab)]

    def create(self, spec: ContainerSpec) -> str:
        """Create without starting; returns the id."""
        major, minor = self._api.api_version.split(".")
        config = container_config(
            spec,
            kind=self._info.kind,
            api=(int(major), int(minor)),
            ulimits=podman.default_ulimits(self.url) if self._info.kind == "podman" else {},
        )
        with self._translated(f"cannot create container {spec.name}"):
            return str(self._api.create_container_from_config(config, spec.name)["Id"])

    def start(self, name: str) -> None:
        """Start; no-op if running."""
        with self._translated(f"cannot start container {name}"):
            self._api.start(name)

    def stop(self, name: str, seconds: int) -> None:
        """Send the stop signal, kill after ``seconds``; no-op if not running."""
        with self._translated(f"cannot stop container {name}"):
            try:
                self._api.stop(name, timeout=seconds)
            except APIError:
                if self._status(name) != "paused":
                    raise
                # Docker can stop a paused container, Podman refuses.
                self._api.unpause(name)
                self._api.stop(name, timeout=seconds)

    def kill(self, name: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process; SIGKILL is a no-op if it is not running."""
        with self._translated(f"cannot send {signal} to container {name}"):
            try:
                self._api.kill(name, signal)
            except APIError:
                if signal != "SIGKILL" or self._status(name) in {"running", "paused"}:
                    raise

    def pause(self, name: str) -> None:
        """Freeze all processes; no-op if paused."""
        with self._translated(f"cannot pause container {name}"):
            try:
                self._api.pause(name)
            except APIError:
                if self._status(name) != "paused":
                    raise

    def unpause(self, name: str) -> None:
        """Resume all processes; no-op if not paused."""
        with self._translated(f"cannot unpause container {name}"):
            try:
                self._api.unpause(name)
            except APIError:
                if self._status(name) == "paused":
                    raise

    def limits(self, name: str) -> Limits:
        """The hard limits of a container in any state."""
        with self._translated(f"cannot look at container {name}"):
            return limits.found(self._api.inspect_container(name)["HostConfig"])

    def limit(self, name: str, wanted: Limits) -> None:
        """Set all hard limits in one request."""
        with self._translated(f"cannot limit container {name}"):
            limits.update(self._api, name, wanted, self._info.kind)

    def remove(self, name: str) -> None:
        """Kill and remove with anonymous volumes; no-op if absent."""
        with self._translated(f"cannot remove container {name}"):
            removal.remove(self._api, name, self._info.kind)

    def wait(self, name: str, timeout: float) -> int:
        """Wait until it ends; returns the exit code. EngineError after ``timeout`` seconds."""
        with self._translated(f"cannot wait for container {name}", f"within {timeout:g} seconds"):
            return int(self._api.wait(name, timeout=timeout)["StatusCode"])

    def logs(self, name: str, tail: int | None = None) -> str:
        """Standard output and error so far, or only their last ``tail`` lines."""
        with self._translated(f"cannot read the log of container {name}"):
            return text(self._api.logs(name, tail="all" if tail is None else tail))

    def follow(self, name: str, tail: int | None = None) -> Stream:
        """The same as :meth:`logs`, then new lines as they arrive."""
        with self._translated(f"cannot read the log of container {name}"):
            log = self._api.logs(
                name, stream=True, follow=True, tail="all" if tail is None else tail
            )
        return LineStream(log, log.close)

    # files

    def put_files(self, name: str, files: Sequence[FileEntry]) -> None:
        """Write files into a container, created or running; not below one of its tmpfs."""
        with self._translated(f"cannot write files into container {name}"):
            groups: Iterable[tuple[str, Sequence[FileEntry]]] = [("/", files)]
            if self._info.kind == "podman":
                groups = podman.by_mount(self._api, name, files)
            for root, group in groups:
                self._api.put_archive(name, root, archive.pack(group, root))

    def read_file(self, name: str, path: str) -> bytes | None:
        """A file in a container in any state; None when there is none."""
        with self._translated(f"cannot read {path} in container {name}"):
            return archive.follow_links(path, lambda where: self._first_file(name, where))

    def send(self, name: str, files: Iterable[Sent]) -> None:
        """Write files piece by piece; not on a volume."""
        with self._translated(f"cannot write files into container {name}"):
            self._api.put_archive(name, "/", archive.packing(files))

    def fetch(self, name: str, path: str) -> Iterator[bytes]:
        """A regular file in a container in any state, piece by piece."""
        with self._translated(f"cannot read {path} in container {name}"):
            chunks, _ = self._api.get_archive(name, path)
            yield from archive.unpacking(chunks)

    def _first_file(self, name: str, path: str) -> tuple[bytes | None, str]:
        try:
            chunks, _ = self._api.get_archive(name, path)
        except docker.errors.NotFound:
            self._api.inspect_container(name)  # raises if it is the container that is missing
            return None, ""
        return archive.first_file(chunks)

    # commands

    def exec(
        self,
        name: str,
        command: Sequence[str],
        *,
        stdin: bytes | None = None,
        user: str | None = None,
        timeout: float = 60.0,
    ) -> ExecResult:
        """Run a command and wait for it; one that does not end in time is left running."""
        started = time.monotonic()
        doing = f"cannot run {command[0]} in container {name}"
        with self._translated(doing, f"within {timeout:g} seconds"):
            run, channel = commands.start(
                self._api, name, command, with_input=stdin is not None, user=user
            )
            try:
                if stdin is not None:
                    channel.feed(stdin)
                out, err = channel.collect(started + timeout)
            finally:
                channel.close()
            return ExecResult(commands.exit_code(self._api, run), out, err)

    def exec_stream(
        self, name: str, command: Sequence[str], *, stdin: bytes | None = None
    ) -> Stream:
        """Run a command and read its standard output as it arrives.

        Without ``stdin`` the command's input stays open until the stream is closed or labctl
        dies, so a command that exits at the end of its input exits then.
        """
        with self._translated(f"cannot run {command[0]} in container {name}"):
            _, channel = commands.start(self._api, name, command, with_input=True)
        if stdin is not None:
            channel.feed(stdin)
        output = (chunk for stream, chunk in channel.frames() if stream == STDOUT)
        return LineStream(output, channel.close)

    def exec_attached(
        self, name: str, command: Sequence[str], *, tty: bool, stdin: bool = True
    ) -> int:
        """Run a command on our terminal or pipes; returns its exit code.

        If labctl is interrupted (by a signal, or because nobody reads the output), the command is
        ended too.
        """
        with self._translated(f"cannot run {command[0]} in container {name}"):
            return commands.attached(self._api, name, command, tty=tty, stdin=stdin)

    # errors

    def _status(self, name: str) -> str:
        return str(self._api.inspect_container(name)["State"]["Status"])

    def _ping(self) -> None:
        with self._translated("cannot ask the engine"):
            self._api.ping()

    @contextmanager
    def _translated(self, what: str, limit: str = "in time") -> Iterator[None]:
        """Turn all errors of the SDK and its HTTP client into an EngineError of one sentence.

        ``what`` says what failed, as in ``cannot start x``; ``limit`` is the time limit in words.
        """
        try:
            yield
        except APIError as error:
            raise refused(what, str(error.explanation or error)) from error
        except (requests.Timeout, TimeoutError) as error:
            raise EngineError(f"{what}: it did not end {limit}") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if _timed_out(error):
                raise EngineError(f"{what}: it did not end {limit}") from error
            raise EngineError(unreachable(self.url)) from error
        except answers.RefusedError as error:
            raise refused(what, str(error)) from error
        except DockerException as error:
            if "Error while fetching server API version" in str(error):
                raise EngineError(unreachable(self.url)) from error
            raise refused(what, str(error)) from error


def _timed_out(error: BaseException) -> bool:
    return any("Read timed out" in str(part) for part in (error, *error.args))


@contextmanager
def _url_checked(url: str) -> Iterator[None]:
    """EngineError for a URL that the SDK, and what it is made of, cannot take apart."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if isinstance(error, requests.RequestException):
            raise
        raise EngineError(
            f"there is no engine at {url}: that is no URL such as unix:///var/run/docker.sock"
        ) from error
