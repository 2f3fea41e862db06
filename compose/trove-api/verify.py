"""Trove keeps datastores, and makes a server for a database as far as a guest without its agent."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika

MANAGER = "mysql"
BUS = Path.home() / ".config/openstack/bus.json"
"""Who may talk to the brokers: the client node's own copy."""
QUEUE = "trove-conductor"


def datastore(ctx: Any) -> None:
    """Make a datastore with a version whose servers would boot the image, and look it up."""
    name, version = ctx.name("datastore"), "1.0"
    ctx.request(
        "database",
        "POST",
        "/mgmt/datastore-versions",
        json={
            "version": {
                "datastore_name": name,
                "datastore_manager": MANAGER,
                "name": version,
                "image": ctx.state["image"],
                "packages": [],
                "active": True,
                "default": True,
            }
        },
        expect=(202,),
    )
    found = ctx.request("database", "GET", f"/datastores/{name}").json()["datastore"]
    ctx.defer(ctx.request, "database", "DELETE", f"/datastores/{found['id']}")
    for one in found["versions"]:
        ctx.defer(ctx.request, "database", "DELETE", f"/mgmt/datastore-versions/{one['id']}")
    names = [one["name"] for one in found["versions"]]
    if names != [version]:
        ctx.fail(f"datastore {name} should have version {version}, and has {names}")
    ctx.state["datastore"] = name
    ctx.say(f"datastore {found['id']}, version {version}, image {ctx.state['image']}")


def instance(ctx: Any) -> None:
    """Ask for a database: its server boots, and what an agent in it would report is believed.

    The guest has no agent of Trove's, and so no database. Once the server runs and Trove goes on
    waiting, this step puts one heartbeat on the bus, as an agent does; Trove's conductor writes it
    down, and the task manager, which waits for it, calls the instance done.
    """
    name = ctx.name("database")
    flavor = ctx.cloud.compute.create_flavor(name=name, ram=128, vcpus=1, disk=0)
    ctx.defer(ctx.cloud.compute.delete_flavor, flavor.id)
    made = ctx.request(
        "database",
        "POST",
        "/instances",
        json={
            "instance": {
                "name": name,
                "flavorRef": flavor.id,
                "datastore": {"type": ctx.state["datastore"], "version": "1.0"},
                "nics": [{"network_id": ctx.state["network"]}],
            }
        },
    ).json()["instance"]["id"]
    path = f"/instances/{made}"
    ctx.defer(_remove, ctx, made)

    def server() -> Any:
        for one in ctx.cloud.compute.servers(all_projects=True, name=name):
            if one.status == "ERROR":
                ctx.fail(f"the server of {name} went to ERROR: {one.fault}")
            if one.status == "ACTIVE":
                return one
        if _status(ctx, path) in ("ERROR", "FAILED"):
            ctx.fail(f"instance {made} went to ERROR before its server ran")
        return None

    runs = ctx.until("trove-taskmanager has made a server, and it runs", server, seconds=120)
    waiting = _status(ctx, path)
    if waiting != "BUILD":
        ctx.fail(f"nobody has reported for instance {made}, and its status is {waiting}")
    ctx.say(f"instance {made}: server {runs.id} is ACTIVE, no agent in it reports: status BUILD")

    def done() -> str | None:
        with bus(ctx) as channel:
            heartbeat(channel, made)
        status = _status(ctx, path)
        return status if status in ("ACTIVE", "HEALTHY") else None

    status = ctx.until("trove-conductor has written a heartbeat down", done, seconds=60, every=3.0)
    ctx.say(f"instance {made}: after a heartbeat on the bus in the agent's place: {status}")


@contextlib.contextmanager
def bus(ctx: Any) -> Iterator[Any]:
    """A channel to the first broker that answers."""
    document = json.loads(BUS.read_text())
    account = pika.PlainCredentials(document["user"], document["password"])
    brokers = [
        pika.ConnectionParameters(
            host, credentials=account, socket_timeout=3, blocked_connection_timeout=5
        )
        for host in ctx.hosts("rabbitmq").values()
    ]
    connection = pika.BlockingConnection(brokers)
    try:
        yield connection.channel()
    finally:
        connection.close()


def heartbeat(channel: Any, instance_id: str) -> None:
    """What Trove's agent sends when its database is well, as oslo.messaging writes it."""
    message = {
        "method": "heartbeat",
        "args": {
            "instance_id": instance_id,
            "payload": {"service_status": "healthy"},
            "sent": time.time(),
        },
        "version": "1.0",
        "_unique_id": uuid.uuid4().hex,
    }
    channel.basic_publish(
        exchange="",
        routing_key=QUEUE,
        body=json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(message)}),
        properties=pika.BasicProperties(
            content_type="application/json", content_encoding="utf-8", delivery_mode=2
        ),
    )


def _status(ctx: Any, path: str) -> str:
    return str(ctx.request("database", "GET", path).json()["instance"]["status"])


def _remove(ctx: Any, made: str) -> None:
    """Delete the instance, whatever it is at, and wait until its server and ports are gone."""
    path = f"/instances/{made}"
    if _status(ctx, path) == "BUILD":
        ctx.request("database", "POST", f"{path}/action", json={"reset_status": {}})
    ctx.request("database", "DELETE", path, expect=(202,))
    ctx.until(
        f"instance {made} is gone",
        lambda: ctx.request("database", "GET", path, expect=(200, 404)).status_code == 404,
        seconds=90,
    )
