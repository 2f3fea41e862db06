"""Traffic that is counted."""

from typing import Any


def measured(ctx: Any, label: str) -> float:
    """The most bytes that Gnocchi has for the label in one period, from an agent by Ceilometer."""
    found = ctx.request("metric", "GET", f"/v1/resource/network/{label}/metric/bandwidth/measures")
    return max((float(value) for _, _, value in found.json()), default=0.0)


def run(ctx: Any) -> None:
    """A label and its rule; with Ceilometer in the lab, the bytes of a ping through the router."""
    base = "/v2.0/metering/metering-label"
    body = {"metering_label": {"name": ctx.name("label")}}
    label = ctx.make("network", f"{base}s", body)["id"]
    rule = {
        "metering_label_id": label,
        "direction": "ingress",
        "remote_ip_prefix": "0.0.0.0/0",
    }
    ctx.request("network", "POST", f"{base}-rules", json={"metering_label_rule": rule})
    alive = [
        agent.host
        for agent in ctx.cloud.network.agents(binary="neutron-metering-agent")
        if agent.is_alive
    ]
    if not alive:
        ctx.fail("no neutron-metering-agent is alive")
    ctx.say(f"label {label}; agents alive on {', '.join(sorted(alive))}")
    if not (ctx.has("gnocchi-api") and ctx.has("ceilometer-notification")):
        ctx.say("nobody in this lab takes the figures: only the label was tried")
        return

    def counted() -> float:
        ctx.command(
            ["ping", "-c", "3", "-i", "0.2", "-W", "1", ctx.state["floating_ip"]], seconds=5
        )
        return measured(ctx, label)

    count = ctx.until("the bytes are in Gnocchi", counted, seconds=150, every=5)
    ctx.say(f"Gnocchi has {count:.0f} bytes in a period")
