"""Measures come back as aggregates: those that are posted, and those that agents poll."""

import datetime
from typing import Any

VALUES = (1.0, 2.0, 6.0)


def run(ctx: Any) -> None:
    """Make a metric, post measures to it, and read their mean."""
    body = {"name": ctx.name("measure"), "archive_policy_name": "polled"}
    metric = ctx.make("metric", "/v1/metric", body)["id"]
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


def polled(ctx: Any, resource: str, metric: str, what: str, seconds: float) -> tuple[str, float]:
    """A measure of a resource (``kind/id``) that an agent made after this began: when, and what."""
    start = datetime.datetime.now(datetime.UTC)
    path = f"/v1/resource/{resource}/metric/{metric}/measures?aggregation=max&granularity=10"

    def newest() -> list[Any] | None:
        found = ctx.request("metric", "GET", path).json()
        later = [one for one in found if datetime.datetime.fromisoformat(one[0]) >= start]
        return later[-1] if later else None

    moment, _, value = ctx.until(what, newest, seconds=seconds, every=2.0)
    return moment, value


def polled_image(ctx: Any) -> None:
    """The central agents ask Glance for the size of the image."""
    image = ctx.state["image"]
    size = ctx.cloud.image.get_image(image).size
    what = "an agent polled the image's size and Gnocchi has it"
    moment, value = polled(ctx, f"image/{image}", "image.size", what, 150)
    if value != size:
        ctx.fail(f"image {image} has {size} bytes, and image.size says {value}")
    ctx.say(f"image.size of {image} polled about {moment}: {value:.0f} bytes")


def polled_server(ctx: Any) -> None:
    """The agent on a server's node asks libvirt for its processor time."""
    server = ctx.state["server"]
    what = "the agent of its node polled the server and Gnocchi has it"
    moment, value = polled(ctx, f"instance/{server}", "cpu", what, 120)
    if value <= 0:
        ctx.fail(f"server {server} runs, and its cpu says {value}")
    ctx.say(f"cpu of {server} polled about {moment}: {value / 1e9:.2f} s")
