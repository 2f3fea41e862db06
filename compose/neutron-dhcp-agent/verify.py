"""The address that a server got, and who gave it."""

import re
from typing import Any


def run(ctx: Any) -> None:
    """The server's own words name the address that Neutron chose; the servers are several."""
    network = ctx.cloud.network
    match = re.search(r"labctl-guest address=([0-9.]+)/\d+ mtu=(\d+)", ctx.state["console_log"])
    if match is None:
        ctx.fail("the server's console names no address")
    if match[1] != ctx.state["server_address"]:
        ctx.fail(f"the server has {match[1]}, and Neutron gave {ctx.state['server_address']}")
    mtu = network.get_network(ctx.state["network"]).mtu
    if int(match[2]) != mtu:
        ctx.fail(f"the server's MTU is {match[2]}, the network's {mtu}")
    hosts = sorted(a.host for a in network.network_hosting_dhcp_agents(ctx.state["network"]))
    ports = network.ports(network_id=ctx.state["network"], device_owner="network:dhcp")
    ctx.say(
        f"lease {match[1]}, MTU {mtu}; DHCP on {', '.join(hosts)}: "
        + ", ".join(sorted(p.fixed_ips[0]["ip_address"] for p in ports if p.status == "ACTIVE"))
    )
