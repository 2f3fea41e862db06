"""Nova's step: a server that boots, gets an address, reads its metadata and says so."""

import base64
import re
import time
from datetime import UTC, datetime

REPORTED = 12
"""Seconds: a service that counts as up and has not reported for so long may be dead."""


def settled(ctx):
    """Whether what Nova believes of its services is fresh: else it may choose a dead host."""
    services = ctx.request("compute", "GET", "/os-services").json()["services"]
    now = datetime.now(UTC).replace(tzinfo=None)
    late = [
        f"{service['binary']} on {service['host']}"
        for service in services
        if service["state"] == "up"
        and (now - datetime.fromisoformat(service["updated_at"])).total_seconds() > REPORTED
    ]
    assert not late, f"no news of {', '.join(late)}"
    up = [each["host"] for each in services if (each["binary"], each["state"]) == COMPUTE_UP]
    assert up, "no nova-compute is up"
    return up


COMPUTE_UP = ("nova-compute", "up")


def make_flavor(ctx):
    """A flavor for the guest, which needs next to nothing."""
    body = {"flavor": {"name": ctx.name("flavor"), "vcpus": 1, "ram": 96, "disk": 0}}
    return ctx.make("compute", "/flavors", body)["id"]


def describe(ctx, server):
    """The server as Nova shows it; fails at once when it is in error."""
    found = ctx.request("compute", "GET", f"/servers/{server}").json()["server"]
    if found["status"] == "ERROR":
        ctx.fail(f"server {server} is in error: {found.get('fault', {}).get('message')}")
    return found


def active(ctx, server):
    """The server when it is active; an AssertionError with what it does until then."""
    found = describe(ctx, server)
    task = found["OS-EXT-STS:task_state"]
    assert found["status"] == "ACTIVE", f"it is {found['status']}, {task}"
    return found


def remove(ctx, server):
    """Delete the server and wait until it is gone: its network goes after it."""
    path = f"/servers/{server}"
    ctx.request("compute", "DELETE", path, expect=(204, 404))
    ctx.until(
        "the server is gone",
        lambda: ctx.request("compute", "GET", path, expect=(200, 404)).status_code == 404,
        seconds=90,
    )


def console(ctx, server):
    """What the server has written to its console."""
    answer = ctx.request(
        "compute",
        "POST",
        f"/servers/{server}/action",
        json={"os-getConsoleOutput": {"length": None}},
    )
    return answer.json()["output"]


def ready(ctx, server):
    """The console's text once the guest has said that it is ready."""
    text = console(ctx, server)
    last = (text.strip().splitlines() or ["nothing"])[-1]
    assert "labctl-guest ready" in text, f"its console ends with: {last}"
    return text


def run(ctx):
    """Boot a server on the tenant's network and believe only what it says itself."""
    up = ctx.until("Nova knows which of its services live", lambda: settled(ctx), seconds=45)
    name = ctx.name("server")
    flavor = make_flavor(ctx)
    started = time.monotonic()
    server = ctx.request(
        "compute",
        "POST",
        "/servers",
        json={
            "server": {
                "name": name,
                "imageRef": ctx.state["image"],
                "flavorRef": flavor,
                "networks": [{"uuid": ctx.state["network"]}],
                "user_data": base64.b64encode(b"labctl verify").decode(),
                # Its metadata come on a disk as well, which the compute node makes.
                "config_drive": True,
            }
        },
    ).json()["server"]["id"]
    ctx.defer(remove, ctx, server)
    found = ctx.until("the server is ACTIVE", lambda: active(ctx, server), seconds=150)
    host = found["OS-EXT-SRV-ATTR:host"]
    assert found["config_drive"], f"server {server} has no config drive"
    assert host in up, f"server {server} was given to {host}, which is not up"
    seconds = time.monotonic() - started
    ctx.say(f"server {server} ACTIVE on {host} after {seconds:.1f} s, with a config drive")
    port = ctx.request("network", "GET", f"/v2.0/ports?device_id={server}").json()["ports"][0]
    address = port["fixed_ips"][0]["ip_address"]
    text = ctx.until("the guest is ready", lambda: ready(ctx, server), seconds=150, every=2.0)
    lease = re.search(r"labctl-guest address=([\d.]+)/", text)
    assert lease and lease[1] == address, f"the guest did not get {address}, which its port has"
    told = dict(re.findall(r"labctl-guest (hostname|instance-id|uuid)=(\S+)", text))
    assert told.get("hostname") == name, (
        f"the metadata are of {told.get('hostname')}, not of {name}"
    )
    assert told.get("uuid", server) == server, f"the metadata are of server {told['uuid']}"
    ctx.say(
        f"its console: address {address} by DHCP; metadata: {told['instance-id']}, {name}; ready"
    )
    ctx.state.update(
        flavor=flavor,
        server=server,
        server_name=name,
        server_address=address,
        server_port=port["id"],
        console_log=text,
    )
