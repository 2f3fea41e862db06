"""Convert API responses of Docker and Podman to the port's data types. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, cast, get_args

from labctl.engine.port import LABEL, Container, ContainerStatus, EngineInfo, Image, Network

PARENT_LABEL = "labctl.parent"
"""Label with the network's parent link: Podman 4.3 does not report a network's options."""

_PODMAN_STATUS: dict[str, ContainerStatus] = {
    "configured": "created",
    "initialized": "created",
    "stopping": "running",
    "stopped": "exited",
    "removing": "dead",
}

_IMPLIED_REGISTRIES = re.compile(r"^(localhost|docker\.io)/(library/)?")
"""Prefix that Podman adds to names given without a registry."""


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
        created=_timestamp(item["Created"]),
    )


def _timestamp(value: int | str) -> datetime:
    """A time: lists give seconds since the epoch, single objects ISO 8601 text."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value)


def plain_tag(tag: str) -> str:
    """An image's name as it was given, without the registry prefix that Podman adds."""
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


def label_filter(lab: str | None) -> str:
    """The label to filter a list by: objects of one lab, or of all labs."""
    return LABEL if lab is None else f"{LABEL}={lab}"


def has_lab_label(item: dict[str, Any], lab: str | None) -> bool:
    """Check the label again after filtering: what is listed may later be removed."""
    labels = item.get("Labels") or {}
    return LABEL in labels and lab in (None, labels[LABEL])


class RefusedError(Exception):
    """An event stream of a pull, import or build reported a failure."""


def checked(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pass events on; RefusedError with the engine's message if one reports a failure."""
    for event in events:
        if "error" in event:
            raise RefusedError(event["error"])
        yield event


def drain(events: Iterable[dict[str, Any]]) -> None:
    """Read all events; RefusedError if one reports a failure."""
    for _ in checked(events):
        pass


def json_lines(answer: str) -> Iterator[dict[str, Any]]:
    """Events of a response that was read completely: one JSON object per line."""
    for line in answer.splitlines():
        if line.strip():
            yield json.loads(line)


def build_lines(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The lines of a build's log; an event may end in the middle of a line."""
    pending = ""
    for event in events:
        *whole, pending = (pending + event.get("stream", "")).split("\n")
        yield from whole
    if pending:
        yield pending
