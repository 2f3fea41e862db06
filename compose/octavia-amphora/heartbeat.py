"""An amphora's heartbeats: what HAProxy counts, signed, to one health manager after the other.

The format is that of Octavia's own amphorae, version 3: counters are what came since the last one.
"""

import csv
import hashlib
import hmac
import json
import logging
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import cycle
from typing import Any

from plugged import Heartbeats

LOG = logging.getLogger("heartbeat")
COUNTED = {"bout": "tx", "bin": "rx", "ereq": "ereq", "stot": "totconns"}
"""HAProxy's running totals → Octavia's names of their growth."""
VERSION = 3

Row = Mapping[str, str]


def ask(path: str, question: str) -> str:
    """What HAProxy answers on its socket; OSError when there is none or nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(f"{question}\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def rows(statistics: str) -> list[Row]:
    """``show stat`` as rows; what HAProxy measures of itself is no tenant's traffic."""
    lines = statistics.removeprefix("# ").splitlines()
    return [row for row in csv.DictReader(lines) if "prometheus" not in row["pxname"]]


class Counters:
    """How much each listener's totals have grown; smaller ones are those of a new HAProxy."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}

    def grown(self, listener: str, row: Row) -> dict[str, int]:
        """By Octavia's names, since this was asked last."""
        growth = {}
        for name, word in COUNTED.items():
            now, before = int(row[name]), self._last.get((listener, name), 0)
            self._last[listener, name] = now
            growth[word] = now - before if now >= before else now
        return growth


def message(
    amphora: str, number: int, statistics: Iterable[Row], counters: Counters
) -> dict[str, Any]:
    """What an amphora says of its listeners, pools and members."""
    listeners: dict[str, Any] = {}
    pools: dict[str, Any] = {}
    for row in statistics:
        name, server = row["pxname"], row["svname"]
        if server == "FRONTEND":
            stats = {**counters.grown(name, row), "conns": int(row["scur"])}
            listeners[name] = {"status": row["status"], "stats": stats}
            continue
        pool = pools.setdefault(name, {"status": "DOWN", "members": {}})
        if server == "BACKEND":
            pool["status"] = row["status"]
        else:
            # HAProxy calls a server up that gets nothing more.
            drained = row["status"] == "UP" and row["weight"] == "0"
            pool["members"][server] = "DRAIN" if drained else row["status"]
    return {
        "id": amphora,
        "seq": number,
        "listeners": listeners,
        "pools": pools,
        "ver": VERSION,
    }


def envelope(said: Mapping[str, Any], key: str) -> bytes:
    """The datagram: compressed JSON and its signature in hexadecimal digits."""
    payload = zlib.compress(json.dumps(said).encode(), 9)
    return payload + hmac.new(key.encode(), payload, hashlib.sha256).hexdigest().encode()


class Heart(threading.Thread):
    """Beats until it is stopped; ``statistics`` gives the rows of all that runs."""

    def __init__(self, to: Heartbeats, statistics: Callable[[], list[Row]]) -> None:
        super().__init__(daemon=True, name=f"heart-{to.amphora}")
        self._to, self._statistics = to, statistics
        self._stopped = threading.Event()

    def stop(self) -> None:
        """No further beat."""
        self._stopped.set()

    def run(self) -> None:
        """As Octavia's amphorae do: each to one manager, in turn; what is lost is not repeated."""
        counters, managers, number = Counters(), cycle(self._to.managers), 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while self._to.managers and not self._stopped.is_set():
                said = message(self._to.amphora, number, self._statistics(), counters)
                try:
                    sender.sendto(envelope(said, self._to.key), next(managers))
                except OSError as error:
                    LOG.warning("amphora %s: no heartbeat: %s", self._to.amphora, error)
                number += 1
                self._stopped.wait(self._to.interval)
