"""Where things are stored: REST collections, Swift objects, Zaqar messages, Trove datastores."""

from __future__ import annotations

import hashlib
import random as randomness
import time
import uuid
from typing import Any, Protocol

from labctl.workloads.cloud import Cloud, StatusError
from labctl.workloads.model import Config, RefusedError
from labctl.workloads.resources import RESOURCES, Resource

ABSENT = "absent"
"""The status of a thing that does not exist."""
_OK = frozenset({200, 201, 202, 203, 204})
_GOING, _PAUSE = 90.0, 2.0
"""Seconds until everything must be deleted, and between two checks of what is left."""


class Place(Protocol):
    """Stores things by name."""

    finds: tuple[str, ...]
    content: bool
    """Whether its things have content that can be read back."""

    def open(self) -> None:
        """Create the place itself."""
        ...

    def create(self, name: str) -> None:
        """Create a thing."""
        ...

    def read(self, name: str) -> dict[str, Any]:
        """Read a thing that was created: name, status, and whether its content is intact."""
        ...

    def delete(self, name: str) -> None:
        """Delete a thing that was created."""
        ...

    def listed(self) -> list[dict[str, Any]]:
        """Name, id and status of all things that this run has created."""
        ...

    def settled(self, status: str) -> bool:
        """Whether a status is final."""
        ...

    def clear(self) -> None:
        """Delete everything."""
        ...


def place(cloud: Cloud, config: Config, found: dict[str, Any]) -> Place:
    """The place where a workload's ``resource`` is stored."""
    kind = config["resource"]
    if kind == "object":
        return Objects(cloud, config)
    if kind == "message":
        return Messages(cloud, config)
    if kind == "datastore":
        return Datastores(cloud, config, found)
    return Collection(cloud, config, RESOURCES[kind], found)


def content_of(name: str, size: int) -> bytes:
    """The content of a thing, derived from its name."""
    return randomness.Random(name).randbytes(size)  # noqa: S311 - nothing secret


class Collection:
    """Things of a REST API."""

    def __init__(
        self, cloud: Cloud, config: Config, resource: Resource, found: dict[str, Any]
    ) -> None:
        self._cloud, self._config, self._resource, self._found = cloud, config, resource, found
        self.finds, self.content = resource.finds, resource.content
        self._ids: dict[str, str] = {}

    def open(self) -> None:
        """Nothing to do: it exists."""

    def create(self, name: str) -> None:
        """Create it, and upload its content if it has any."""
        body = self._resource.body(name, self._found)
        answer = self._ask("POST", "", json=body).json()
        made = answer[self._resource.one] if self._resource.one else answer
        self._ids[name] = str(made[self._resource.id])
        if self._resource.content:
            try:
                self._ask(
                    "PUT",
                    self._path(name) + "/file",
                    data=content_of(name, self._config["size"]),
                    headers={"Content-Type": "application/octet-stream"},
                )
            except RefusedError as error:
                # The thing exists, though without its content.
                raise StatusError(f"the content was not accepted: {error}") from None

    def read(self, name: str) -> dict[str, Any]:
        """As the API shows it; the content of a finished thing is downloaded and compared."""
        answer = self._ask("GET", self._path(name), expect=_OK | {404})
        if answer.status_code == 404:
            return {"name": name, "status": ABSENT}
        shown = answer.json()
        status = self._status(shown[self._resource.one] if self._resource.one else shown)
        seen = {"name": name, "status": status}
        if self._resource.content and status == self._resource.settled[0]:
            data = self._ask("GET", self._path(name) + "/file").content
            seen["intact"] = data == content_of(name, self._config["size"])
        return seen

    def delete(self, name: str) -> None:
        """Request its deletion."""
        self._ask("DELETE", self._path(name))

    def listed(self) -> list[dict[str, Any]]:
        """Those with names of this run."""
        answer = self._ask("GET", self._resource.listing).json()
        things = answer[self._resource.many] if self._resource.many else answer
        found = [
            {
                "name": thing[self._resource.name],
                "id": str(thing[self._resource.id]),
                "status": self._status(thing),
            }
            for thing in things
            if str(thing.get(self._resource.name) or "").startswith(f"{self._config['id']}-")
            and self._status(thing) not in self._resource.gone
        ]
        self._ids |= {thing["name"]: thing["id"] for thing in found}
        return found

    def settled(self, status: str) -> bool:
        """As defined for the resource."""
        return not self._resource.settled or status in self._resource.settled

    def clear(self) -> None:
        """Delete until nothing is listed: things in transition cannot be deleted at once.

        TimeoutError when something is left.
        """
        end = time.monotonic() + _GOING
        while left := self.listed():
            for thing in left:
                self._ask("DELETE", self._path(thing["name"]), expect=_OK | {400, 404, 409})
            if time.monotonic() > end:
                raise TimeoutError(f"{len(left)} things cannot be deleted, the first is {left[0]}")
            if self._resource.settled:
                time.sleep(_PAUSE)

    def _path(self, name: str) -> str:
        return self._resource.path.format(name=name, id=self._ids[name])

    def _status(self, thing: dict[str, Any]) -> str:
        return str(thing[self._resource.status]) if self._resource.status else "there"

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        arguments.setdefault("expect", _OK)
        path = self._resource.collection + path
        return self._cloud.request(self._resource.service, method, path, **arguments)


class _Own:
    """A place that the run creates for itself: a container, a queue."""

    finds: tuple[str, ...] = ()
    content = False
    service, root = "", ""

    def __init__(self, cloud: Cloud, config: Config) -> None:
        self._cloud, self._config = cloud, config
        self._where = f"{self.root}/{config['id']}"
        self._headers: dict[str, str] = {}

    def open(self) -> None:
        """Create it."""
        self.ask("PUT", "")

    def settled(self, status: str) -> bool:  # noqa: ARG002 - what is there is there
        """Always: it is complete at once."""
        return True

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        """Send a request about something in it."""
        arguments.setdefault("expect", _OK)
        headers = self._headers | arguments.pop("headers", {})
        path = self._where + path
        return self._cloud.request(self.service, method, path, headers=headers, **arguments)


