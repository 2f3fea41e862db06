"""How long the virtual IP may be away at most, from keepalived's timers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labctl.errors import LabError

_PATTERNS = {
    "advert": r"^\s*advert_int\s+([\d.]+)",
    "priority": r"^\s*priority\s+(\d+)",
    "check_interval": r"^\s*interval\s+([\d.]+)",
    "check_fall": r"^\s*fall\s+(\d+)",
}


@dataclass(frozen=True)
class Timers:
    """One keepalived's timers in force; times in seconds."""

    advert: float
    priority: int
    check_interval: float
    check_fall: int

    @property
    def skew(self) -> float:
        """VRRP's Skew_Time (RFC 5798, 6.1): (256 - priority) / 256 × advert interval."""
        return (256 - self.priority) / 256 * self.advert


def timers(conf: str) -> Timers:
    """The timers of a rendered ``keepalived.conf``. LabError when one is missing."""
    found: dict[str, str] = {}
    for name, pattern in _PATTERNS.items():
        match = re.search(pattern, conf, re.MULTILINE)
        if match is None:
            raise LabError(f"the lab's keepalived.conf sets no {name.replace('_', ' ')}")
        found[name] = match[1]
    return Timers(
        advert=float(found["advert"]),
        priority=int(found["priority"]),
        check_interval=float(found["check_interval"]),
        check_fall=int(found["check_fall"]),
    )


def service_death(nodes: Mapping[str, Timers], holder: str) -> float:
    """Longest gap in seconds when HAProxy dies on the node that holds the virtual IP.

    check interval × fall, because HAProxy may die just after a check, + the next node's skew: the
    holder gives the address up with an advert of priority 0, after which a backup waits only for
    its skew. The check itself (a refused connection) takes no time.
    """
    own = nodes[holder]
    return own.check_interval * own.check_fall + successor(nodes, holder).skew


def power_loss(nodes: Mapping[str, Timers], holder: str) -> float:
    """Longest gap in seconds when the holder falls silent.

    VRRP's Master_Down_Interval: 3 × advert interval + the next node's skew, counted from the last
    advert, which came no later than the loss.
    """
    following = successor(nodes, holder)
    return 3 * following.advert + following.skew


def successor(nodes: Mapping[str, Timers], holder: str) -> Timers:
    """The node that takes over: of the others, the one with the highest priority waits shortest."""
    others = [timers for name, timers in nodes.items() if name != holder]
    if not others:
        raise LabError(f"no other node can take the virtual IP from {holder}")
    return max(others, key=lambda each: each.priority)
