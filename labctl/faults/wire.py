"""The nftables transactions of faults on the wire, as text: what a node does to others' frames.

One table for each fault. A plain cut drops every frame of the nodes that are not heard, the
others some of them: one protocol or port, a share, or what is beyond a rate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from labctl.faults.model import Fault

TABLE_PREFIX = "labctl_cut_"
HOOK_PRIORITY = -500
DROPPED = "dropped"
"""The counter of frames dropped, where not every frame of a set is."""
AIMED = "ether saddr @deaf"
"""In a rule: frames of those that a node does not hear, or hears badly."""
COUNTED = f"counter name {DROPPED} drop"
"""In a rule: drop some of them and count these."""

Counts = Mapping[str, Mapping[str, int]]
"""Set (deaf or heard) → MAC address → frames."""


def table(fault: Fault) -> str:
    """The name of a fault's nftables table."""
    return TABLE_PREFIX + fault.id


def ruleset(
    name: str,
    deaf: Sequence[str],
    heard: Sequence[str],
    seconds: float,
    said: Sequence[str] = (f"{AIMED} drop",),
) -> str:
    """The transaction that makes a node deaf to MAC addresses for so many seconds.

    ``heard`` are those of nodes that must still be heard though they do not hear: counted, to
    prove a one-way cut. Whatever the table held before is replaced.
    """
    lease = f"{math.ceil(seconds)}s" if seconds >= 1 else f"{max(1, round(seconds * 1000))}ms"
    blocked = ", ".join(f"{mac} timeout {lease}" for mac in deaf)
    lines = [f"table netdev {name}", f"delete table netdev {name}", f"table netdev {name} {{"]
    if any(f"counter name {DROPPED}" in rule for rule in said):
        lines += [f"  counter {DROPPED} {{", "  }"]
    if deaf:
        lines += [
            "  set deaf {",
            "    type ether_addr",
            "    flags timeout",
            "    counter",
            f"    elements = {{ {blocked} }}",
            "  }",
        ]
    if heard:
        lines += [
            "  set heard {",
            "    type ether_addr",
            "    counter",
            f"    elements = {{ {', '.join(heard)} }}",
            "  }",
        ]
    lines += [
        "  chain ingress {",
        f'    type filter hook ingress device "eth0" priority {HOOK_PRIORITY}; policy accept;',
        *(f"    {rule}" for rule in said if deaf),
        *(["    ether saddr @heard"] if heard else []),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def removal(name: str) -> str:
    """The transaction that removes a table; no-op if absent."""
    return f"table netdev {name}\ndelete table netdev {name}\n"


def counts(listed: str) -> Counts:
    """The sets' counters of ``nft -j list table``; elements that have expired are left out."""
    sets = [item["set"] for item in json.loads(listed)["nftables"] if "set" in item]
    return {
        each["name"]: {
            element["elem"]["val"].lower(): element["elem"]["counter"]["packets"]
            for element in each.get("elem", [])
        }
        for each in sets
    }


def dropped(listed: str) -> int:
    """Frames that the rules of ``nft -j list table`` have dropped, where they count them."""
    items = [item["counter"] for item in json.loads(listed)["nftables"] if "counter" in item]
    return sum(int(item["packets"]) for item in items if item["name"] == DROPPED)


def heard(fault: Fault) -> dict[str, list[str]]:
    """Of a one-way fault: node → those that it hears though they do not hear it."""
    rows: dict[str, list[str]] = {}
    deaf = fault.deaf()
    for listener, speakers in deaf.items():
        for speaker in speakers:
            if listener not in deaf.get(speaker, ()):
                rows.setdefault(speaker, []).append(listener)
    return rows
