"""What a step of ``labctl verify`` works with: the only argument of its function. Shipped."""

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
    """The step has failed, and to ask again is of no use."""


class RefusedError(Exception):
    """An HTTP answer with a status that is not well."""

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
        """What :meth:`defer` was told, first things first."""
        self.state = state
        """What steps tell each other: ids of what was made."""

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
        """Every node's address by name."""
        found: Mapping[str, str] = self._spec["nodes"]
        return found

    def hosts(self, service: str) -> Mapping[str, str]:
        """The nodes that run a service, address by name; empty when the lab has it not."""
        found = self._spec["services"].get(service, {}).get("nodes", ())
        return {name: self.nodes[name] for name in found}

    def has(self, service: str) -> bool:
        """Whether the lab has a service."""
        return service in self._spec["services"]

    @property
    def catalog(self) -> Mapping[str, str]:
        """What Keystone's catalog must hold: type of service → the lab's service behind it."""
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
        """Call this when all is over, last things first, whatever happened in between."""
        self.undo.append((undo, arguments))

    def grant(self, seconds: float) -> None:
        """Let it take so many seconds from now, even if verify is stopped: to clean up."""
        self._deadline = time.monotonic() + seconds
        self._stopped = threading.Event()

    def until(
        self, what: str, ask: Callable[[], Found], seconds: float = 60, every: float = 0.5
    ) -> Found:
        """Ask until the answer is true, and return it.

        Errors of HTTP, of the SDK, of sockets and of assertions mean "not yet"; StepError and all
        others end it. StepError when ``seconds`` or the step's own time are over.
        """
        end = min(time.monotonic() + seconds, self._deadline)
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
        """An HTTP request with the token to a service of the catalog, named by its type.

        ``path`` follows the endpoint's URL; a whole URL is taken as it is. ``arguments`` are those
        of requests (json, data, headers, params). RefusedError when the status is another.
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
        """A plain HTTP request, without the token."""
        return _checked(requests.request(method, url, timeout=timeout, **arguments), expect)

    def command(self, command: Sequence[str], seconds: float = 30) -> str:
        """A program's standard output; AssertionError when it does not end well in time."""
        try:
            done = subprocess.run(  # noqa: S603 - steps are part of labctl
                command, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{command[0]} did not end within {seconds:g} s") from None
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            last = lines[-1] if lines else "it said nothing"
            raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}: {last}")
        return done.stdout

    def save(self, name: str, data: bytes) -> None:
        """Keep a file in the lab's reports."""
        text = base64.b64encode(data).decode()
        self._emit("file", step=self._step["name"], name=name, data=text)

    def beside(self, service: str, command: Sequence[str]) -> None:
        """Run a command in another container of the client node, in the background.

        It shares the network namespace, so it is reached at 127.0.0.1. It must end by itself.
        """
        self._emit("beside", step=self._step["name"], service=service, command=list(command))

    def browser(self) -> Browser:
        """A page of a real browser, which is started for it and ends with verify."""
        self.beside("browser", ["labctl-browser", str(self._step["timeout"])])
        self.until("the browser is up", lambda: self.fetch(f"{ADDRESS}/json/version"), 30)
        page = Browser()
        self.defer(page.close)
        return page


def told(error: BaseException) -> str:
    """An error as people see it: what was asserted, or the kind of error and its text."""
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
    """What a service that is not there yet, or no longer, makes a client raise."""
    import keystoneauth1.exceptions
    import openstack.exceptions

    return (
        RefusedError,
        AssertionError,
        OSError,  # those of requests are among them
        keystoneauth1.exceptions.ClientException,
        openstack.exceptions.SDKException,
    )
