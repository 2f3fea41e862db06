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
    """The browser refuses what it was told, or a page has not what was looked for."""


class Browser:
    """One page of a browser that runs already."""

    def __init__(self) -> None:
        import websocket  # what most steps need not wait for

        page = requests.put(f"{ADDRESS}/json/new?about:blank", timeout=10).json()
        # Chromium refuses programs that say they are a page of another origin.
        self._socket = websocket.create_connection(
            page["webSocketDebuggerUrl"], timeout=_PATIENCE, suppress_origin=True
        )
        self._number = 0

    def close(self) -> None:
        """End the whole browser."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": "Browser.close"}))
        self._socket.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol; its result. Events that come meanwhile are not heeded."""
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
        """Go to a page and wait until it is there. BrowserError when it cannot be reached."""
        self._leave()
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self._arrive(url)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field, instead of what is in it."""
        self._at(selector, f"element.focus(); element.value = {json.dumps(text)}")

    def submit(self, selector: str) -> None:
        """Press a button or follow a link, and wait for the page that comes of it."""
        self._leave()
        self._at(selector, "element.click()")
        self._arrive(selector)

    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.evaluate("document.body.innerText"))

    def url(self) -> str:
        """Where the page is."""
        return str(self.evaluate("location.href"))

    def screenshot(self) -> bytes:
        """A PNG of what is to be seen."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _at(self, selector: str, action: str) -> None:
        found = json.dumps(selector)
        script = f"(element => {{ if (element) {{ {action} }} return !!element }})"
        if not self.evaluate(f"{script}(document.querySelector({found}))"):
            raise BrowserError(f"{self.url()} has no {selector}")

    def _leave(self) -> None:
        """Mark the page, so that the next one is told from it."""
        self.evaluate("window.labctlLeft = true")

    def _arrive(self, where: str) -> None:
        """Wait for a page without the mark."""
        script = "!window.labctlLeft && document.readyState == 'complete'"
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            try:
                if self.evaluate(script):
                    return
            except BrowserError:
                pass  # between two pages there is none
            time.sleep(0.1)
        raise BrowserError(f"{where}: no page within {_PATIENCE:g} s")
