"""The console's step: a token, a websocket through the virtual IP, and the screen's first words."""

import base64
import os
import socket
import struct
from urllib.parse import parse_qs, urlsplit

SECONDS = 15
"""How long the proxy may take for an answer."""
BINARY, CLOSE = 2, 8
"""Kinds of a websocket's frames."""


class Screen:
    """A websocket to the proxy with RFB, the protocol of VNC, in its frames."""

    def __init__(self, host, port, path):
        """Connect and upgrade to a websocket; AssertionError when the proxy refuses."""
        self._socket = socket.create_connection((host, port), timeout=SECONDS)
        self._held = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{port}",
            f"Origin: http://{host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: binary",
        )
        self._socket.sendall("\r\n".join((*lines, "", "")).encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self._exactly(1)
        status = answer.splitlines()[0].decode()
        assert " 101 " in f"{status} ", f"the proxy answers {status}"

    def _exactly(self, count):
        """So many bytes of the connection."""
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            assert piece, "the proxy has closed the connection"
            data += piece
        return data

    def _frame(self):
        """What the next frame holds."""
        first, length = self._exactly(2)
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        data = self._exactly(length)
        assert first & 15 != CLOSE, f"the proxy ends the session: {data[2:].decode()}"
        return data

    def read(self, count):
        """So many bytes of RFB."""
        while len(self._held) < count:
            self._held += self._frame()
        data, self._held = self._held[:count], self._held[count:]
        return data

    def write(self, data):
        """Send RFB, at most 125 bytes, masked as clients must."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
        self._socket.sendall(bytes((0x80 | BINARY, 0x80 | len(data))) + mask + masked)

    def close(self):
        """End the connection."""
        self._socket.close()


def greet(screen):
    """RFB's handshake; width, height and name of the screen."""
    version = screen.read(12)
    assert version.startswith(b"RFB 003."), f"not a screen: {version!r}"
    screen.write(b"RFB 003.008\n")
    kinds = screen.read(screen.read(1)[0])
    assert 1 in kinds, f"the screen wants security of kind {list(kinds)}, not none"
    screen.write(b"\x01")
    (result,) = struct.unpack(">I", screen.read(4))
    assert result == 0, f"the screen refuses ({result})"
    screen.write(b"\x01")
    width, height, length = struct.unpack(">HH16xI", screen.read(24))
    return width, height, screen.read(length).decode()


def look(url):
    """Open the console that a URL of Nova's leads to."""
    parts = urlsplit(url)
    path = "/" + parse_qs(parts.query)["path"][0].lstrip("/")
    screen = Screen(parts.hostname, parts.port, path)
    try:
        return greet(screen)
    finally:
        screen.close()


def run(ctx):
    """Ask for a console and look at it the way noVNC does."""
    answer = ctx.request(
        "compute",
        "POST",
        f"/servers/{ctx.state['server']}/remote-consoles",
        json={"remote_console": {"protocol": "vnc", "type": "novnc"}},
        headers={"OpenStack-API-Version": "compute 2.6"},
    )
    url = answer.json()["remote_console"]["url"]
    page = ctx.fetch(url.partition("?")[0])
    assert "noVNC" in page.text, "the console's page is not noVNC's"
    width, height, name = ctx.until("the screen answers", lambda: look(url), seconds=40)
    ctx.say(f"{name}: a screen of {width} x {height} over {url.partition('?')[0]}")
