"""Ceilometer: the age of the newest measure that its agents polled and Gnocchi shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import Any

from labctl.workloads.cloud import SERVED, TIMEOUT, Cloud, place
from labctl.workloads.entry import Entry
from labctl.workloads.ground import lay
from labctl.workloads.model import Config, Done, Operation, RefusedError

_FINDS = ("image",)


class Polled:
    """The size of an image that the run creates, which the agents poll from Glance."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cloud = Cloud(config)
        self._image = ""

    def prepare(self) -> dict[str, Any]:
        """Create the image, which is polled some time later."""
        self._image = lay(self.cloud, self.config["id"], _FINDS)["image"]
        return {}

    def session(self, worker: int, random: Random) -> Polled:  # noqa: ARG002 - all are alike
        """A client of Gnocchi."""
        return self

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def steps(self, number: int) -> Iterator[Operation]:  # noqa: ARG002 - each is like another
        """A query for measures."""
        yield Operation("measure", harmless=True)

    def apply(self, operation: Operation) -> Done:  # noqa: ARG002
        """Ask for the newest measure. RefusedError as long as there is none."""
        path = f"/v1/resource/image/{self._image}/metric/image.size/measures?aggregation=max"
        answer = self.cloud.request("metric", "GET", path, expect={200, 404})
        measures = answer.json() if answer.status_code == 200 else []
        if not measures:
            raise RefusedError("nothing has been polled yet")
        newest = max(moment for moment, _, _ in measures)
        age = time.time() - datetime.fromisoformat(newest).timestamp()
        return Done({"age": round(age, 1), "moment": newest})

    def close(self) -> None:
        """Nothing: each request has its own connection."""

    def final(self) -> dict[str, Any]:
        """Nothing: measures expire."""
        return {}

    def clean(self) -> None:
        """Delete the image."""
        lay(self.cloud, self.config["id"], _FINDS, remove=True)


ENTRIES = (
    Entry(
        kind="api",
        way="poll",
        make=Polled,
        services=(*SERVED, "glance", "gnocchi-api", "ceilometer-central"),
        place=place,
        operations="``measure``: null → {age: seconds, moment} of the newest measure",
        check="age",
        # Seconds that the newest measure may be old: three polls and their way to Gnocchi.
        settings={"bound": 120.0},
        rate=0.5,
        workers=1,
        most=2.0,
        timeout=TIMEOUT,
        apart="-",
    ),
)
