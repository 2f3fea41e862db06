"""The client image's prober, imported from where it lies, and servers for it to ask."""

from __future__ import annotations

import importlib
import json
import socketserver
import struct
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from labctl.documents import shipped

DIRECTORY = shipped.data_dir("images") / "client" / "prober"


def module(name: str) -> Any:
    """A module of the prober, which imports its neighbours by their bare names."""
    if str(DIRECTORY) not in sys.path:
        sys.path.append(str(DIRECTORY))
    return importlib.import_module(name)


@contextmanager
def server(answer: Callable[[bytes], bytes], host: str = "127.0.0.1") -> Iterator[int]:
    """A real server whose connections get ``answer`` of each chunk they send; its port.

    What is answered to b"" is said first; an answer of b"" ends the connection.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            greeting = answer(b"")
            if greeting:
                self.request.sendall(greeting)
            while (said := self.request.recv(65536)) and (reply := answer(said)):
                self.request.sendall(reply)

    with socketserver.ThreadingTCPServer((host, 0), Handler) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()


def http_answer(status: int, body: str = "") -> Callable[[bytes], bytes]:
    """An HTTP/1.0 server that always says the same."""
    head = f"HTTP/1.0 {status} It\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda said: (head + body).encode() if said else b""


def redis_answer(**replies: str) -> Callable[[bytes], bytes]:
    """A Redis that gives the reply whose name is in the command, upper case."""

    def answer(said: bytes) -> bytes:
        if not said:
            return b""
        for name, reply in replies.items():
            if name.encode() in said.upper():
                return reply.encode()
        return b"-ERR unknown command\r\n"

    return answer


def bson() -> types.ModuleType:
    """A stand-in for the client image's bson: JSON, which serves to test the framing."""
    stand_in = types.ModuleType("bson")
    stand_in.encode = lambda data: json.dumps(data).encode()  # type: ignore[attr-defined]
    stand_in.decode = json.loads  # type: ignore[attr-defined]
    return stand_in


def mongodb_answer(**hello: object) -> Callable[[bytes], bytes]:
    """A MongoDB that answers OP_MSG."""
    body = b"\0\0\0\0\0" + json.dumps(hello).encode()
    return lambda said: struct.pack("<iiii", 16 + len(body), 2, 1, 2013) + body if said else b""