class Objects(_Own):
    """Swift objects, in a container of their own."""

    service, content = "object-store", True

    def create(self, name: str) -> None:
        """Upload it with its hash, which Swift checks."""
        data = content_of(name, self._config["size"])
        tag = hashlib.md5(data).hexdigest()  # noqa: S324 - the hash that Swift keeps
        self.ask("PUT", f"/{name}", data=data, headers={"ETag": tag})

    def read(self, name: str) -> dict[str, Any]:
        """Download and compare."""
        answer = self.ask("GET", f"/{name}", expect=_OK | {404})
        if answer.status_code == 404:
            return {"name": name, "status": ABSENT}
        intact = answer.content == content_of(name, self._config["size"])
        return {"name": name, "status": "there", "intact": intact}

    def delete(self, name: str) -> None:
        """Delete it."""
        self.ask("DELETE", f"/{name}")

    def listed(self) -> list[dict[str, Any]]:
        """As the container lists them."""
        found = self.ask("GET", "?format=json").json()
        return [{"name": o["name"], "id": o["hash"], "status": "there"} for o in found]

    def clear(self) -> None:
        """Delete all, and the container."""
        for thing in self.listed():
            self.ask("DELETE", f"/{thing['name']}", expect=_OK | {404})
        self.ask("DELETE", "", expect=_OK | {404, 409})


class Messages(_Own):
    """Zaqar messages, in a queue of their own."""

    service, root = "messaging", "/v2/queues"

    def __init__(self, cloud: Cloud, config: Config) -> None:
        super().__init__(cloud, config)
        self._ids: dict[str, str] = {}
        self._headers = {"Client-ID": str(uuid.uuid4())}

    def create(self, name: str) -> None:
        """Post it."""
        body = {"messages": [{"ttl": 3600, "body": name}]}
        answer = self.ask("POST", "/messages", json=body).json()
        self._ids[name] = answer["resources"][0].rpartition("/")[2]

    def read(self, name: str) -> dict[str, Any]:
        """Read it without claiming it."""
        answer = self.ask("GET", f"/messages/{self._ids[name]}", expect=_OK | {404})
        if answer.status_code == 404:
            return {"name": name, "status": ABSENT}
        return {"name": name, "status": "there", "intact": answer.json()["body"] == name}

    def delete(self, name: str) -> None:
        """Delete it."""
        self.ask("DELETE", f"/messages/{self._ids[name]}")

    def listed(self) -> list[dict[str, Any]]:
        """All pages of the queue."""
        found: list[dict[str, Any]] = []
        path = "/messages?echo=true&limit=20"
        while True:
            answer = self.ask("GET", path)
            page = answer.json() if answer.content else {"messages": []}
            if not page["messages"]:
                return found
            found += [
                {"name": m["body"], "id": m["href"].rpartition("/")[2], "status": "there"}
                for m in page["messages"]
            ]
            marker = page["links"][0]["href"].partition("?")[2]
            path = f"/messages?{marker}"

    def clear(self) -> None:
        """Delete the queue."""
        self.ask("DELETE", "")


class Datastores:
    """Trove datastores with one version each, which need no guest."""

    finds: tuple[str, ...] = ("image",)
    content = False

    def __init__(self, cloud: Cloud, config: Config, found: dict[str, Any]) -> None:
        self._cloud, self._config, self._found = cloud, config, found

    def open(self) -> None:
        """Nothing to do: it exists."""

    def create(self, name: str) -> None:
        """Create a version, and with it its datastore."""
        version = {
            "datastore_name": name,
            "datastore_manager": "mysql",
            "name": "1.0",
            "image": self._found["image"],
            "packages": [],
            "active": True,
            "default": True,
        }
        self._ask("POST", "/mgmt/datastore-versions", json={"version": version})

    def read(self, name: str) -> dict[str, Any]:
        """Look it up by name; it is intact if it has its version."""
        answer = self._ask("GET", f"/datastores/{name}", expect=_OK | {404})
        if answer.status_code == 404:
            return {"name": name, "status": ABSENT}
        versions = [version["name"] for version in answer.json()["datastore"]["versions"]]
        return {"name": name, "status": "there", "intact": versions == ["1.0"]}

    def delete(self, name: str) -> None:
        """Delete its versions, then the datastore itself."""
        answer = self._ask("GET", f"/datastores/{name}", expect=_OK | {404})
        if answer.status_code == 404:
            return
        found = answer.json()["datastore"]
        for version in found["versions"]:
            path = f"/mgmt/datastore-versions/{version['id']}"
            self._ask("DELETE", path, expect=_OK | {404})
        self._ask("DELETE", f"/datastores/{found['id']}", expect=_OK | {404})

    def listed(self) -> list[dict[str, Any]]:
        """Those with names of this run."""
        found = self._ask("GET", "/datastores").json()["datastores"]
        return [
            {"name": one["name"], "id": one["id"], "status": "there"}
            for one in found
            if one["name"].startswith(f"{self._config['id']}-")
        ]

    def settled(self, status: str) -> bool:  # noqa: ARG002 - what is there is there
        """Always: it is complete at once."""
        return True

    def clear(self) -> None:
        """Delete all that is listed."""
        for thing in self.listed():
            self.delete(thing["name"])

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        arguments.setdefault("expect", _OK)
        return self._cloud.request("database", method, path, **arguments)
