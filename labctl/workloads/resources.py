"""The resources that workloads create through APIs, as data: path, body, how to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.workloads.ground import node_group

Body = Callable[[str, Mapping[str, Any]], Any]
"""(Name, what was found in the lab beforehand) → body of the request that creates it."""


@dataclass(frozen=True)
class Resource:
    """A kind of thing that an API keeps."""

    service: str
    """Type in the catalog."""
    collection: str
    """Path of the collection."""
    body: Body
    one: str = ""
    """Key of the thing in an answer; empty if the answer is the thing."""
    many: str = ""
    """Key of the list in an answer; empty if the answer is the list."""
    listing: str = ""
    """Appended to the collection's path to list everything."""
    path: str = "/{id}"
    """Appended to the collection's path for one thing."""
    id: str = "id"
    name: str = "name"
    status: str = "status"
    """Key of the status; empty if there is none."""
    settled: tuple[str, ...] = ()
    """Statuses that end the wait for it; empty if it is there at once."""
    gone: tuple[str, ...] = ()
    """Statuses of deleted things that are still listed."""
    content: bool = False
    """Whether it has content, which is uploaded and compared."""
    finds: tuple[str, ...] = ()
    """What must be looked up in the lab, or created, beforehand."""


def _image(name: str, _: Mapping[str, Any]) -> Any:
    return {"name": name, "disk_format": "raw", "container_format": "bare"}


def _server(name: str, found: Mapping[str, Any]) -> Any:
    server = {"name": name, "imageRef": found["image"], "flavorRef": found["flavor"]}
    return {"server": {**server, "networks": [{"uuid": found["network"]}]}}


def _stack(name: str, _: Mapping[str, Any]) -> Any:
    word = {"type": "OS::Heat::RandomString", "properties": {"length": 12}}
    template = {"heat_template_version": "2021-04-16", "resources": {"word": word}}
    return {"stack_name": name, "template": template, "timeout_mins": 2}


def _cluster(name: str, found: Mapping[str, Any]) -> Any:
    """A cluster without machines, for which the engine creates a stack all the same."""
    plugin = found["plugin"]
    group = {"name": "workers", "count": 0, "node_group_template_id": found["group"]}
    return {
        "name": name,
        "plugin_name": plugin["name"],
        "plugin_version": plugin["version"],
        "default_image_id": found["image"],
        "neutron_management_network": found["network"],
        "node_groups": [group],
    }


def _balancer(name: str, found: Mapping[str, Any]) -> Any:
    return {"loadbalancer": {"name": name, "vip_subnet_id": found["subnet"]}}


def _alarm(name: str, _: Mapping[str, Any]) -> Any:
    return {"name": name, "type": "event", "event_rule": {"event_type": f"labctl.{name}"}}


RESOURCES: Mapping[str, Resource] = {
    "image": Resource(
        "image",
        "/v2/images",
        _image,
        many="images",
        listing="?limit=1000",
        settled=("active", "killed"),
        content=True,
    ),
    "network": Resource(
        "network",
        "/v2.0/networks",
        lambda name, _: {"network": {"name": name}},
        one="network",
        many="networks",
    ),
    "server": Resource(
        "compute",
        "/servers",
        _server,
        one="server",
        many="servers",
        listing="/detail?limit=1000",
        settled=("ACTIVE", "ERROR"),
        finds=("image", "flavor", "network"),
    ),
    "volume": Resource(
        "volumev3",
        "/volumes",
        lambda name, _: {"volume": {"name": name, "size": 1}},
        one="volume",
        many="volumes",
        listing="/detail?limit=1000",
        settled=("available", "error"),
    ),
    "backup": Resource(
        "volumev3",
        "/backups",
        lambda name, found: {"backup": {"name": name, "volume_id": found["volume"]}},
        one="backup",
        many="backups",
        listing="/detail?limit=1000",
        settled=("available", "error"),
        finds=("volume",),
    ),
    "balancer": Resource(
        "load-balancer",
        "/v2/lbaas/loadbalancers",
        _balancer,
        one="loadbalancer",
        many="loadbalancers",
        status="provisioning_status",
        settled=("ACTIVE", "ERROR"),
        gone=("DELETED",),
        finds=("network",),
    ),
    "template": Resource(
        "data-processing",
        "/node-group-templates",
        node_group,
        one="node_group_template",
        many="node_group_templates",
        status="",
        finds=("flavor", "plugin"),
    ),
    "cluster": Resource(
        "data-processing",
        "/clusters",
        _cluster,
        one="cluster",
        many="clusters",
        settled=("Active", "Error"),
        finds=("image", "flavor", "network", "plugin", "group"),
    ),
    "stack": Resource(
        "orchestration",
        "/stacks",
        _stack,
        one="stack",
        many="stacks",
        path="/{name}/{id}",
        name="stack_name",
        status="stack_status",
        settled=("CREATE_COMPLETE", "CREATE_FAILED"),
        gone=("DELETE_COMPLETE",),
    ),
    "metric": Resource(
        "metric",
        "/v1/metric",
        lambda name, _: {"name": name, "archive_policy_name": "polled"},
        listing="?limit=1000",
        status="",
    ),
    "alarm": Resource(
        "alarming",
        "/v2/alarms",
        _alarm,
        listing="?limit=1000",
        id="alarm_id",
        status="",
    ),
}
"""Kind → how it is created; for objects, messages and datastores see ``places``."""
