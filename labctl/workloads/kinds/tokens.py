"""Keystone through the virtual IP: logins, and answers that come from memcached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from labctl.workloads.cloud import SERVED, TIMEOUT, Cloud, place
from labctl.workloads.entry import Entry
from labctl.workloads.model import Config, Done, Operation, RefusedError


class Login:
    """A token is issued for every number; nothing is stored."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cloud = Cloud(config)

    def prepare(self) -> dict[str, Any]:
        """Log in once."""
        self.cloud.login()
        return {}

    def session(self, worker: int, random: Random) -> Login:  # noqa: ARG002 - all are alike
        """A client that logs in."""
        return self

    def steps(self, number: int) -> Iterator[Operation]:
        """A login."""
        yield Operation("login", number)

    def apply(self, operation: Operation) -> Done:
        """Log in; status 201 is the acknowledgement."""
        self.cloud.login()
        return Done(operation.value)

    def close(self) -> None:
        """Nothing: each request has its own connection."""

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def final(self) -> dict[str, Any]:
        """Nothing: tokens are not stored."""
        return {}

    def clean(self) -> None:
        """Nothing was created."""


class Answers(Login):
    """One token, validated again and again: whatever the cache does, the answer must not change."""

    def prepare(self) -> dict[str, Any]:
        """Log in once for all sessions and validate once, for the expected answer.

        RefusedError when the token is not valid.
        """
        answer = self._validate()
        if not answer.startswith("200 "):
            raise RefusedError(f"the token is not valid: {answer}")
        return {"answer": answer}

    def session(self, worker: int, random: Random) -> Answers:  # noqa: ARG002 - all are alike
        """A client that validates the token."""
        return self

    def steps(self, number: int) -> Iterator[Operation]:  # noqa: ARG002 - each is like another
        """A validation."""
        yield Operation("validate", harmless=True)

    def apply(self, operation: Operation) -> Done:  # noqa: ARG002
        """Validate; a refusal is an answer too, a different one."""
        return Done(self._validate())

    def final(self) -> dict[str, list[str]]:
        """The status of a last validation."""
        return {"status": [self._validate().partition(" ")[0]]}

    def _validate(self) -> str:
        token = self.cloud.token()
        answer = self.cloud.send(
            "GET",
            self.cloud.url("/auth/tokens"),
            expect={200, 401, 403, 404},
            headers={"X-Auth-Token": token, "X-Subject-Token": token},
        )
        return f"{answer.status_code} {digest(answer.json()) if answer.ok else ''}".strip()


def digest(answer: Any) -> str:
    """A short digest of an answer, independent of the order of its parts."""
    text = json.dumps(_ordered(answer), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(each) for key, each in value.items()}
    if isinstance(value, list):
        return sorted(map(_ordered, value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


ENTRIES = (
    Entry(
        kind="memcached",
        way="answers",
        make=Answers,
        services=("memcached", *SERVED),
        place=place,
        operations="``validate``: null → status and digest of the answer",
        check="answers",
        rate=5.0,
        workers=2,
        most=50.0,
    ),
    Entry(
        kind="api",
        way="token",
        make=Login,
        services=SERVED,
        place=place,
        operations="``login``: number",
        check=None,
        rate=1.0,
        workers=2,
        most=20.0,
        timeout=TIMEOUT,
        apart="-",
    ),
)
