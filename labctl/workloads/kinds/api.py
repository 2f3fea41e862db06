"""OpenStack's APIs: things are created, read back, and some deleted; at the end all are listed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random
from typing import Any

from labctl.workloads.cloud import SERVED, TIMEOUT, Cloud
from labctl.workloads.cloud import place as api_place
from labctl.workloads.entry import Entry
from labctl.workloads.ground import lay
from labctl.workloads.model import Config, Done, Operation
from labctl.workloads.places import ABSENT, Place, place

_PAUSE = 2.0
"""Seconds between two reads of a thing that is still being created."""


class Things:
    """Things of one kind (the setting ``resource``) through the virtual IP."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cloud = Cloud(config)
        self.found: dict[str, Any] = {}
        self.kept: set[str] = set()
        """Things that were created and not deleted, as far as is known."""
        self.place: Place = place(self.cloud, config, self.found)

    def prepare(self) -> dict[str, Any]:
        """Find or create the prerequisites."""
        self.found |= lay(self.cloud, self.config["id"], self.place.finds)
        self.place.open()
        return {}

    def session(self, worker: int, random: Random) -> _User:  # noqa: ARG002 - all are alike
        """A client of the API."""
        return _User(self)

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def final(self) -> dict[str, list[Any]]:
        """List the run's things: [{name, id, status}], with ``intact`` if they have content.

        What is listed may be gone all the same, so content is read once more.
        """
        things = self.place.listed()
        if self.place.content:
            things = [thing | self.place.read(thing["name"]) for thing in things]
        return {"listed": things}

    def clean(self) -> None:
        """Delete all that is listed, and the prerequisites."""
        self.place.clear()
        lay(self.cloud, self.config["id"], self.place.finds, remove=True)


class _User:
    def __init__(self, things: Things) -> None:
        self._things, self._config, self._place = things, things.config, things.place
        self._made, self._last = "", ""

    def steps(self, number: int) -> Iterator[Operation]:
        name = f"{self._config['id']}-{number}"
        self._made = self._last = ""
        yield Operation("create", name)
        if self._made != name:
            return
        end = time.monotonic() + self._config["settle"]
        while True:
            yield Operation("read", name, harmless=True)
            if self._last == ABSENT or self._place.settled(self._last):
                break
            if time.monotonic() + _PAUSE > end:
                return
            time.sleep(_PAUSE)
        full = len(self._things.kept) > self._config["keep"]
        if full or number % self._config["delete_every"] == 0:
            yield Operation("delete", name)

    def apply(self, operation: Operation) -> Done:
        name: str = operation.value
        if operation.f == "create":
            self._place.create(name)
            self._made = name
            self._things.kept.add(name)
            return Done(name)
        if operation.f == "delete":
            self._place.delete(name)
            self._things.kept.discard(name)
            return Done(name)
        self._last = ""
        seen = self._place.read(name)
        self._last = seen["status"]
        return Done(seen)

    def close(self) -> None:
        """Nothing: each request has its own connection."""


_FEW = 6
"""``keep``: things above which each is deleted again. A project may have ten servers, volumes and
backups, and each of another's is one less."""
_CLUSTER = ("sahara-api", "sahara-engine", "heat-engine", "nova-api", "neutron-api", "glance")


def _entry(thing: str, *services: str, workers: int = 2, **settings: Any) -> Entry:
    return Entry(
        kind="api",
        way=thing,
        make=Things,
        services=(*SERVED, *services),
        place=api_place,
        operations="``create``, ``delete``: name; ``read``: name → {name, status, intact}; status "
        "``absent`` is what 404 says; intact: the content is what was sent",
        check="api",
        settings={"resource": thing, "delete_every": 3, "settle": 30.0, "keep": 100} | settings,
        rate=0.5,
        workers=workers,
        most=2.0,
        timeout=TIMEOUT,
        apart="-",
    )


ENTRIES = (
    _entry("image", "glance", size=65536),
    _entry("network", "neutron-api"),
    _entry("server", "nova-api", "glance", "neutron-api", settle=90.0, keep=_FEW),
    _entry("volume", "cinder-api", settle=60.0, keep=_FEW),
    # One at a time: a volume that is being backed up takes no second backup.
    _entry("backup", "cinder-backup", "cinder-volume", workers=1, settle=90.0, keep=_FEW),
    _entry("object", "swift-proxy", size=65536),
    _entry("stack", "heat-api", settle=60.0),
    _entry("metric", "gnocchi-api"),
    _entry("alarm", "aodh-api"),
    _entry("message", "zaqar"),
    _entry("balancer", "octavia-api", "octavia-worker", settle=60.0),
    _entry("template", "sahara-api", "nova-api"),
    _entry("cluster", *_CLUSTER, settle=90.0),
    _entry("datastore", "trove-api", "glance"),
)
