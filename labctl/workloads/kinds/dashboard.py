"""Horizon through the virtual IP: a login by its form, and pages that the session is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

from labctl.workloads.cloud import SERVED, TIMEOUT, Cloud, place
from labctl.workloads.entry import Entry
from labctl.workloads.model import Config, Done, Operation, RefusedError

_TOKEN = re.compile(r"""name=["']csrfmiddlewaretoken["'] value=["']([^"']+)""")
_AGAIN = 5
"""Turns after which a client logs in again."""
KNOWN, UNKNOWN = "known", "asked to log in"


class Dashboard:
    """Sessions of the dashboard: a user who has logged in stays so, whichever instance answers."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self) -> dict[str, Any]:
        """Log in and look at a page once. RefusedError when the session is not known."""
        visitor = _Visitor(self.config)
        visitor.apply(Operation("login", -1))
        seen = visitor.apply(Operation("page", harmless=True)).value
        if seen != KNOWN:
            raise RefusedError(f"the dashboard does not know a user who has just logged in: {seen}")
        return {}

    def session(self, worker: int, random: Random) -> _Visitor:  # noqa: ARG002 - all are alike
        """A user with a browser."""
        return _Visitor(self.config)

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def final(self) -> dict[str, Any]:
        """Nothing: sessions are kept in caches."""
        return {}

    def clean(self) -> None:
        """Nothing: sessions expire."""


class _Visitor:
    def __init__(self, config: Config) -> None:
        self._config, self._cloud = config, Cloud(config)
        self._cookies: dict[str, str] = {}

    def steps(self, number: int) -> Iterator[Operation]:
        if not self._cookies or number % _AGAIN == 0:
            yield Operation("login", number)
        if self._cookies:
            yield Operation("page", harmless=True)

    def apply(self, operation: Operation) -> Done:
        if operation.f == "login":
            self._cookies = self._login()
            return Done(operation.value)
        page = self._url("/identity/users/")
        answer = self._send("GET", page, {200, 302}, cookies=self._cookies)
        if "/auth/login" in answer.headers.get("Location", ""):
            self._cookies = {}
            return Done(UNKNOWN)
        return Done(KNOWN)

    def close(self) -> None:
        """Nothing: each request has its own connection, which the session outlives."""

    def _login(self) -> dict[str, str]:
        page = self._url("/auth/login/")
        form = self._send("GET", page, {200})
        token = _TOKEN.search(form.text)
        if token is None:
            raise RefusedError("the login page has no form")
        account = {"username": self._config["user"], "password": self._config["password"]}
        hidden = {"csrfmiddlewaretoken": token[1], "region": "default", "next": "/project/"}
        cookies: dict[str, str] = form.cookies.get_dict()
        answer = self._send(
            "POST",
            page,
            # The form again, with status 200, means refused.
            {302},
            data=account | hidden,
            cookies=cookies,
            headers={"Referer": page},
        )
        cookies |= answer.cookies.get_dict()
        if "sessionid" not in cookies:
            raise RefusedError("the login gave no session")
        return cookies

    def _url(self, path: str) -> str:
        return f"http://{self._config['host']}{path}"

    def _send(self, method: str, url: str, expect: set[int], **arguments: Any) -> Any:
        return self._cloud.send(method, url, expect=expect, allow_redirects=False, **arguments)


ENTRIES = (
    Entry(
        kind="api",
        way="dashboard",
        make=Dashboard,
        services=(*SERVED, "horizon"),
        place=place,
        operations="``login``: number; ``page``: null → whether the session is known",
        check="answers",
        rate=0.5,
        workers=2,
        most=5.0,
        timeout=TIMEOUT,
        apart="-",
    ),
)
