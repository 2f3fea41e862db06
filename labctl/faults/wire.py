"""The nftables transactions of network faults, as text: what a node does with others' frames.

One table for each fault. A plain cut drops all frames from the nodes that should not be heard,
other faults drop some of them: one protocol or port, a percentage, or what exceeds a rate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from labctl.faults.model import Fault

TABLE_PREFIX = "labctl_cut_"
HOOK_PRIORITY = -500
DROPPED = "dropped"
"""The counter of dropped frames, for rules that do not drop all frames of a set."""
AIMED = "ether saddr @deaf"
"""In a rule: match frames from nodes that should not be heard, or only in part."""
COUNTED = f"counter name {DROPPED} drop"
"""In a rule: drop the frame and count it."""

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
    """The transaction that makes a node deaf to MAC addresses for a number of seconds.

    Frames from the MAC addresses ``heard`` are only counted, to prove that a one-way cut lets them
    pass. ``said`` are the rules. The table's previous content is replaced.
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
    """The sets' counters in the output of ``nft -j list table``; expired elements are missing."""
    sets = [item["set"] for item in json.loads(listed)["nftables"] if "set" in item]
    return {
        each["name"]: {
            element["elem"]["val"].lower(): element["elem"]["counter"]["packets"]
            for element in each.get("elem", [])
        }
        for each in sets
    }


def dropped(listed: str) -> int:
    """Number of dropped frames in the output of ``nft -j list table``, if the rules count them."""
    items = [item["counter"] for item in json.loads(listed)["nftables"] if "counter" in item]
    return sum(int(item["packets"]) for item in items if item["name"] == DROPPED)


def heard(fault: Fault) -> dict[str, list[str]]:
    """For a one-way fault: node → the nodes that it hears although they do not hear it."""
    rows: dict[str, list[str]] = {}
    deaf = fault.deaf()
    for listener, speakers in deaf.items():
        for speaker in speakers:
            if listener not in deaf.get(speaker, ()):
                rows.setdefault(speaker, []).append(listener)
    return rows
