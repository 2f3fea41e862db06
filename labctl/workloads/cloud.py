"""OpenStack's APIs through the virtual IP, with plain HTTP requests and timeouts."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import requests

from labctl.workloads.model import Config, RefusedError

if TYPE_CHECKING:
    from labctl.model.lab import Lab

SERVED = ("keystone", "haproxy", "keepalived")
"""Services that every API needs."""
TIMEOUT = 30.0
"""Seconds that a request may take before its end counts as unknown."""

_SENT_NOTHING = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.InvalidURL,
)
UNSURE = frozenset({500, 502, 503, 504, 408})
"""Statuses after which a balancer or service may have started the request."""


class Cloud:
    """A login and the endpoints of its catalog; shared by the threads of a workload."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._token, self.endpoints = "", dict[str, str]()
        default = {"id": "default"}
        user = {"name": config["user"], "domain": default, "password": config["password"]}
        scope = {"project": {"name": config["project"], "domain": default}}
        identity = {"methods": ["password"], "password": {"user": user}}
        self._auth = {"auth": {"identity": identity, "scope": scope}}

    def url(self, path: str = "") -> str:
        """Keystone's address on the virtual IP."""
        return f"http://{self._config['host']}:{self._config['port']}/v3{path}"

    def login(self) -> tuple[str, dict[str, str]]:
        """A new token, and the public endpoint of each type of service."""
        answer = self.send("POST", self.url("/auth/tokens"), json=self._auth, expect={201})
        endpoints = {
            entry["type"]: endpoint["url"]
            for entry in answer.json()["token"]["catalog"]
            for endpoint in entry["endpoints"]
            if endpoint["interface"] == "public"
        }
        return str(answer.headers["X-Subject-Token"]), endpoints

    def token(self) -> str:
        """The shared token; the first caller logs in. RefusedError when that fails."""
        with self._lock:
            if not self._token:
                try:
                    self._token, self.endpoints = self.login()
                except Exception as error:
                    raise RefusedError(f"no login: {error}") from None
            return self._token

    def request(
        self, service: str, method: str, path: str, *, expect: Collection[int], **arguments: Any
    ) -> requests.Response:
        """Send a request to a service of the catalog, given by its type."""
        token = self.token()
        headers = {"X-Auth-Token": token, **arguments.pop("headers", {})}
        url = self.endpoints[service].rstrip("/") + path
        try:
            return self.send(method, url, expect=expect, headers=headers, **arguments)
        except RefusedError as error:
            if str(error).startswith("status 401"):
                with self._lock:
                    self._token = "" if self._token == token else self._token
            raise

    def send(
        self, method: str, url: str, *, expect: Collection[int], **arguments: Any
    ) -> requests.Response:
        """One request on a connection of its own.

        RefusedError when it certainly was not done: no connection, or a status that says so. Other
        errors, such as a timeout or a status in ``UNSURE``, when that is unknown.
        """
        arguments.setdefault("timeout", self._config["timeout"])
        try:
            answer = requests.request(method, url, **arguments)  # noqa: S113 - it has one
        except _SENT_NOTHING as error:
            raise RefusedError(_reason(error)) from None
        except requests.exceptions.ConnectionError as error:
            if _not_connected(error):
                raise RefusedError(_reason(error)) from None
            raise
        if answer.status_code in expect:
            return answer
        text = f"status {answer.status_code}: {' '.join(answer.text.split())[:120]}"
        if answer.status_code in UNSURE:
            raise StatusError(text)
        raise RefusedError(text)


class StatusError(Exception):
    """A status after which it is unknown whether the request was done."""


def _not_connected(error: Exception) -> bool:
    """Whether there was no connection, so that nothing was sent."""
    return any(sign in repr(error) for sign in ("NewConnectionError", "Connection refused"))


def _reason(error: Exception) -> str:
    return f"no connection: {type(error).__name__}"


def place(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Where a lab's APIs are, and as whom they are used."""
    account = {"user": "admin", "password": secrets["keystone.admin"], "project": "admin"}
    return {"host": lab.vip, "port": 5000, **account}
