"""Placement's steps: what the compute nodes have, and what a server takes of it."""

VERSION = {"OpenStack-API-Version": "placement 1.36"}


def get(ctx, path):
    """A resource of Placement's."""
    return ctx.request("placement", "GET", path, headers=VERSION).json()


def inventory(ctx):
    """Each compute node is a provider with processors, memory and disk."""

    def providers():
        found = {
            each["name"]: each["uuid"]
            for each in get(ctx, "/resource_providers")["resource_providers"]
        }
        missing = sorted(set(ctx.hosts("nova-compute")) - set(found))
        assert not missing, f"no resource provider for {', '.join(missing)}"
        return found

    found = ctx.until("every compute node is a resource provider", providers, seconds=60)
    for name in sorted(ctx.hosts("nova-compute")):
        have = get(ctx, f"/resource_providers/{found[name]}/inventories")["inventories"]
        missing = sorted({"VCPU", "MEMORY_MB", "DISK_GB"} - set(have))
        assert not missing, f"{name} has no inventory of {', '.join(missing)}"
        amounts = ", ".join(f"{kind} {have[kind]['total']}" for kind in sorted(have))
        ctx.say(f"{name}: {amounts}")


def allocation(ctx):
    """The server's allocation is on the compute node that runs it, as large as its flavor."""
    server = ctx.state["server"]
    allocations = get(ctx, f"/allocations/{server}")["allocations"]
    assert len(allocations) == 1, f"server {server} has {len(allocations)} allocations, not one"
    ((provider, allocated),) = allocations.items()
    flavor = ctx.request("compute", "GET", f"/flavors/{ctx.state['flavor']}").json()["flavor"]
    wanted = {"VCPU": flavor["vcpus"], "MEMORY_MB": flavor["ram"]}
    taken = {kind: allocated["resources"].get(kind) for kind in wanted}
    assert taken == wanted, f"server {server} has taken {taken}, its flavor is {wanted}"
    name = get(ctx, f"/resource_providers/{provider}")["name"]
    answer = ctx.request("compute", "GET", f"/servers/{server}").json()["server"]
    host = answer["OS-EXT-SRV-ATTR:hypervisor_hostname"]
    assert name == host, f"server {server} runs on {host} and is allocated on {name}"
    ctx.say(f"server {server} has taken {taken} of {name}, where it runs")
