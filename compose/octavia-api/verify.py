"""A tenant's load balancer: Octavia makes it, and it balances what comes from outside."""

from typing import Any

BASE = "/v2/lbaas"
SLOW = 60
CLOSED = 9
"""A port on which nobody listens: the member that must be found out."""


def settled(ctx: Any, balancer: str) -> dict[str, Any]:
    """The load balancer once the worker has done what was asked."""

    def active() -> dict[str, Any]:
        path = f"{BASE}/loadbalancers/{balancer}"
        found: dict[str, Any] = ctx.request("load-balancer", "GET", path).json()["loadbalancer"]
        if found["provisioning_status"] == "ERROR":
            ctx.fail(f"load balancer {balancer} is in ERROR")
        return found if found["provisioning_status"] == "ACTIVE" else {}

    settled: dict[str, Any] = ctx.until("the load balancer is ACTIVE", active, seconds=SLOW)
    return settled


def make(ctx: Any, balancer: str, kind: str, path: str, **fields: object) -> str:
    """Something of a load balancer, by its id, when the worker has made it."""
    body = {kind: {"name": ctx.name(kind), **fields}}
    made = ctx.request("load-balancer", "POST", f"{BASE}/{path}", json=body).json()[kind]
    settled(ctx, balancer)
    return str(made["id"])


def remove(ctx: Any, balancer: str) -> None:
    """Delete it with all that is in it, and wait until it is gone."""
    path = f"{BASE}/loadbalancers/{balancer}"
    ctx.request("load-balancer", "DELETE", f"{path}?cascade=true", expect=(204, 404))

    def gone() -> bool:
        answer = ctx.request("load-balancer", "GET", path, expect=(200, 404))
        return answer.status_code == 404 or (
            answer.json()["loadbalancer"]["provisioning_status"] == "DELETED"
        )

    ctx.until("the load balancer is gone", gone, seconds=2 * SLOW)


def balance(ctx: Any, balancer: str) -> str:
    """Have it balance Keystone's servers, which are reached through the router; the pool's id."""
    listener = make(
        ctx,
        balancer,
        "listener",
        "listeners",
        loadbalancer_id=balancer,
        protocol="HTTP",
        protocol_port=80,
    )
    pool = make(
        ctx,
        balancer,
        "pool",
        "pools",
        listener_id=listener,
        protocol="HTTP",
        lb_algorithm="ROUND_ROBIN",
        # HAProxy then says in each answer which member gave it.
        session_persistence={"type": "HTTP_COOKIE"},
    )
    servers = [("virtual-ip", ctx.vip, 5000)]
    servers += [(name, address, 5000) for name, address in ctx.hosts("keystone").items()]
    members = [
        {"name": name, "address": address, "protocol_port": port}
        for name, address, port in (*servers, ("nobody", ctx.vip, CLOSED))
    ]
    path = f"{BASE}/pools/{pool}/members"
    ctx.request("load-balancer", "PUT", path, json={"members": members})
    settled(ctx, balancer)
    make(
        ctx,
        balancer,
        "healthmonitor",
        "healthmonitors",
        pool_id=pool,
        type="HTTP",
        url_path="/v3",
        delay=3,
        timeout=2,
        max_retries=1,
        max_retries_down=2,
    )
    return pool


def found_out(ctx: Any, pool: str) -> dict[str, str]:
    """The names by id of the members that work, once it is known that the others do not."""
    path = f"{BASE}/pools/{pool}/members"
    members = ctx.request("load-balancer", "GET", path).json()["members"]
    states = {member["name"]: member["operating_status"] for member in members}
    assert states["nobody"] == "ERROR" and "ONLINE" in states.values(), f"members are {states}"
    return {m["id"]: m["name"] for m in members if m["operating_status"] == "ONLINE"}


def run(ctx: Any) -> None:
    """Make one with a floating address, and believe its answers and what HAProxy counts."""
    body = {"loadbalancer": {"name": ctx.name("balancer"), "vip_subnet_id": ctx.state["subnet"]}}
    made = ctx.request("load-balancer", "POST", f"{BASE}/loadbalancers", json=body).json()
    balancer = made["loadbalancer"]["id"]
    ctx.defer(remove, ctx, balancer)
    found = settled(ctx, balancer)
    path = f"/v2/octavia/amphorae?loadbalancer_id={balancer}"
    (amphora,) = ctx.request("load-balancer", "GET", path).json()["amphorae"]
    nodes = {address: name for name, address in ctx.nodes.items()}
    ctx.say(
        f"load balancer {balancer} at {found['vip_address']} by provider {found['provider']}: "
        f"amphora {amphora['id']} on {nodes[amphora['lb_network_ip']]}"
    )
    pool = balance(ctx, balancer)
    floating = ctx.cloud.network.create_ip(
        floating_network_id=ctx.state["external_network"], port_id=found["vip_port_id"]
    )
    ctx.defer(ctx.cloud.network.delete_ip, floating)
    url = f"http://{floating.floating_ip_address}/v3"
    ctx.until(f"it answers at {url}", lambda: ctx.fetch(url), seconds=SLOW)
    online = ctx.until("each member is found out", lambda: found_out(ctx, pool), seconds=SLOW)

    def all_answered() -> dict[str, int]:
        given = [ctx.fetch(url).cookies["SRV"] for _ in range(2 * len(online))]
        answers = {name: given.count(member) for member, name in online.items()}
        assert all(answers.values()), f"answers by member are {answers}"
        return answers

    answers = ctx.until("all members that work answer in turn", all_answered, seconds=SLOW)
    told = ", ".join(f"{count} from {name}" for name, count in answers.items())

    def counted() -> int:
        ctx.fetch(url)
        path = f"{BASE}/loadbalancers/{balancer}/stats"
        return int(ctx.request("load-balancer", "GET", path).json()["stats"]["total_connections"])

    total = ctx.until("the amphora's heartbeats say what it counts", counted, seconds=SLOW)
    ctx.say(f"{url} balances over Keystone's servers: {told}; a member where nobody is: ERROR")
    ctx.say(f"its heartbeats have told of {total} connections")
