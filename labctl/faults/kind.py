"""What defines a kind of fault: its name, its keys in scenarios, and the functions that do it.

Kinds are in modules of :mod:`labctl.faults.kinds`; everything else uses the registry there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from labctl.engine.port import Engine
from labctl.faults.model import Fault, Station
from labctl.faults.targets import Target

if TYPE_CHECKING:
    from labctl.model.lab import Lab

Seen = Mapping[str, object]
"""What was measured, as JSON data."""
Pairs = frozenset[frozenset[str]]
"""Pairs of nodes."""
Felt = Literal["silent", "killed", "left"]
"""How the target's peers notice. ``silent``: it sends nothing, not even a reset. ``killed``: its
kernel refuses connections. ``left``: it closed its connections properly."""
Family = Literal["process", "node", "network"]
SPARE = 30.0
"""Seconds that a fault's lease outlasts its healing by the run, in case labctl is killed before."""


def _unchanged(value: Any) -> Any:
    return value


def _no_problem(_: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True)
class Key:
    """A key of a fault in scenarios. Kinds may share one if they define it in the same way."""

    name: str
    description: str
    """What it means, for the JSON Schema: ``Of a loss: percentage of packets that are lost.``"""
    type: Any = str
    """``str``, ``int``, ``float``, or a ``Literal``."""
    pattern: str | None = None
    above: float | None = None
    least: float | None = None
    most: float | None = None
    check: Callable[[Any], Any] | None = None
    """Returns the value. ValueError, with a sentence that continues after the key, if invalid."""
    read: Callable[[Any], Any] = _unchanged
    """Converts the scenario's value to what the kind uses: seconds, bytes."""


@dataclass(frozen=True)
class Request:
    """A fault that a scenario asks for, with its targets resolved. Nothing is touched yet."""

    engine: Engine
    lab: Lab
    targets: tuple[Target, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    """For a partition: groups of nodes that do not hear each other."""
    pairs: tuple[tuple[str, str], ...] = ()
    """For a partition: pairs of nodes that do not hear each other, beside the groups."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """The kind's own keys that were given, converted by :attr:`Key.read`."""
    lasts: float = 0.0
    """Seconds until it is healed."""

    @property
    def lease(self) -> float:
        """Seconds until it is undone even if nobody asks for it."""
        return max(1.0, self.lasts) + SPARE

    @property
    def nodes(self) -> list[str]:
        """The targets' nodes."""
        return list(dict.fromkeys(target.node for target in self.targets))


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault. The last argument of its handlers is the other faults in force."""

    word: str
    """Its name in scenarios and in the journal."""
    summary: str
    """What it does, in one line."""
    build: Callable[[Request], Fault]
    """Builds the fault and checks it against the lab. InputError when it is invalid, LabError when
    there is nothing to act on."""
    make: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Makes it; returns what was measured (``moments``: target → seconds until it was hit)."""
    undo: Callable[[Engine, Fault, Sequence[Fault]], None]
    """Undoes what is found of it; no-op if there is nothing."""
    had_effect: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Proves that it is in effect. LabError when it is not."""
    gone: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Proves that nothing is left of it. LabError when something is."""
    needs: tuple[str, ...] = ("target",)
    """Required keys: its own, and general ones (``target``, ``for``)."""
    takes: tuple[str, ...] = ()
    """Optional keys."""
    one_of: tuple[str, ...] = ()
    """Keys of which at least one is required."""
    keys: tuple[Key, ...] = ()
    """The definitions of its own keys."""
    problem: Callable[[Mapping[str, Any]], str | None] = _no_problem
    """Why keys that are valid by themselves (as a scenario writes them) contradict each other."""
    lasts: bool = True
    """Whether there is something to heal, after ``for`` or at the end of the run."""
    halts: bool = False
    """Whether its target does not run while it lasts, so that no other fault can halt it."""
    ends: bool = False
    """Whether it ends processes, so that undoing it starts them again."""
    on_instances: bool = False
    """Whether it acts on instances that keep running, so that a node cannot be its target."""
    on_nodes: bool = False
    """Whether it acts on whole nodes, even where an instance on them was named."""
    felt: Felt | None = None
    """None: it ends nothing, so there is no failover and no bound for one."""
    family: Family = "process"
    """What it affects, for its colour in reports."""
    ends_itself: Callable[[Fault], bool] | None = None
    """Whether a fault is over as soon as it is made; None: as ``lasts`` says."""
    next_turn: Callable[[Engine, Fault, Sequence[Fault]], Fault] | None = None
    """For a fault that repeats: does it once more; called by the guardian."""
    renew: Callable[[Engine, Fault, Sequence[Fault], Station], None] | None = None
    """For a fault in network namespaces: makes it in the new namespace of a node that is started
    again. Such kinds are healed before those that act on nodes and instances."""
    is_present: Callable[[Engine, Station, Fault], bool] | None = None
    """For a fault in network namespaces: whether it is still there on a running node."""
    sweep: Callable[[Engine, Sequence[Station], Sequence[Fault]], object] | None = None
    """For a fault in network namespaces: removes from running nodes what no given fault owns."""
    severs: Callable[[Fault], Pairs] | None = None
    """Pairs of nodes that get no answer from each other while it lasts."""
    check_machine: Callable[[Engine, str, Sequence[Station]], None] | None = None
    """Checks whether the machine of a lab's nodes supports it. EngineError when it does not."""
    service_problem: Callable[[Lab, str, Mapping[str, Any]], tuple[str, str] | None] | None = None
    """For a kind that acts on instances: why a service of the lab (with these keys) cannot be the
    target, as the offending key and a sentence; None when it can."""

    @property
    def known_keys(self) -> set[str]:
        """All keys that it accepts."""
        ends = ("for",) if self.lasts else ()
        return {*self.needs, *self.takes, *self.one_of, *ends}

    @property
    def traits(self) -> dict[str, Any]:
        """What a run records of it for the verdict and the report, as JSON data."""
        return {
            "felt": self.felt,
            "family": self.family,
            "on_nodes": self.on_nodes,
            "stays_dead": self.ends and self.halts and self.next_turn is None,
            "repeats": self.next_turn is not None,
            "over": not self.lasts,
        }

    def is_over(self, fault: Fault) -> bool:
        """Whether a fault of this kind is over as soon as it is made."""
        return not self.lasts or (self.ends_itself is not None and self.ends_itself(fault))

    def read(self, terms: Mapping[str, Any]) -> dict[str, Any]:
        """Its own keys from a scenario, converted for its builder."""
        return {key.name: key.read(terms[key.name]) for key in self.keys if key.name in terms}
