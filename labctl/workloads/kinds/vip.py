"""The virtual IP as a client sees it: connections and pings, and which node answered."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from labctl.workloads.entry import Entry
from labctl.workloads.model import Config, Done, Operation, RefusedError

if TYPE_CHECKING:
    from labctl.model.lab import Lab

NEIGHBOURS = Path("/proc/net/arp")
"""The kernel's neighbour table of this network namespace."""
_ECHO = 8


class Probe:
    """Connects and pings alternately."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self) -> dict[str, Any]:
        """Connect once; returns who holds the address."""
        session = _Prober(self.config)
        return {"member": session.apply(Operation("connect", harmless=True)).at}

    def session(self, worker: int, random: Random) -> _Prober:  # noqa: ARG002 - all are alike
        """A client that connects and pings."""
        return _Prober(self.config)

    def helpers(self) -> tuple[()]:
        """There are none."""
        return ()

    def final(self) -> dict[str, list[str]]:
        """Who holds it at the end."""
        return {"client": [self.prepare()["member"]]}

    def clean(self) -> None:
        """Nothing was made."""


class _Prober:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._number = 0

    def steps(self, number: int) -> Iterator[Operation]:
        self._number = number % 65536
        yield Operation("ping" if number % 2 else "connect", harmless=True)

    def apply(self, operation: Operation) -> Done:
        host, wait = self._config["host"], self._config["timeout"]
        if operation.f == "connect":
            socket.create_connection((host, self._config["port"]), wait).close()
        else:
            ping(host, self._number, wait)
        mac = neighbour(NEIGHBOURS.read_text(), host)
        holder = self._config["macs"].get(mac, "")
        return Done({"holder": holder, "mac": mac}, at=holder)

    def close(self) -> None:
        """Nothing is kept open."""


def ping(host: str, number: int, wait: float) -> None:
    """Send one ping. OSError when there is no answer in time."""
    # The kernel fills in the identifier and the checksum of such a socket.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as end:
        end.settimeout(wait)
        end.connect((host, 0))
        end.send(struct.pack("!BBHHH", _ECHO, 0, 0, 0, number) + os.urandom(8))
        answer = end.recv(64)
    if answer[0] != 0:
        raise RefusedError(f"ICMP type {answer[0]}")


def neighbour(table: str, host: str) -> str:
    """The MAC address of a host in the neighbour table; empty if there is none."""
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[0] == host:
            return fields[3].lower()
    return ""


def _place(lab: Lab, _: Mapping[str, str]) -> dict[str, Any]:
    ports = [
        service.doc.endpoint.port
        for service in lab.services.values()
        # A database counts connections without a login as attacks.
        if service.doc.endpoint is not None and service.doc.endpoint.mode == "http"
    ]
    if not ports:
        # Imported here: the client node, where this is shipped to, has nothing else of labctl.
        from labctl.errors import InputError

        raise InputError(f"lab {lab.name} serves nothing on its virtual IP over HTTP")
    macs = {node.mac.lower(): node.name for node in lab.nodes}
    return {"host": lab.vip, "port": ports[0], "macs": macs}


ENTRIES = (
    Entry(
        kind="vip",
        way="probe",
        make=Probe,
        services=("haproxy", "keepalived"),
        place=_place,
        operations="``connect`` and ``ping``: null → {holder: node, mac: address}",
        check="vip",
        settings={"timeout": 0.5},
        rate=10.0,
        workers=4,
        most=50.0,
    ),
)
