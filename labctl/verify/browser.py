"""A real browser, driven over the Chrome DevTools Protocol as a person would use it. Shipped."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import requests

ADDRESS = "http://127.0.0.1:9222"
"""Where ``labctl-browser`` listens, in the client node's network namespace."""
_PATIENCE = 60.0


class BrowserError(Exception):
    """The browser rejects a command, or a page lacks what was looked for."""


class Browser:
    """A page of a browser that is already running."""

    def __init__(self) -> None:
        import websocket  # here, so that most steps need not wait for it

        page = requests.put(f"{ADDRESS}/json/new?about:blank", timeout=10).json()
        # Chromium rejects clients that send the Origin header of another page.
        self._socket = websocket.create_connection(
            page["webSocketDebuggerUrl"], timeout=_PATIENCE, suppress_origin=True
        )
        self._number = 0

    def close(self) -> None:
        """Close the whole browser."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": "Browser.close"}))
        self._socket.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol; returns its result and ignores events until then."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(command))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("id") != self._number:
                continue
            if "error" in said:
                raise BrowserError(f"{method}: {said['error']['message']}")
            result: dict[str, Any] = said["result"]
            return result

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            told = answer["exceptionDetails"].get("exception", {}).get("description", "failed")
            raise BrowserError(f"{script}: {told}")
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Open a page and wait until it is loaded. BrowserError when it cannot be reached."""
        self._leave()
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self._arrive(url)

    def fill(self, selector: str, text: str) -> None:
        """Replace the text of a field."""
        self._at(selector, f"element.focus(); element.value = {json.dumps(text)}")

    def submit(self, selector: str) -> None:
        """Click a button or link, and wait for the next page."""
        self._leave()
        self._at(selector, "element.click()")
        self._arrive(selector)

    def text(self) -> str:
        """The visible text of the page."""
        return str(self.evaluate("document.body.innerText"))

    def url(self) -> str:
        """The URL of the page."""
        return str(self.evaluate("location.href"))

    def screenshot(self) -> bytes:
        """A PNG of the page."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _at(self, selector: str, action: str) -> None:
        found = json.dumps(selector)
        script = f"(element => {{ if (element) {{ {action} }} return !!element }})"
        if not self.evaluate(f"{script}(document.querySelector({found}))"):
            raise BrowserError(f"{self.url()} has no {selector}")

    def _leave(self) -> None:
        """Mark the page, to distinguish it from the next one."""
        self.evaluate("window.labctlLeft = true")

    def _arrive(self, where: str) -> None:
        """Wait until a page without the mark is loaded."""
        script = "!window.labctlLeft && document.readyState == 'complete'"
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                if self.evaluate(script):
                    return
            except BrowserError:
                pass  # between two pages there is nothing to evaluate it in
            time.sleep(0.1)
        raise BrowserError(f"{where}: no page within {_PATIENCE:g} s")
