"""What the central agents poll arrives in Gnocchi."""

import datetime
from typing import Any


def run(ctx: Any) -> None:
    """Wait for a size of the image that was asked of Glance after this step began."""
    start = datetime.datetime.now(datetime.UTC)
    image = ctx.state["image"]
    size = ctx.cloud.image.get_image(image).size

    def polled() -> list[Any] | None:
        found = ctx.request(
            "metric",
            "GET",
            f"/v1/resource/image/{image}/metric/image.size/measures?aggregation=max&granularity=10",
        ).json()
        later = [one for one in found if datetime.datetime.fromisoformat(one[0]) >= start]
        return later[-1] if later else None

    moment, _, value = ctx.until(
        "an agent polled the image's size and Gnocchi has it", polled, seconds=150, every=2.0
    )
    if value != size:
        ctx.fail(f"image {image} has {size} bytes, and image.size says {value}")
    ctx.say(f"image.size of {image} polled about {moment}: {value:.0f} bytes")
