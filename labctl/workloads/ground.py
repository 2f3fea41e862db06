"""Prerequisites of things that workloads create: a bootable image, a flavor, a network.

Each is a piece, as data: how it is made, and how what a run made of it is found again and removed.
"""

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
_GOING, _PAUSE = 90.0, 1.0
"""Seconds until what is waited for must be gone, and between two looks at it."""

Found = Mapping[str, Any]
"""Prerequisites found or created so far, by name."""


@dataclass(frozen=True)
class Piece:
    """A prerequisite: how it is created, and the list in which it is found again."""

    make: Callable[[Cloud, str, Found], Mapping[str, Any]]
    """(Run, prerequisites so far) → ids and the like, by name."""
    service: str = ""
    path: str = ""
    many: str = ""
    name: str = "name"
    """Key of the name, which is the run, a dot, and more."""
    query: str = ""
    """Query string of a deletion."""
    release: Callable[[Cloud, str], None] | None = None
    """What must be done to it, by its id, before it can be deleted."""
    waits: bool = False
    """Whether its deletion is waited for, because others depend on it, or it on others."""


def lay(
    cloud: Cloud,
    run: str,
    finds: Collection[str],
    *,
    remove: bool = False,
    pieces: Mapping[str, Piece] | None = None,
    known: Found | None = None,
) -> dict[str, Any]:
    """Create what is asked for, in this order; returns ids by name. Or remove what a run created.

    ``pieces`` are all that can be asked for, those of this module without it; ``known`` is what
    they may know beforehand. TimeoutError when something stays that is waited for.
    """
    table = PIECES if pieces is None else pieces
    found = dict(known or {})
    for name in reversed(tuple(finds)) if remove else finds:
        if remove:
            _remove(cloud, table[name], f"{run}.")
        else:
            found |= table[name].make(cloud, run, found)
    return found


def _flavor(cloud: Cloud, run: str, _: Found) -> Mapping[str, Any]:
    flavor = {"name": f"{run}.flavor", "vcpus": 1, "ram": 96, "disk": 0}
    return {"flavor": post(cloud, "compute", "/flavors", flavor=flavor)["flavor"]["id"]}


def _network(cloud: Cloud, run: str, _: Found) -> Mapping[str, Any]:
    network = post(cloud, "network", "/v2.0/networks", network={"name": f"{run}.network"})
    wanted = {"network_id": network["network"]["id"], "ip_version": 4, "cidr": "10.72.0.0/22"}
    subnet = post(cloud, "network", "/v2.0/subnets", subnet=wanted)
    return {"network": network["network"]["id"], "subnet": subnet["subnet"]["id"]}


def _guest(cloud: Cloud, run: str, _: Found) -> Mapping[str, Any]:
    kernel = _upload(cloud, run, "vmlinuz", "aki", "aki")
    ramdisk = _upload(cloud, run, "initrd", "ari", "ari")
    parts = {"kernel_id": kernel, "ramdisk_id": ramdisk, "os_command_line": "console=ttyS0"}
    return {"image": _upload(cloud, run, "disk", "raw", "bare", **parts)}


def _upload(cloud: Cloud, run: str, name: str, disk: str, container: str, **more: str) -> str:
    body = {"name": f"{run}.{name}", "disk_format": disk, "container_format": container, **more}
    image = str(post(cloud, "image", "/v2/images", **body)["id"])
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
    volume = post(cloud, "volumev3", "/volumes", volume=wanted)["volume"]["id"]
    settle(cloud, "volumev3", f"/volumes/{volume}", "volume", wanted="available", seconds=_VOLUME)
    return {"volume": volume}


