"""Sahara lists its plugins and keeps templates, and its engine makes a cluster through Heat."""

from typing import Any

SERVICE = "data-processing"


def plugins(ctx: Any) -> None:
    """List the plugins and make a node group template of the first."""
    found = ctx.request(SERVICE, "GET", "/plugins").json()["plugins"]
    if not found:
        ctx.fail("Sahara has no plugin")
    plugin, version = found[0]["name"], _version(found[0])
    path = f"/plugins/{plugin}/{version}"
    groups = ctx.request(SERVICE, "GET", path).json()["plugin"]["node_processes"]
    processes = [process for group in groups.values() for process in group][:1]
    body = {
        "name": ctx.name("workers"),
        "plugin_name": plugin,
        "plugin_version": version,
        "flavor_id": _flavor(ctx),
        "node_processes": processes,
    }
    template = ctx.make(SERVICE, "/node-group-templates", body)
    path = f"/node-group-templates/{template['id']}"
    kept = ctx.request(SERVICE, "GET", path).json()["node_group_template"]
    if kept["node_processes"] != processes:
        ctx.fail(f"asked for {processes}, the template has {kept['node_processes']}")
    ctx.state["sahara_template"] = kept
    names = ", ".join(one["name"] for one in found)
    ctx.say(f"plugins: {names}; template {template['id']} of {plugin} {version}: {processes}")


def cluster(ctx: Any) -> None:
    """Make a cluster that has no machines yet: an engine takes it up and Heat makes its stack.

    The guest has no SSH, by which Sahara would prepare each machine of a cluster.
    """
    template, image = ctx.state["sahara_template"], ctx.state["image"]
    plugin, version = template["plugin_name"], template["plugin_version"]
    ctx.request(SERVICE, "POST", f"/images/{image}", json={"username": "lab", "description": ""})
    ctx.defer(ctx.request, SERVICE, "DELETE", f"/images/{image}")
    ctx.request(SERVICE, "PUT", f"/images/{image}/tags", json={"tags": [plugin, version]})
    made = ctx.request(
        SERVICE,
        "POST",
        "/clusters",
        json={
            "name": ctx.name("cluster"),
            "plugin_name": plugin,
            "plugin_version": version,
            "default_image_id": image,
            "neutron_management_network": ctx.state["network"],
            "node_groups": [
                {"name": "workers", "count": 0, "node_group_template_id": template["id"]}
            ],
        },
        expect=(202,),
    ).json()["cluster"]["id"]
    path = f"/clusters/{made}"
    ctx.defer(_remove, ctx, path)

    def active() -> Any:
        now = ctx.request(SERVICE, "GET", path).json()["cluster"]
        if now["status"] == "Error":
            ctx.fail(f"cluster {made} went to Error: {now['status_description']}")
        return now if now["status"] == "Active" else None

    now = ctx.until("an engine has made the cluster", active, seconds=90, every=1.0)
    stack = ctx.cloud.orchestration.find_stack(f"{now['name']}{made[:8]}")
    if stack is None:
        ctx.fail(f"cluster {made} is Active, and Heat has no stack of it")
    ctx.say(f"cluster {made}: Active, its stack {stack.id}: {stack.status}")


def _flavor(ctx: Any) -> str:
    """A template names one, which Nova must have."""
    flavor = ctx.cloud.compute.create_flavor(name=ctx.name("workers"), ram=128, vcpus=1, disk=0)
    ctx.defer(ctx.cloud.compute.delete_flavor, flavor.id)
    return str(flavor.id)


def _version(plugin: dict[str, Any]) -> str:
    first = plugin["versions"]
    if isinstance(first, dict):
        return str(next(iter(first)))
    return str(first[0])


def _remove(ctx: Any, path: str) -> None:
    ctx.request(SERVICE, "DELETE", path)
    ctx.until(
        "the engine has removed the cluster",
        lambda: ctx.request(SERVICE, "GET", path, expect=(200, 404)).status_code == 404,
        seconds=60,
    )
