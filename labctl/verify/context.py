"""The context of a step of ``labctl verify``, the only argument of its function. Shipped."""

from __future__ import annotations

import base64
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import requests

from labctl.verify.browser import ADDRESS, Browser

Found = TypeVar("Found")
Emit = Callable[..., None]

OK = (200, 201, 202, 203, 204)


class StepError(Exception):
    """The step has failed, and retrying is of no use."""


class RefusedError(Exception):
    """An HTTP answer with an unexpected status."""

    def __init__(self, response: requests.Response) -> None:
        self.url = response.url
        text = " ".join(response.text.split())[:300]
        method = response.request.method if response.request is not None else "?"
        super().__init__(f"{method} {response.url}: {response.status_code} {text}")


class Context:
    """One step's view of the lab. Everything it makes carries :meth:`name`."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        step: Mapping[str, Any],
        *,
        connect: Callable[[], Any],
        state: dict[str, Any],
        emit: Emit,
        stopped: threading.Event,
    ) -> None:
        self._spec, self._step, self._connect, self._emit = spec, step, connect, emit
        self._stopped = stopped
        self._cloud: Any = None
        self._deadline = time.monotonic() + float(step["timeout"])
        self.undo: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        """The calls deferred by :meth:`defer`, oldest first."""
        self.state = state
        """Shared between steps: ids of what was created."""

    @property
    def cloud(self) -> Any:
        """A connection (``openstack.connection.Connection``) as administrator, this step's own."""
        if self._cloud is None:
            self._cloud = self._connect()
        return self._cloud

    @property
    def vip(self) -> str:
        """The virtual IP."""
        return str(self._spec["vip"])

    @property
    def nodes(self) -> Mapping[str, str]:
        """Node → address."""
        found: Mapping[str, str] = self._spec["nodes"]
        return found

    def hosts(self, service: str) -> Mapping[str, str]:
        """Node → address, for the nodes that run a service; empty when the lab does not have it."""
        found = self._spec["services"].get(service, {}).get("nodes", ())
        return {name: self.nodes[name] for name in found}

    def has(self, service: str) -> bool:
        """Whether the lab has a service."""
        return service in self._spec["services"]

    @property
    def catalog(self) -> Mapping[str, str]:
        """What Keystone's catalog must contain: service type → the lab's service."""
        services = self._spec["services"].items()
        return {kind: name for name, service in services for kind in service["types"]}

    def settings(self, service: str) -> Mapping[str, Any]:
        """A service's settings in this lab."""
        found: Mapping[str, Any] = self._spec["services"][service]["settings"]
        return found

    def name(self, what: str) -> str:
        """A name that no other run of verify uses."""
        return f"verify-{self._spec['run']}-{what}"

    def say(self, text: str) -> None:
        """A line of evidence."""
        self._emit("said", step=self._step["name"], text=str(text))

    def fail(self, why: str) -> NoReturn:
        """Fail the step now, from inside :meth:`until` too."""
        raise StepError(why)

    def defer(self, undo: Callable[..., Any], *arguments: Any) -> None:
        """Call this at the end, in reverse order, whatever happens in between."""
        self.undo.append((undo, arguments))

    def grant(self, seconds: float) -> None:
        """Allow so many seconds from now, even if verify is stopped: for cleaning up."""
        self._deadline = time.monotonic() + seconds
        self._stopped = threading.Event()

    def until(
        self, what: str, ask: Callable[[], Found], seconds: float = 60, every: float = 0.5
    ) -> Found:
        """Call ``ask`` until its result is true, and return that.

        Errors of HTTP, of the SDK, of sockets and of assertions mean "not yet"; StepError and all
        others are raised. StepError when ``seconds``, times the run's patience, or the step's own
        time have passed.
        """
        end = min(time.monotonic() + seconds * self._spec["patience"], self._deadline)
        began, last = time.monotonic(), None
        while True:
            try:
                answer = ask()
            except _not_yet() as error:
                last = error
            else:
                if answer:
                    return answer
                last = None
            if self._stopped.is_set():
                raise StepError("stopped")
            if time.monotonic() + every > end:
                waited = time.monotonic() - began
                why = f" (the last answer: {told(last)})" if last else ""
                raise StepError(f"not within {waited:.0f} s: {what}{why}") from last
            time.sleep(every)

    def request(
        self,
        service: str,
        method: str,
        path: str,
        *,
        expect: Sequence[int] = OK,
        timeout: float = 60,
        **arguments: Any,
    ) -> requests.Response:
        """Send an HTTP request with the token to a service of the catalog, given by its type.

        ``path`` is appended to the endpoint's URL; a full URL is used as it is. ``arguments`` are
        those of requests (json, data, headers, params). RefusedError for other statuses than
        ``expect``.
        """
        session = self.cloud.session
        if "://" not in path:
            arguments["endpoint_filter"] = {
                "service_type": service,
                "interface": "public",
                "region_name": self.cloud.config.get_region_name(),
            }
        answer: requests.Response = session.request(
            path, method, raise_exc=False, timeout=timeout, **arguments
        )
        return _checked(answer, expect)

    def make(
        self,
        service: str,
        path: str,
        body: Mapping[str, Any],
        *,
        key: str = "id",
        expect: Sequence[int] = OK,
    ) -> dict[str, Any]:
        """POST a thing to a service of the catalog, and delete it when all is over.

        Returns it as the API shows it; ``key`` is the name of its id. Some APIs put a thing into
        a mapping of one: then that is opened.
        """
        made = self.request(service, "POST", path, json=body, expect=expect).json()
        if key not in made:
            (made,) = made.values()
        self.defer(self.request, service, "DELETE", f"{path}/{made[key]}")
        thing: dict[str, Any] = made
        return thing

    def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        expect: Sequence[int] = (200,),
        timeout: float = 5,
        **arguments: Any,
    ) -> requests.Response:
        """Send a plain HTTP request, without the token."""
        return _checked(requests.request(method, url, timeout=timeout, **arguments), expect)

    def command(self, command: Sequence[str], seconds: float = 30) -> str:
        """Run a program; returns its standard output. AssertionError if it fails or is too slow."""
        try:
            done = subprocess.run(  # noqa: S603 - steps are part of labctl
                command, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{command[0]} did not end within {seconds:g} s") from None
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            last = lines[-1] if lines else "it printed nothing"
            raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}: {last}")
        return done.stdout

    def save(self, name: str, data: bytes) -> None:
        """Save a file in the lab's reports."""
        text = base64.b64encode(data).decode()
        self._emit("file", step=self._step["name"], name=name, data=text)

    def beside(self, service: str, command: Sequence[str]) -> None:
        """Run a command in another container of the client node, in the background.

        They share the network namespace, so it is reached at 127.0.0.1. It must end by itself.
        """
        self._emit("beside", step=self._step["name"], service=service, command=list(command))

    def browser(self) -> Browser:
        """Start a real browser, which ends with verify; returns a page of it."""
        self.beside("browser", ["labctl-browser", str(self._step["timeout"])])
        self.until("the browser is up", lambda: self.fetch(f"{ADDRESS}/json/version"), 30)
        page = Browser()
        self.defer(page.close)
        return page


def told(error: BaseException) -> str:
    """An error for people: the assertion, or the type of error and its text."""
    text = " ".join(str(error).split())[:500]
    kind = type(error).__name__
    if isinstance(error, StepError | RefusedError | AssertionError):
        return text or kind
    return f"{kind}: {text}" if text else kind


def _checked(answer: requests.Response, expect: Sequence[int]) -> requests.Response:
    if answer.status_code not in expect:
        raise RefusedError(answer)
    return answer


def _not_yet() -> tuple[type[BaseException], ...]:
    """The errors that clients raise when a service is not there yet, or no longer."""
    import keystoneauth1.exceptions
    import openstack.exceptions

    return (
        RefusedError,
        AssertionError,
        OSError,  # those of requests are among them
        keystoneauth1.exceptions.ClientException,
        openstack.exceptions.SDKException,
    )
