"""The engine port on Docker's API: Docker itself (20.10 or later) and Podman (4.3 or later).

The only module that imports the Docker SDK, of which it uses the low-level client: one request
a question, and plain dictionaries.
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
    Stream,
)
from labctl.engine.refusals import gone, refused
from labctl.engine.spec import container_config, volume_options
from labctl.engine.ssh import Tunnel
from labctl.engine.streams import STDOUT, LineStream, text
from labctl.errors import EngineError
from labctl.model import reference

_CONNECTIONS = 64
"""How many threads may talk to the engine at once without opening connections anew."""


class DockerEngine:
    """An engine at a URL such as ``unix:///var/run/docker.sock``; safe to use from threads."""

    def __init__(self, url: str) -> None:
        """Connect; EngineError when nothing answers there."""
        self.url = url
        self._tunnel = Tunnel(url) if url.startswith("ssh:") else None
        near = self._tunnel.url if self._tunnel else url
        with self._doing("cannot connect"):
            # Any: the published stubs know only part of the low-level client.
            where = kwargs_from_env({**os.environ, "DOCKER_HOST": near})
            self._api: Any = docker.APIClient(**where, version="auto", max_pool_size=_CONNECTIONS)
            # No proxy stands before a socket; asking the environment at every call is dear.
            self._api.trust_env = not near.startswith("unix:")

    # the engine

    @cached_property
    def _about(self) -> EngineInfo:
        with self._doing("cannot ask the engine about itself"):
            return answers.engine_info(self._api.info(), self._api.version())

    def info(self) -> EngineInfo:
        """Ask what the engine is and what its machine has (asked once)."""
        return self._about

    # images

    def images(self, label: str) -> list[Image]:
        """All images that carry the label."""
        with self._doing("cannot list images"):
            found = self._api.images(filters={"label": label})
        return [answers.image(item) for item in found]

    def image(self, tag: str) -> Image | None:
        """One image, or None."""
        with self._doing(f"cannot look at image {tag}"):
            try:
                return answers.image(self._api.inspect_image(tag))
            except docker.errors.NotFound:
                return None

    def pull(self, tag: str) -> bool:
        """Pull an image; False when no registry that has it can be reached."""
        wanted = reference.parse(tag)
        try:
            with self._doing(f"cannot pull image {tag}"):
                events = self._api.pull(wanted.name, wanted.version, stream=True, decode=True)
                answers.finish(events)
        except EngineError:
            # The engine's words for "no such registry" are many: what counts is whether it is
            # there. A disk that is full shows again when the image is made in another way.
            self._ping()
        return self.image(tag) is not None

    def import_image(self, tarball: str, tag: str, changes: Sequence[str]) -> None:
        """Make an image of a root file system's tar, with Dockerfile changes."""
        if not Path(tarball).is_file():
            raise EngineError(f"cannot make image {tag}: there is no file {tarball}")
        with self._doing(f"cannot make image {tag}"):
            # The name with its tag, in one: Podman overlooks a tag that comes apart.
            said = self._api.import_image_from_file(tarball, tag, changes=list(changes))
            answers.finish(answers.json_lines(said))

    def build(
        self, context: bytes, tag: str, labels: Mapping[str, str], *, fresh: bool = False
    ) -> Iterator[str]:
        """Build a tar context with its Dockerfile; yields the log's lines as they come."""
        with self._doing(f"cannot build image {tag}"):
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
        """Remove an image and its tags; absent is well."""
        with self._doing(f"cannot remove image {image_id}"), suppress(docker.errors.NotFound):
            self._api.remove_image(image_id, force=True)

    # networks

    def networks(self, lab: str | None = None) -> list[Network]:
        """Labelled networks, of one lab or of all."""
        with self._doing("cannot list networks"):
            found = self._api.networks(filters={"label": answers.selector(lab)})
        return [answers.network(item) for item in found if answers.ours(item, lab)]

    def subnets(self) -> list[str]:
        """Subnets of every network of the engine."""
        with self._doing("cannot list networks"):
            return [subnet for item in self._api.networks() for subnet in answers.subnets(item)]

    def create_network(self, network: Network) -> None:
        """Create a macvlan network in bridge mode; the engine keeps the subnet's first address.

        It is internal: containers get no default route.
        """
        with self._doing(f"cannot create network {network.name}"):
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
        """Remove; absent is well."""
        with self._doing(f"cannot remove network {name}"), suppress(docker.errors.NotFound):
            self._api.remove_network(name)

    # volumes

    def volumes(self, lab: str) -> list[str]:
        """Names of a lab's volumes."""
        with self._doing("cannot list volumes"):
            found = self._api.volumes(filters={"label": answers.selector(lab)})["Volumes"]
        return [item["Name"] for item in found or () if answers.ours(item, lab)]

    def create_volume(self, name: str, labels: Mapping[str, str], size: int = 0) -> None:
        """Create; present is well."""
        with self._doing(f"cannot create volume {name}"):
            options = volume_options(size) or None
            self._api.create_volume(name, driver_opts=options, labels=dict(labels))

    def remove_volume(self, name: str) -> None:
        """Remove; absent is well."""
        with self._doing(f"cannot remove volume {name}"), suppress(docker.errors.NotFound):
            self._api.remove_volume(name)

    # containers

    def containers(self, lab: str | None = None) -> list[Container]:
        """Labelled containers in any state, of one lab or of all, in one question."""
        with self._doing("cannot list containers"):
            found = self._api.containers(all=True, filters={"label": answers.selector(lab)})
        return [answers.container(item) for item in found if answers.ours(item, lab)]

    def create(self, spec: ContainerSpec) -> str:
        """Create without starting; returns the id."""
        major, minor = self._api.api_version.split(".")
        config = container_config(
            spec,
            kind=self._about.kind,
            api=(int(major), int(minor)),
            ulimits=podman.default_ulimits(self.url) if self._about.kind == "podman" else {},
        )
        with self._doing(f"cannot create container {spec.name}"):
            return str(self._api.create_container_from_config(config, spec.name)["Id"])

    def start(self, name: str) -> None:
        """Start; already running is well."""
        with self._doing(f"cannot start container {name}"):
            self._api.start(name)

    def stop(self, name: str, seconds: int) -> None:
        """Ask to end, kill after ``seconds``; not running is well."""
        with self._doing(f"cannot stop container {name}"):
            try:
                self._api.stop(name, timeout=seconds)
            except APIError:
                if self._status(name) != "paused":
                    raise
                # Docker thaws what it stops, Podman refuses.
                self._api.unpause(name)
                self._api.stop(name, timeout=seconds)

    def kill(self, name: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the main process; not running is well for SIGKILL."""
        with self._doing(f"cannot send {signal} to container {name}"):
            try:
                self._api.kill(name, signal)
            except APIError:
                if signal != "SIGKILL" or self._status(name) in {"running", "paused"}:
                    raise

    def pause(self, name: str) -> None:
        """Freeze every process; already paused is well."""
        with self._doing(f"cannot pause container {name}"):
            try:
                self._api.pause(name)
            except APIError:
                if self._status(name) != "paused":
                    raise

    def unpause(self, name: str) -> None:
        """Thaw; not paused is well."""
        with self._doing(f"cannot unpause container {name}"):
            try:
                self._api.unpause(name)
            except APIError:
                if self._status(name) == "paused":
                    raise

    def limits(self, name: str) -> Limits:
        """The hard limits of a container in any state."""
        with self._doing(f"cannot look at container {name}"):
            return limits.found(self._api.inspect_container(name)["HostConfig"])

    def limit(self, name: str, wanted: Limits) -> None:
        """Set hard limits, all of them, at once."""
        with self._doing(f"cannot limit container {name}"):
            limits.update(self._api, name, wanted, self._about.kind)

    def remove(self, name: str) -> None:
        """Kill and remove with anonymous volumes; absent is well."""
        with self._doing(f"cannot remove container {name}"):
            removal.remove(self._api, name, self._about.kind)

    def wait(self, name: str, timeout: float) -> int:
        """Wait for the end; the exit code. EngineError after ``timeout`` seconds."""
        with self._doing(f"cannot wait for container {name}", f"within {timeout:g} seconds"):
            return int(self._api.wait(name, timeout=timeout)["StatusCode"])

    def logs(self, name: str, tail: int | None = None) -> str:
        """Standard output and error so far, the last ``tail`` lines of it."""
        with self._doing(f"cannot read the log of container {name}"):
            return text(self._api.logs(name, tail="all" if tail is None else tail))

    def follow(self, name: str, tail: int | None = None) -> Stream:
        """The same, then what comes."""
        with self._doing(f"cannot read the log of container {name}"):
            log = self._api.logs(
                name, stream=True, follow=True, tail="all" if tail is None else tail
            )
        return LineStream(log, log.close)

    # files

    def put_files(self, name: str, files: Sequence[FileEntry]) -> None:
        """Write files into a container, created or running; not beneath a tmpfs of it."""
        with self._doing(f"cannot write files into container {name}"):
            groups: Iterable[tuple[str, Sequence[FileEntry]]] = [("/", files)]
            if self._about.kind == "podman":
                groups = podman.by_mount(self._api, name, files)
            for root, group in groups:
                self._api.put_archive(name, root, archive.pack(group, root))

    def read_file(self, name: str, path: str) -> bytes | None:
        """A file of a container in any state; None when there is none."""
        with self._doing(f"cannot read {path} in container {name}"):
            return archive.follow_links(path, lambda where: self._first_file(name, where))

    def _first_file(self, name: str, path: str) -> tuple[bytes | None, str]:
        try:
            chunks, _ = self._api.get_archive(name, path)
        except docker.errors.NotFound:
            self._api.inspect_container(name)  # no such container is an error, no file is not
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
        """Run a command to its end; one that does not end in time is left running."""
        started = time.monotonic()
        doing = f"cannot run {command[0]} in container {name}"
        with self._doing(doing, f"within {timeout:g} seconds"):
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
        """Run a command and read its standard output as it comes.

        Without ``stdin`` the command's input stays open until the stream is closed (or labctl
        dies), so that a command which ends with its input ends then.
        """
        with self._doing(f"cannot run {command[0]} in container {name}"):
            _, channel = commands.start(self._api, name, command, with_input=True)
        if stdin is not None:
            channel.feed(stdin)
        output = (chunk for stream, chunk in channel.frames() if stream == STDOUT)
        return LineStream(output, channel.close)

    def exec_attached(
        self, name: str, command: Sequence[str], *, tty: bool, stdin: bool = True
    ) -> int:
        """Run a command on this terminal (or these pipes); returns its exit code.

        Whatever ends labctl meanwhile (a signal, output that nobody reads) ends the command.
        """
        with self._doing(f"cannot run {command[0]} in container {name}"):
            return commands.attached(self._api, name, command, tty=tty, stdin=stdin)

    # errors

    def _status(self, name: str) -> str:
        return str(self._api.inspect_container(name)["State"]["Status"])

    def _ping(self) -> None:
        with self._doing("cannot ask the engine"):
            self._api.ping()

    @contextmanager
    def _doing(self, what: str, limit: str = "in time") -> Iterator[None]:
        """Turn everything that the SDK and its HTTP client raise into one sentence."""
        try:
            yield
        except APIError as error:
            raise refused(what, str(error.explanation or error)) from error
        except (requests.Timeout, TimeoutError) as error:
            raise EngineError(f"{what}: it did not end {limit}") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if _timed_out(error):
                raise EngineError(f"{what}: it did not end {limit}") from error
            raise EngineError(gone(self.url)) from error
        except answers.RefusedError as error:
            raise refused(what, str(error)) from error
        except DockerException as error:
            if "Error while fetching server API version" in str(error):
                raise EngineError(gone(self.url)) from error
            raise refused(what, str(error)) from error


def _timed_out(error: BaseException) -> bool:
    return any("Read timed out" in str(part) for part in (error, *error.args))
