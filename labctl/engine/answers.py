"""What an engine's API answers, as the port's data; pure, for Docker and for Podman."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, cast, get_args

from labctl.engine.port import LABEL, Container, ContainerStatus, EngineInfo, Image, Network

PARENT_LABEL = "labctl.parent"
"""The network's parent link: Podman 4.3 does not tell its networks' options."""

_PODMAN_STATUS: dict[str, ContainerStatus] = {
    "configured": "created",
    "initialized": "created",
    "stopping": "running",
    "stopped": "exited",
    "removing": "dead",
}

_IMPLIED_REGISTRIES = re.compile(r"^(localhost|docker\.io)/(library/)?")
"""What Podman puts before names that were given without a registry."""


def engine_info(info: dict[str, Any], version: dict[str, Any]) -> EngineInfo:
    """From ``/info`` and ``/version``."""
    components = {part["Name"]: part for part in version.get("Components") or ()}
    podman = next((part for name, part in components.items() if "Podman" in name), None)
    return EngineInfo(
        kind="podman" if podman else "docker",
        version=str(podman["Version"] if podman else version["Version"]),
        api_version=str(version["ApiVersion"]),
        cpus=int(info["NCPU"]),
        memory=int(info["MemTotal"]),
        storage_driver=str(info["Driver"]),
        cgroup_version=str(info.get("CgroupVersion") or "1").removeprefix("v"),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or ()),
        root_dir=str(info["DockerRootDir"]),
        remapped="name=userns" in (info.get("SecurityOptions") or ()),
    )


def image(item: dict[str, Any]) -> Image:
    """From an entry of ``/images/json`` or from ``/images/<name>/json``."""
    labels = item.get("Labels") or (item.get("Config") or {}).get("Labels")
    return Image(
        id=item["Id"],
        tags=tuple(
            plain_tag(tag) for tag in item.get("RepoTags") or () if not tag.startswith("<none>")
        ),
        size=int(item["Size"]),
        labels=labels or {},
        created=_moment(item["Created"]),
    )


def _moment(said: int | str) -> datetime:
    """A time, which lists have in seconds and single objects in words."""
    if isinstance(said, int):
        return datetime.fromtimestamp(said, UTC)
    return datetime.fromisoformat(said)


def plain_tag(tag: str) -> str:
    """An image's name as it was given, without the registry that Podman puts before it."""
    return _IMPLIED_REGISTRIES.sub("", tag)


def network(item: dict[str, Any]) -> Network:
    """From an entry of ``/networks``."""
    labels = dict(item.get("Labels") or {})
    parent = labels.pop(PARENT_LABEL, "")
    return Network(
        name=item["Name"], subnet=next(iter(subnets(item)), ""), parent=parent, labels=labels
    )


def subnets(item: dict[str, Any]) -> list[str]:
    """Subnets of an entry of ``/networks``."""
    configs = (item.get("IPAM") or {}).get("Config") or ()
    return [config["Subnet"] for config in configs if config.get("Subnet")]


def container(item: dict[str, Any]) -> Container:
    """From an entry of ``/containers/json``."""
    status = item["State"]
    if status not in get_args(ContainerStatus):
        status = _PODMAN_STATUS.get(status, "dead")
    ended = re.match(r"(?:Exited|Dead)\s*\((\d+)\)", item.get("Status") or "")
    return Container(
        id=item["Id"],
        name=item["Names"][0].lstrip("/"),
        image=plain_tag(item["Image"]),
        status=cast("ContainerStatus", status),
        labels=item.get("Labels") or {},
        exit_code=int(ended[1]) if ended and status in {"exited", "dead"} else None,
    )


def selector(lab: str | None) -> str:
    """The label that is asked for: a lab's, or that of all labs."""
    return LABEL if lab is None else f"{LABEL}={lab}"


def ours(item: dict[str, Any], lab: str | None) -> bool:
    """Look again, though the engine was asked for these only: what is listed may be removed."""
    labels = item.get("Labels") or {}
    return LABEL in labels and lab in (None, labels[LABEL])


class RefusedError(Exception):
    """An event of a pull, import or build that says that it failed."""


def checked(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events; RefusedError with the engine's words for one that says that it failed."""
    for event in events:
        if "error" in event:
            raise RefusedError(event["error"])
        yield event


def finish(events: Iterable[dict[str, Any]]) -> None:
    """Wait for the last event."""
    for _ in checked(events):
        pass


def json_lines(answer: str) -> Iterator[dict[str, Any]]:
    """Events of an answer that came as a whole."""
    for line in answer.splitlines():
        if line.strip():
            yield json.loads(line)


def build_lines(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The lines of a build's log, of chunks that may end anywhere."""
    pending = ""
    for event in events:
        *whole, pending = (pending + event.get("stream", "")).split("\n")
        yield from whole
    if pending:
        yield pending
