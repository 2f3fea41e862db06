"""Network faults that let some frames pass, or are very short: proved by the dropped frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event

from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.faults import kinds, partition, reach
from labctl.faults.model import Fault, Station
from labctl.faults.wire import dropped, ruleset, table
from labctl.host.parallel import together

_LEAD = 1.5
"""Seconds until a very short cut, so that all nodes are ready for it."""
_PATIENCE = 4.0
"""Seconds to wait for a frame that should be dropped."""

# $1 are addresses, $2 pings to each, $3 seconds between them, $4 bytes.
_PINGS = """
for a in $1; do ping -n -q -c "$2" -i "$3" -s "$4" -W1 "$a" >/dev/null 2>&1 & done
wait
"""
# $1 are addresses, $2 a port: send a SYN to each, which is enough.
_KNOCK = """
for a in $1; do timeout 0.5 bash -c "exec 3<>/dev/tcp/$a/$2" 2>/dev/null & done
wait
"""
# $1 are addresses, $2 the moment (nanoseconds since the epoch), $3 a file name; the transaction is
# on standard input. Pings run meanwhile, so that there is something to drop.
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


def blink(engine: Engine, fault: Fault, rules: Sequence[str]) -> None:
    """Make a very short cut on all its nodes at the same moment; the kernel ends it."""
    deaf = fault.deaf()
    moment = str(time.time_ns() + int(_LEAD * 1e9))

    def apply(station: Station) -> None:
        speakers = [fault.station(node) for node in deaf[station.node]]
        macs = [speaker.mac for speaker in speakers]
        text = ruleset(table(fault), macs, [], fault.lease, rules)
        addresses = " ".join(speaker.address for speaker in speakers)
        command = ["sh", "-c", _BLINK, "blink", addresses, moment, table(fault)]
        result = engine.exec(station.holder, command, stdin=text.encode(), timeout=30)
        if result.code != 0:
            raise LabError(f"nft in {station.holder} refused the fault: {result.stderr.strip()}")

    together(apply, [s for s in reach.running(engine, fault) if s.node in deaf])


def had_effect(
    engine: Engine, fault: Fault, send: Callable[[], None] | None, *, everywhere: bool
) -> dict[str, object]:
    """Prove that frames were dropped: by each of its nodes (``everywhere``), or by at least one.

    ``send`` sends frames that should be dropped; without it, wait for the nodes' own traffic.
    LabError when none was dropped. Returns node → dropped frames, under ``dropped``.
    """
    deaf = [s for s in reach.running(engine, fault) if s.node in fault.deaf()]
    limit = time.monotonic() + _PATIENCE
    while True:
        if send is not None:
            send()
        seen = dropped_by(engine, fault, deaf)
        enough = all(seen.values()) or (not everywhere and any(seen.values()))
        if enough or time.monotonic() > limit:
            break
        Event().wait(0.2)
    if not enough and everywhere:
        node = next(node for node, frames in seen.items() if not frames)
        raise LabError(f"{fault.title} had no effect: {node} dropped no frame")
    if not any(seen.values()):
        raise LabError(f"{fault.title} had no effect: no node dropped a frame")
    return {"dropped": seen}


def loses_pings(engine: Engine, fault: Fault, pings: int, size: int) -> dict[str, object]:
    """Prove that each of its nodes drops some of so many pings, of so many bytes."""
    return had_effect(engine, fault, lambda: ping(engine, fault, pings, size), everywhere=True)


def blinked(engine: Engine, fault: Fault) -> dict[str, object]:
    """Prove that a very short cut, already over, has dropped frames. LabError when it has not."""
    deaf = [s for s in reach.running(engine, fault) if s.node in fault.deaf()]
    seen = dropped_by(engine, fault, deaf)
    if not any(seen.values()):
        raise LabError(f"{fault.title} had no effect: no node dropped a frame")
    return {"dropped": seen}


def ping(engine: Engine, fault: Fault, pings: int, size: int) -> None:
    """Send each deaf node ``pings`` pings of ``size`` bytes from each node it should not hear."""
    _send(engine, fault, _PINGS, "pings", str(pings), "0.005", str(size))


def knock(engine: Engine, fault: Fault, port: int) -> None:
    """Open a connection to a port of each deaf node from each node that it should not hear."""
    _send(engine, fault, _KNOCK, "knock", str(port))


def _send(engine: Engine, fault: Fault, script: str, name: str, *words: str) -> None:
    stations = reach.running(engine, fault)
    listeners: dict[str, list[str]] = {}
    up = {station.node for station in stations}
    for listener, speakers in fault.deaf().items():
        for speaker in up & set(speakers) if listener in up else ():
            listeners.setdefault(speaker, []).append(fault.station(listener).address)

    def send(speaker: Station) -> None:
        command = ["sh", "-c", script, name, " ".join(listeners[speaker.node]), *words]
        engine.exec(speaker.holder, command, timeout=30)

    together(send, [station for station in stations if station.node in listeners])


def dropped_by(engine: Engine, fault: Fault, deaf: Sequence[Station]) -> dict[str, int]:
    """Node → number of frames that its rules dropped."""
    listed = together(lambda s: partition.listing(engine, s.holder, fault), deaf)
    return {s.node: dropped(text) for s, text in zip(deaf, listed, strict=True)}


def passes(engine: Engine, fault: Fault, others: Sequence[Fault]) -> None:
    """Prove that pings still pass, because the cut is of one protocol or is over."""
    still = kinds.severed(others)
    answered = reach.ping(engine, reach.running(engine, fault), still)
    for asker, speakers in fault.deaf().items():
        for other in speakers if asker in answered else ():
            pair = frozenset((asker, other))
            if pair not in still and other in answered and other not in answered[asker]:
                raise LabError(f"{fault.title} cuts too much: {other} does not answer {asker}")
