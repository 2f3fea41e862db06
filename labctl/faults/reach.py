"""Tests which nodes answer each other: pings between nodes, sent from their own namespaces."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.faults import present
from labctl.faults.model import Fault, Station
from labctl.host.parallel import together

# $1 are addresses that should answer: ping until they do, for two seconds. The others ($2) should
# not: ping three times, and wait no longer than a slow machine needs.
_ASK = """
for a in $1; do ping -n -q -c1 -i0.2 -w2 "$a" >/dev/null 2>&1 && echo "$a" & done
for a in $2; do ping -n -q -c3 -i0.1 -W0.3 "$a" >/dev/null 2>&1 && echo "$a" & done
wait
"""


def running(engine: Engine, fault: Fault) -> list[Station]:
    """The stations of a fault whose holders run now."""
    up = present.up(engine, fault.lab)
    return [station for station in fault.stations if station.holder in up]


def ping(
    engine: Engine, stations: Sequence[Station], severed: Collection[frozenset[str]] = ()
) -> Mapping[str, frozenset[str]]:
    """Node → the nodes that answered it. One command for each station, all at once.

    ``severed`` are pairs that are not expected to answer: they get a shorter timeout.
    """
    by_address = {station.address: station.node for station in stations}

    def ask(asker: Station) -> frozenset[str]:
        others = [s for s in stations if s is not asker]
        silent = {s.address for s in others if frozenset((asker.node, s.node)) in severed}
        expected = [s.address for s in others if s.address not in silent]
        command = ["sh", "-c", _ASK, "ask", " ".join(expected), " ".join(sorted(silent))]
        result = engine.exec(asker.holder, command, timeout=15)
        return frozenset(by_address[line] for line in result.stdout.split() if line in by_address)

    answers = together(ask, stations)
    return {station.node: answer for station, answer in zip(stations, answers, strict=True)}


def is_silent(engine: Engine, asker: Station, station: Station) -> bool:
    """Whether a node does not answer another, which must be running."""
    command = ["sh", "-c", _ASK, "ask", "", station.address]
    return not engine.exec(asker.holder, command, timeout=15).stdout.split()


def answers(engine: Engine, asker: Station, station: Station) -> bool:
    """Whether a node answers another within two seconds."""
    command = ["sh", "-c", _ASK, "ask", station.address, ""]
    return bool(engine.exec(asker.holder, command, timeout=15).stdout.split())


def quickest(engine: Engine, asker: Station, station: Station, wait: float) -> float | None:
    """Seconds of the fastest of five answers; None when none came. ``wait``: seconds for each."""
    command = ["ping", "-n", "-q", "-c5", "-i0.2", f"-W{wait:g}", station.address]
    result = engine.exec(asker.holder, command, timeout=wait + 30)
    matched = re.search(r"= ([0-9.]+)/", result.stdout)
    return float(matched[1]) / 1000 if matched else None


def silence(engine: Engine, station: Station) -> None:
    """Take a node's link down: its kernel can send no FIN and no RST when its processes die."""
    _link(engine, station, "down")


def restore(engine: Engine, station: Station) -> None:
    """Bring a node's link up again; no-op if it is up."""
    _link(engine, station, "up")


def _link(engine: Engine, station: Station, state: str) -> None:
    result = engine.exec(station.holder, ["ip", "link", "set", "eth0", state], timeout=10)
    if result.code != 0:
        raise LabError(f"cannot set the link of {station.node} {state}: {result.stderr.strip()}")
