"""What the compute agents ask of libvirt arrives in Gnocchi."""

import datetime
from typing import Any


def run(ctx: Any) -> None:
    """Wait for the processor time of the server, polled after this step began."""
    start = datetime.datetime.now(datetime.UTC)
    server = ctx.state["server"]

    def polled() -> list[Any] | None:
        found = ctx.request(
            "metric",
            "GET",
            f"/v1/resource/instance/{server}/metric/cpu/measures?aggregation=max&granularity=10",
        ).json()
        later = [one for one in found if datetime.datetime.fromisoformat(one[0]) >= start]
        return later[-1] if later else None

    moment, _, value = ctx.until(
        "the agent of its node polled the server and Gnocchi has it",
        polled,
        seconds=120,
        every=2.0,
    )
    if value <= 0:
        ctx.fail(f"server {server} runs, and its cpu says {value}")
    ctx.say(f"cpu of {server} polled about {moment}: {value / 1e9:.2f} s")
