"""What a thing needs before there can be one: an image that boots, a flavor, a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.workloads.cloud import Cloud

GUEST = Path("/usr/share/labctl/guest")
"""The client image's guest: kernel, ramdisk, disk."""
_OK = frozenset({200, 201, 202, 203, 204})
_SLOW = 120.0
_VOLUME = 60.0
"""Seconds until a volume must be available."""

Found = Mapping[str, Any]
"""What has been laid so far, by name."""


@dataclass(frozen=True)
class _Piece:
    """How a piece of ground is made, and in which list what was made is found again."""

    make: Callable[[Cloud, str, Found], Mapping[str, Any]]
    service: str = ""
    path: str = ""
    many: str = ""


def lay(cloud: Cloud, run: str, finds: Collection[str], *, remove: bool = False) -> dict[str, Any]:
    """Make what is asked for, in that order; its ids by name. Or remove what a run has made so."""
    found: dict[str, Any] = {}
    for name in reversed(tuple(finds)) if remove else finds:
        if remove:
            _remove(cloud, _PIECES[name], f"{run}.")
        else:
            found |= _PIECES[name].make(cloud, run, found)
    return found


def _flavor(cloud: Cloud, run: str, _: Found) -> Mapping[str, Any]:
    flavor = {"name": f"{run}.flavor", "vcpus": 1, "ram": 96, "disk": 0}
    return {"flavor": _post(cloud, "compute", "/flavors", flavor=flavor)["flavor"]["id"]}


def _network(cloud: Cloud, run: str, _: Found) -> Mapping[str, Any]:
    network = _post(cloud, "network", "/v2.0/networks", network={"name": f"{run}.network"})
    wanted = {"network_id": network["network"]["id"], "ip_version": 4, "cidr": "10.72.0.0/22"}
    subnet = _post(cloud, "network", "/v2.0/subnets", subnet=wanted)
    return {"network": network["network"]["id"], "subnet": subnet["subnet"]["id"]}


def _guest(cloud: Cloud, run: str, _: Found) -> Mapping[str, Any]:
    kernel = _upload(cloud, run, "vmlinuz", "aki", "aki")
    ramdisk = _upload(cloud, run, "initrd", "ari", "ari")
    parts = {"kernel_id": kernel, "ramdisk_id": ramdisk, "os_command_line": "console=ttyS0"}
    return {"image": _upload(cloud, run, "disk", "raw", "bare", **parts)}


def _upload(cloud: Cloud, run: str, name: str, disk: str, container: str, **more: str) -> str:
    body = {"name": f"{run}.{name}", "disk_format": disk, "container_format": container, **more}
    image = str(_post(cloud, "image", "/v2/images", **body)["id"])
    with (GUEST / name).open("rb") as file:
        cloud.request(
            "image",
            "PUT",
            f"/v2/images/{image}/file",
            expect=_OK,
            data=file,
            headers={"Content-Type": "application/octet-stream"},
            timeout=_SLOW,
        )
    return image


def _volume(cloud: Cloud, run: str, _: Found) -> Mapping[str, Any]:
    wanted = {"name": f"{run}.volume", "size": 1}
    volume = _post(cloud, "volumev3", "/volumes", volume=wanted)["volume"]["id"]
    end = time.monotonic() + _VOLUME
    while True:
        answer = cloud.request("volumev3", "GET", f"/volumes/{volume}", expect=_OK)
        status = answer.json()["volume"]["status"]
        if status == "available":
            return {"volume": volume}
        if status == "error" or time.monotonic() > end:
            raise RuntimeError(f"the volume to work on is {status}")
        time.sleep(1)


def _plugin(cloud: Cloud, _: str, __: Found) -> Mapping[str, Any]:
    """Sahara's first plugin, with a version and a process of it."""
    plugin = cloud.request("data-processing", "GET", "/plugins", expect=_OK).json()["plugins"][0]
    name, version = plugin["name"], next(iter(plugin["versions"]))
    path = f"/plugins/{name}/{version}"
    shown = cloud.request("data-processing", "GET", path, expect=_OK).json()["plugin"]
    process = next(each for group in shown["node_processes"].values() for each in group)
    return {"plugin": {"name": name, "version": version, "process": process}}


def _group(cloud: Cloud, run: str, found: Found) -> Mapping[str, Any]:
    """A node group template, and the image made known to Sahara, so that clusters can be made."""
    body = node_group(f"{run}.group", found)
    template = _post(cloud, "data-processing", "/node-group-templates", **body)
    path = f"/images/{found['image']}"
    _post(cloud, "data-processing", path, username="lab", description="")
    tags = [found["plugin"]["name"], found["plugin"]["version"]]
    cloud.request("data-processing", "PUT", f"{path}/tags", json={"tags": tags}, expect=_OK)
    return {"group": template["node_group_template"]["id"]}


def node_group(name: str, found: Found) -> dict[str, Any]:
    """The body that asks Sahara for a node group template."""
    plugin = found["plugin"]
    return {
        "name": name,
        "plugin_name": plugin["name"],
        "plugin_version": plugin["version"],
        "flavor_id": found["flavor"],
        "node_processes": [plugin["process"]],
    }


_PIECES: Mapping[str, _Piece] = {
    "flavor": _Piece(_flavor, "compute", "/flavors", "flavors"),
    "network": _Piece(_network, "network", "/v2.0/networks", "networks"),
    "image": _Piece(_guest, "image", "/v2/images", "images"),
    "volume": _Piece(_volume, "volumev3", "/volumes", "volumes"),
    "plugin": _Piece(_plugin),
    "group": _Piece(_group, "data-processing", "/node-group-templates", "node_group_templates"),
}


def _post(cloud: Cloud, service: str, path: str, **body: Any) -> dict[str, Any]:
    answer = cloud.request(service, "POST", path, json=body, expect=_OK)
    made: dict[str, Any] = answer.json()
    return made


def _remove(cloud: Cloud, piece: _Piece, prefix: str) -> None:
    """Things go first, and are gone some time later: a network that is in use stays."""
    if not piece.path:
        return
    listed = cloud.request(piece.service, "GET", piece.path, expect=_OK).json()[piece.many]
    for thing in listed:
        if str(thing["name"]).startswith(prefix):
            path = f"{piece.path}/{thing['id']}"
            cloud.request(piece.service, "DELETE", path, expect=_OK | {404, 409})
