"""A fault as frozen data: all that is needed to make it, prove it and undo it.

A fault contains the names and addresses that it was resolved to, so that undoing it needs only the
engine: neither the topology document nor the process that made it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from labctl.errors import InputError
from labctl.model import hearing

Scope = Literal["instance", "node"]
Direction = Literal["both", "in", "out"]

DEFAULT_LEASE = 3600.0
"""Seconds after which a fault is undone even if nobody asks for it."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Member:
    """A container that a fault acts on and that ran before; ``grace``: seconds to stop it in."""

    container: str
    node: str
    service: str
    """Empty for the node's holder."""
    grace: int = 10

    @property
    def name(self) -> str:
        """``node/service``, or the node for its holder."""
        return f"{self.node}/{self.service}" if self.service else self.node


@dataclass(frozen=True)
class Station:
    """A node on the lab's network: its name, its holder, its IP and MAC addresses."""

    node: str
    holder: str
    address: str
    mac: str


@dataclass(frozen=True)
class Fault:
    """A fault. Times are in seconds since the epoch, the lease is in seconds.

    ``groups`` (of a cut) are nodes that do not hear the other groups; with ``direction`` ``in``
    the first group does not hear the others but is heard, with ``out`` it is not heard but hears
    them. A node in no group hears all others.
    """

    id: str
    lab: str
    kind: str
    """Its kind's name in the registry, :mod:`labctl.faults.kinds`."""
    scope: Scope
    targets: tuple[str, ...]
    """As on the command line: nodes or ``node/service``."""
    stations: tuple[Station, ...]
    """Every node of the lab."""
    begun: float
    lease: float = DEFAULT_LEASE
    members: tuple[Member, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    direction: Direction = "both"
    pairs: tuple[tuple[str, str], ...] = ()
    """Further pairs of nodes that do not hear each other, where groups cannot express it."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """What else its kind needs (a port, a percentage, commands, former limits), as JSON data."""

    @property
    def due(self) -> float:
        """When the lease ends."""
        return self.begun + self.lease

    @property
    def title(self) -> str:
        """Its display name: ``kill c1/haproxy``, ``cut c1 | c2 c3``."""
        said = f" ({self.terms['said']})" if self.terms.get("said") else ""
        if not (self.groups or self.pairs):
            return f"{self.kind} {' '.join(self.targets)}{said}"
        bar = {"both": " | ", "in": " -> ", "out": " <- "}[self.direction]
        sides = bar.join(" ".join(group) for group in self.groups)
        parted = [" x ".join(pair) for pair in self.pairs]
        return f"{self.kind} {', '.join(filter(None, [sides, *parted]))}{said}"

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of its members; of a fault without members, its targets."""
        return tuple(dict.fromkeys(m.node for m in self.members)) if self.members else self.targets

    def station(self, node: str) -> Station:
        """A node's station. StopIteration if the lab had no such node."""
        return next(s for s in self.stations if s.node == node)

    def deaf(self) -> Mapping[str, tuple[str, ...]]:
        """For a network fault: node → the nodes that it does not hear, or hears only in part."""
        return hearing.deaf(self.groups, self.direction, self.pairs)

    def to_json(self) -> dict[str, Any]:
        """As JSON data, for the journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fault:
        """From the journal. KeyError, TypeError or ValueError when it is not a fault."""
        given = dict(data)
        return cls(
            **{
                **given,
                "targets": tuple(given["targets"]),
                "stations": tuple(Station(**station) for station in given["stations"]),
                "members": tuple(Member(**member) for member in given["members"]),
                "groups": tuple(tuple(group) for group in given["groups"]),
                "pairs": tuple((one, other) for one, other in given.get("pairs", ())),
                "begun": float(given["begun"]),
                "lease": float(given["lease"]),
            }
        )


@dataclass(frozen=True)
class Evidence:
    """The proof that a fault is in effect, or that nothing is left of it."""

    fault: str
    said: str
    """One sentence."""
    took: float = 0.0
    """Seconds that it took to make (or undo) the fault."""
    seen: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, as JSON data."""
    overtaken: Mapping[str, str] = field(default_factory=dict)
    """After healing: target → why the fault had already ended there (``c1 is off``)."""
    healed_by: str = ""
    """After healing: who had already healed it, if anybody."""

    def to_json(self) -> dict[str, Any]:
        """As JSON data, for reports."""
        return asdict(self)


def parse_duration(text: str) -> float:
    """Seconds of ``40ms``, ``90s``, ``5m``, ``1h`` or ``1h30m``; InputError for anything else."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|[smh])", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise InputError(f"{text!r} is not a duration: write it as 90s, 5m, 1h or 1h30m")
    return seconds


def names(items: Sequence[str]) -> str:
    """Join names for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
