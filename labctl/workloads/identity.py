"""Logins through the virtual IP: a token issued for every number; nothing is kept."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from labctl.workloads.client import Config, RefusedError


class Login:
    """Asks Keystone for tokens, each over a connection of its own."""

    def __init__(self, config: Config) -> None:
        self._config = config
        default = {"id": "default"}
        user = {"name": config["user"], "domain": default, "password": config["password"]}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": config["project"], "domain": default}},
        }
        self._body = json.dumps({"auth": auth}).encode()

    def prepare(self) -> Mapping[str, Any]:
        """Log in once."""
        self.write(0)
        return {}

    def write(self, value: int) -> None:  # noqa: ARG002 - a token says nothing of its number
        """Log in; status 201 is the acknowledgement."""
        request = urllib.request.Request(
            f"http://{self._config['host']}:{self._config['port']}/v3/auth/tokens",
            data=self._body,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._config["timeout"]) as answer:  # noqa: S310
                answer.read()
        except urllib.error.HTTPError as error:
            raise RefusedError(f"status {error.code}") from None

    def read(self) -> Mapping[str, list[int]]:
        """Nothing: tokens are not stored."""
        return {}

    def close(self) -> None:
        """Nothing is kept open."""


def connect(config: Config) -> Login:
    """For the loop."""
    return Login(config)