def settle(
    cloud: Cloud,
    service: str,
    path: str,
    one: str,
    *,
    wanted: str = "ACTIVE",
    key: str = "status",
    seconds: float,
) -> None:
    """Wait until a thing has the wanted status. RuntimeError when it is in error.

    ``one`` is what the API puts the thing into, ``key`` the name of its status. TimeoutError when
    it takes longer than ``seconds``.
    """
    end = time.monotonic() + seconds
    while True:
        status = str(cloud.request(service, "GET", path, expect=_OK).json()[one][key])
        if status == wanted:
            return
        if status.lower().startswith("error"):
            raise RuntimeError(f"the {one} to work on is in {status}")
        if time.monotonic() > end:
            raise TimeoutError(f"the {one} to work on is still {status}")
        time.sleep(_PAUSE)


def _plugin(cloud: Cloud, _: str, __: Found) -> Mapping[str, Any]:
    """Sahara's first plugin, with one of its versions and processes."""
    plugin = cloud.request("data-processing", "GET", "/plugins", expect=_OK).json()["plugins"][0]
    name, version = plugin["name"], next(iter(plugin["versions"]))
    path = f"/plugins/{name}/{version}"
    shown = cloud.request("data-processing", "GET", path, expect=_OK).json()["plugin"]
    process = next(each for group in shown["node_processes"].values() for each in group)
    return {"plugin": {"name": name, "version": version, "process": process}}


def _group(cloud: Cloud, run: str, found: Found) -> Mapping[str, Any]:
    """A node group template, and the image registered with Sahara, as clusters need both."""
    body = node_group(f"{run}.group", found)
    template = post(cloud, "data-processing", "/node-group-templates", **body)
    path = f"/images/{found['image']}"
    post(cloud, "data-processing", path, username="lab", description="")
    tags = [found["plugin"]["name"], found["plugin"]["version"]]
    cloud.request("data-processing", "PUT", f"{path}/tags", json={"tags": tags}, expect=_OK)
    return {"group": template["node_group_template"]["id"]}


def node_group(name: str, found: Found) -> dict[str, Any]:
    """The body of a request to Sahara for a node group template."""
    plugin = found["plugin"]
    return {
        "name": name,
        "plugin_name": plugin["name"],
        "plugin_version": plugin["version"],
        "flavor_id": found["flavor"],
        "node_processes": [plugin["process"]],
    }


PIECES: Mapping[str, Piece] = {
    "flavor": Piece(_flavor, "compute", "/flavors", "flavors"),
    "network": Piece(_network, "network", "/v2.0/networks", "networks"),
    "image": Piece(_guest, "image", "/v2/images", "images"),
    "volume": Piece(_volume, "volumev3", "/volumes", "volumes"),
    "plugin": Piece(_plugin),
    "group": Piece(_group, "data-processing", "/node-group-templates", "node_group_templates"),
}


def post(cloud: Cloud, service: str, path: str, **body: Any) -> dict[str, Any]:
    """Create a thing through an API; returns the answer."""
    answer = cloud.request(service, "POST", path, json=body, expect=_OK)
    made: dict[str, Any] = answer.json()
    return made


def _remove(cloud: Cloud, piece: Piece, prefix: str) -> None:
    """Delete a run's things, and wait until they are gone where that is asked for."""
    if not piece.path:
        return
    end = time.monotonic() + _GOING
    while left := _listed(cloud, piece, prefix):
        if time.monotonic() > end:
            raise TimeoutError(f"{piece.path}/{left[0]} stays, and {len(left) - 1} more")
        for thing in left:
            if piece.release is not None:
                piece.release(cloud, thing)
            path = f"{piece.path}/{thing}{piece.query}"
            cloud.request(piece.service, "DELETE", path, expect=_OK | {404, 409})
        if not piece.waits:
            return
        time.sleep(_PAUSE)


def _listed(cloud: Cloud, piece: Piece, prefix: str) -> list[str]:
    """The ids of what a run has created."""
    listed = cloud.request(piece.service, "GET", piece.path, expect=_OK).json()[piece.many]
    return [str(thing["id"]) for thing in listed if str(thing[piece.name]).startswith(prefix)]
