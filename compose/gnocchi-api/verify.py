"""Measures that are posted come back as aggregates: the API, Redis and gnocchi-metricd at work."""

import datetime
from typing import Any

VALUES = (1.0, 2.0, 6.0)


def run(ctx: Any) -> None:
    """Make a metric, post measures to it, and read their mean."""
    metric = ctx.request(
        "metric",
        "POST",
        "/v1/metric",
        json={"name": ctx.name("measure"), "archive_policy_name": "polled"},
        expect=(201,),
    ).json()["id"]
    ctx.defer(ctx.request, "metric", "DELETE", f"/v1/metric/{metric}")
    # One of the policy's coarser periods, so that all of them fall into the same one.
    now = datetime.datetime.now(datetime.UTC)
    moment = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
    ctx.request(
        "metric",
        "POST",
        f"/v1/metric/{metric}/measures",
        json=[
            {"timestamp": (moment + datetime.timedelta(seconds=second)).isoformat(), "value": value}
            for second, value in enumerate(VALUES)
        ],
        expect=(202,),
    )
    expected = sum(VALUES) / len(VALUES)

    def mean() -> float | None:
        found = ctx.request(
            "metric", "GET", f"/v1/metric/{metric}/measures?aggregation=mean&granularity=300"
        ).json()
        return found[-1][2] if found else None

    got = ctx.until("gnocchi-metricd has made aggregates of the measures", mean, seconds=60)
    if got != expected:
        ctx.fail(f"the mean of {VALUES} came back as {got}")
    ctx.say(f"metric {metric}: {len(VALUES)} measures, mean {got}")
