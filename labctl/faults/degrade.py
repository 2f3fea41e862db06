"""Faults on the wire that let some frames pass: proved by the frames that they dropped."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from threading import Event

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.faults import partition, reach
from labctl.faults.model import Fault, Station
from labctl.faults.partition import severed
from labctl.faults.wire import VRRP, dropped, rules, ruleset, table
from labctl.host.parallel import together

_LEAD = 1.5
"""Seconds until a very short cut, so that all nodes have got ready for it."""
_PATIENCE = 4.0
"""Seconds that a frame of the protocol that is cut is waited for."""

# $1 are addresses, $2 pings to each, $3 seconds between them, $4 bytes.
_PINGS = """
for a in $1; do ping -n -q -c "$2" -i "$3" -s "$4" -W1 "$a" >/dev/null 2>&1 & done
wait
"""
# $1 are addresses, $2 a port: a SYN to each, which is all that is needed.
_KNOCK = """
for a in $1; do timeout 0.5 bash -c "exec 3<>/dev/tcp/$a/$2" 2>/dev/null & done
wait
"""
# $1 are addresses, $2 the moment (nanoseconds since the epoch); the transaction comes on input.
# Pings run all the while, so that there is something to drop.
_BLINK = """
cat >/tmp/$3
for a in $1; do ping -n -q -c 600 -i 0.003 -W1 "$a" >/dev/null 2>&1 & done
left=$(( ($2 - $(date +%s%N)) / 1000000 ))
[ "$left" -le 0 ] || sleep "$(printf '%d.%03d' $((left / 1000)) $((left % 1000)))"
nft -f /tmp/$3; code=$?
rm /tmp/$3
wait
exit $code
"""


def blink(engine: Engine, fault: Fault) -> None:
    """Make a very short cut on all its nodes at the same moment; the kernel ends it by itself."""
    deaf = fault.deaf()
    moment = str(time.time_ns() + int(_LEAD * 1e9))

    def apply(station: Station) -> None:
        speakers = [fault.station(node) for node in deaf[station.node]]
        macs = [speaker.mac for speaker in speakers]
        text = ruleset(table(fault), macs, [], fault.lease, rules(fault))
        addresses = " ".join(speaker.address for speaker in speakers)
        command = ["sh", "-c", _BLINK, "blink", addresses, moment, table(fault)]
        result = engine.exec(station.holder, command, stdin=text.encode(), timeout=30)
        if result.code != 0:
            raise LabError(f"nft in {station.holder} refused the fault: {result.stderr.strip()}")

    together(apply, [s for s in reach.running(engine, fault) if s.node in deaf])


def bites(engine: Engine, fault: Fault, others: Sequence[Fault]) -> dict[str, object]:
    """Prove that frames were dropped, and that other frames pass.

    Frames are sent for that, but for VRRP, whose own are waited for. LabError when none was.
    """
    stations = reach.running(engine, fault)
    deaf = {s.node: s for s in stations if s.node in fault.deaf()}
    if fault.blink:
        seen = _dropped(engine, fault, list(deaf.values()))
    else:
        seen = _provoked(engine, fault, stations, deaf)
    if not any(seen.values()):
        raise LabError(f"{fault.title} does not bite: no node dropped a frame")
    if fault.kind == "cut":
        _passes(engine, fault, stations, others)
    return {"dropped": seen}


def _provoked(
    engine: Engine, fault: Fault, stations: Sequence[Station], deaf: dict[str, Station]
) -> dict[str, int]:
    limit = time.monotonic() + _PATIENCE
    while True:
        if fault.terms.get("only") != VRRP:
            _send(engine, fault, stations)
        seen = _dropped(engine, fault, list(deaf.values()))
        whole = all(seen.values()) or (fault.kind == "cut" and any(seen.values()))
        if whole or time.monotonic() > limit:
            break
        Event().wait(0.2)
    if fault.kind != "cut" and not all(seen.values()):
        node = next(node for node, frames in seen.items() if not frames)
        raise LabError(f"{fault.title} does not bite: {node} dropped no frame")
    return seen


def _send(engine: Engine, fault: Fault, stations: Sequence[Station]) -> None:
    """Send each deaf node what it should drop some of."""
    port = fault.terms.get("only")
    listeners: dict[str, list[str]] = {}
    up = {station.node for station in stations}
    for listener, speakers in fault.deaf().items():
        for speaker in up & set(speakers) if listener in up else ():
            listeners.setdefault(speaker, []).append(fault.station(listener).address)

    def send(speaker: Station) -> None:
        addresses = " ".join(listeners[speaker.node])
        if port is not None:
            command = ["sh", "-c", _KNOCK, "knock", addresses, str(port)]
        else:
            pings, size = _amount(fault)
            command = ["sh", "-c", _PINGS, "pings", addresses, str(pings), "0.005", str(size)]
        engine.exec(speaker.holder, command, timeout=30)

    together(send, [station for station in stations if station.node in listeners])


def _amount(fault: Fault) -> tuple[int, int]:
    """Pings, and their size in bytes, of which some are surely dropped."""
    if fault.kind == "loss":
        return math.ceil(600 / fault.terms["percent"]), 56
    return 200, int(min(60_000, max(64, fault.terms["rate"] * 3 // 200)))


def _dropped(engine: Engine, fault: Fault, deaf: Sequence[Station]) -> dict[str, int]:
    listed = together(lambda s: partition.listing(engine, s.holder, fault), deaf)
    return {s.node: dropped(text) for s, text in zip(deaf, listed, strict=True)}


def _passes(
    engine: Engine, fault: Fault, stations: Sequence[Station], others: Sequence[Fault]
) -> None:
    """Prove that pings still pass: the cut is of one protocol, or over."""
    still = severed(others)
    answered = reach.ping(engine, stations, still)
    for asker, speakers in fault.deaf().items():
        for other in speakers if asker in answered else ():
            pair = frozenset((asker, other))
            if pair not in still and other in answered and other not in answered[asker]:
                raise LabError(f"{fault.title} cuts too much: {other} does not answer {asker}")
