"""A load balancer as far as the control plane goes: its amphora is none, so no traffic flows."""

from typing import Any

BASE = "/v2/lbaas"
SLOW = 60


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

    ctx.until("the load balancer is gone", gone, seconds=SLOW)


def run(ctx: Any) -> None:
    """API, bus, worker and database, step by step, to a load balancer with two members."""
    body = {"loadbalancer": {"name": ctx.name("balancer"), "vip_subnet_id": ctx.state["subnet"]}}
    made = ctx.request("load-balancer", "POST", f"{BASE}/loadbalancers", json=body).json()
    balancer = made["loadbalancer"]["id"]
    ctx.defer(remove, ctx, balancer)
    found = settled(ctx, balancer)
    ctx.say(f"load balancer {balancer} at {found['vip_address']} by provider {found['provider']}")
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
    )
    for last in (11, 12):
        make(
            ctx,
            balancer,
            "member",
            f"pools/{pool}/members",
            address=f"10.71.0.{last}",
            protocol_port=80,
        )
    path = f"/v2/octavia/amphorae?loadbalancer_id={balancer}"
    amphorae = ctx.request("load-balancer", "GET", path).json()["amphorae"]
    ctx.say(
        f"listener, pool, two members; {len(amphorae)} amphora in the books. "
        "Its drivers do nothing: no traffic is balanced"
    )
