"""A server as the outside reaches it: by a floating address."""

import time
from typing import Any


def admit(ctx: Any) -> None:
    """Let pings and HTTP in to the server: only then the switch's firewall does."""
    network = ctx.cloud.network
    port = network.get_port(ctx.state["server_port"])
    group = network.create_security_group(name=ctx.name("open"))
    ctx.defer(network.delete_security_group, group)
    for rule in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range": 80}):
        edge = rule.pop("port_range", None)
        network.create_security_group_rule(
            security_group_id=group.id,
            direction="ingress",
            ethertype="IPv4",
            port_range_min=edge,
            port_range_max=edge,
            **rule,
        )
    before = list(port.security_group_ids)
    network.update_port(port, security_group_ids=[*before, group.id])
    ctx.defer(guard, network, port, before)


def guard(network: Any, port: Any, groups: list[str]) -> None:
    """Give the port the security groups that it had."""
    network.update_port(port, security_group_ids=groups)


def run(ctx: Any) -> None:
    """Give the server an address of the provider network, ping it and read its page."""
    network = ctx.cloud.network
    admit(ctx)
    began = time.monotonic()
    floating = network.create_ip(
        floating_network_id=ctx.state["external_network"], port_id=ctx.state["server_port"]
    )
    ctx.defer(network.delete_ip, floating)
    address = floating.floating_ip_address
    ctx.until(
        f"the server answers a ping to {address} from the client's node",
        lambda: ctx.command(["ping", "-c", "1", "-W", "1", address], seconds=5),
        seconds=60,
    )
    ctx.say(f"{address} answers a ping {time.monotonic() - began:.1f} s after it was given")
    answer = ctx.until(
        f"the server answers HTTP at {address}",
        lambda: ctx.fetch(f"http://{address}/"),
        seconds=30,
    )
    page = answer.text.strip()
    hostname = page.partition(" ")[0].partition(".")[0]
    if hostname != ctx.state["server_name"]:
        ctx.fail(f"{address} is answered by {hostname}, not by {ctx.state['server_name']}")
    ctx.state["floating_ip"] = address
    path = f"/v2.0/routers/{ctx.state['router']}/l3-agents"
    agents = ctx.request("network", "GET", path).json()["agents"]
    active = [agent["host"] for agent in agents if agent.get("ha_state") == "active"]
    ctx.say(f"TCP: {page!r}; the active router is on {', '.join(active)}")
