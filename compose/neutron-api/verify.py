"""Networking as a tenant has it: a network, its subnet, and a router to the outside."""

from collections import Counter
from typing import Any


def external_network(ctx: Any) -> Any:
    """The provider network: there can be only one, so one that is there is used."""
    network = ctx.cloud.network
    found = next(iter(network.networks(is_router_external=True)), None)
    if found is None:
        found = network.create_network(
            name=ctx.name("external"),
            is_router_external=True,
            provider_network_type="flat",
            provider_physical_network="external",
        )
        ctx.defer(network.delete_network, found)
        gateway = ctx.settings("provider-gateway")
        network.create_subnet(
            network_id=found.id,
            name=ctx.name("external"),
            ip_version=4,
            cidr=gateway["subnet"],
            gateway_ip=gateway["address"].partition("/")[0],
            is_dhcp_enabled=False,
        )
    return found


def tenant_network(ctx: Any) -> tuple[Any, Any]:
    """A network and its subnet."""
    network = ctx.cloud.network
    made = network.create_network(name=ctx.name("network"))
    ctx.defer(network.delete_network, made)
    subnet = network.create_subnet(
        network_id=made.id, name=ctx.name("subnet"), ip_version=4, cidr="10.71.0.0/24"
    )
    return made, subnet


def make_router(ctx: Any, outside: Any, subnet: Any) -> Any:
    """A router from the subnet to the outside."""
    network = ctx.cloud.network
    router = network.create_router(
        name=ctx.name("router"), external_gateway_info={"network_id": outside.id}
    )
    ctx.defer(network.delete_router, router)
    network.add_interface_to_router(router, subnet_id=subnet.id)
    ctx.defer(remove_interface, network, router, subnet)
    return router


def remove_interface(network: Any, router: Any, subnet: Any) -> None:
    """Take the router's floating addresses, if a step left one, and its interface away."""
    for address in network.ips(router_id=router.id):
        network.delete_ip(address)
    network.remove_interface_from_router(router, subnet_id=subnet.id)


def alive(ctx: Any) -> str:
    """How many agents of each kind report to the server; at least one of each must."""
    found = Counter(agent.binary for agent in ctx.cloud.network.agents() if agent.is_alive)
    for service in (
        "neutron-openvswitch-agent",
        "neutron-dhcp-agent",
        "neutron-l3-agent",
        "neutron-metadata-agent",
        "neutron-metering-agent",
    ):
        if ctx.has(service) and not found[service]:
            raise AssertionError(f"no {service} is alive")
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items()))


def served(ctx: Any, made: Any) -> list[str]:
    """The nodes whose DHCP agents hold the network, when they are as many as they should be."""
    network = ctx.cloud.network
    living = sum(a.binary == "neutron-dhcp-agent" and a.is_alive for a in network.agents())
    wanted = min(int(ctx.settings("neutron-api")["dhcp_agents_per_network"]), living)
    hosts = sorted(agent.host for agent in network.network_hosting_dhcp_agents(made))
    ports = [p for p in network.ports(network_id=made.id, device_owner="network:dhcp")]
    ready = sum(port.status == "ACTIVE" for port in ports)
    return hosts if len(hosts) >= wanted and ready else []


def states(ctx: Any, router: Any) -> dict[str, str]:
    """What each node's L3 agent says of the router: active or standby."""
    path = f"/v2.0/routers/{router.id}/l3-agents"
    found = ctx.request("network", "GET", path).json()["agents"]
    return {agent["host"]: agent.get("ha_state") or "" for agent in found}


def one_active(ctx: Any, router: Any) -> dict[str, str]:
    """The router's states by node once VRRP has chosen exactly one."""
    found = states(ctx, router)
    return found if list(found.values()).count("active") == 1 else {}


def run(ctx: Any) -> None:
    """Make them, and find them served by several nodes and reached from outside."""
    found = ctx.until("agents of every kind report", lambda: alive(ctx), seconds=60)
    ctx.say(f"alive: {found}")
    outside = external_network(ctx)
    made, subnet = tenant_network(ctx)
    router = make_router(ctx, outside, subnet)
    ctx.state |= {
        "network": made.id,
        "subnet": subnet.id,
        "router": router.id,
        "external_network": outside.id,
    }
    hosts = ctx.until("DHCP agents hold the network", lambda: served(ctx, made), seconds=60)
    ctx.say(f"network {made.id}, MTU {made.mtu}, DHCP on {', '.join(hosts)}")
    chosen = ctx.until("one router is active", lambda: one_active(ctx, router), seconds=60)
    gateway = router.external_gateway_info["external_fixed_ips"][0]["ip_address"]
    ctx.say(f"router {gateway}: " + ", ".join(f"{state} on {n}" for n, state in chosen.items()))
    if ctx.has("provider-gateway"):
        # An error is "not yet" to until, and the command's error names the address.
        ctx.until(
            f"the router answers a ping to {gateway} from the client's node",
            lambda: ctx.command(["ping", "-c", "1", "-W", "1", gateway], seconds=5),
            seconds=40,
        )
