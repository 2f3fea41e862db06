"""What a kind of fault is: its word, the keys that scenarios give it, and what carries it out.

Each kind is one module of :mod:`labctl.faults.kinds`; everything else asks the registry there.
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
"""What was measured, fit for JSON."""
Pairs = frozenset[frozenset[str]]
"""Pairs of nodes."""
Felt = Literal["silent", "killed", "left"]
"""How the peers of a target notice. ``silent``: it is not heard any more and resets no connection.
``killed``: its kernel refuses connections. ``left``: it said goodbye."""
Family = Literal["process", "node", "network"]
SPARE = 30.0
"""Seconds by which the lease of a fault is longer that a run heals itself: for a labctl that is
killed before it does."""


def _as_it_is(value: Any) -> Any:
    return value


def _fits(_: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True)
class Key:
    """A key that scenarios write beside a fault's word. Two kinds may share one, defined alike."""

    name: str
    says: str
    """What it means, for the JSON Schema: ``Of a loss: packets that get lost.``"""
    type: Any = str
    """``str``, ``int``, ``float``, or a ``Literal``."""
    pattern: str | None = None
    above: float | None = None
    least: float | None = None
    most: float | None = None
    check: Callable[[Any], Any] | None = None
    """Returns the value. ValueError, one sentence that goes on after the key, when it is wrong."""
    read: Callable[[Any], Any] = _as_it_is
    """From what a scenario writes to what the kind works with: seconds, bytes."""


@dataclass(frozen=True)
class Request:
    """What a scenario asks for, with its targets looked up. Nothing is touched yet."""

    engine: Engine
    lab: Lab
    targets: tuple[Target, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    """Of a partition: nodes that do not hear the other groups."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Of a partition: nodes that do not hear each other, for shapes that no groups make."""
    terms: Mapping[str, Any] = field(default_factory=dict)
    """The kind's own keys that were given, as :attr:`Key.read` has them."""
    lasts: float = 0.0
    """Seconds until it is healed."""

    @property
    def lease(self) -> float:
        """Seconds until it is undone though nobody asks for it."""
        return max(1.0, self.lasts) + SPARE

    @property
    def nodes(self) -> list[str]:
        """The targets' nodes."""
        return list(dict.fromkeys(target.node for target in self.targets))


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault. The last argument of each handler is the other faults in force."""

    word: str
    """Its name in scenarios and in the journal."""
    says: str
    """What it does, in one line."""
    build: Callable[[Request], Fault]
    """The fault, checked against the lab. InputError when it makes no sense, LabError when there
    is nothing to do it to."""
    make: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Make it; what was seen on the way (``moments``: target → seconds until it was hit)."""
    undo: Callable[[Engine, Fault, Sequence[Fault]], None]
    """Undo what is found of it; no-op if there is nothing."""
    had_effect: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Prove that it is in effect. LabError when it is not."""
    gone: Callable[[Engine, Fault, Sequence[Fault]], Seen]
    """Prove that nothing of it is left. LabError when something is."""
    needs: tuple[str, ...] = ("target",)
    """Keys that it cannot do without: its own, and those that say whom (``target``, ``for``)."""
    takes: tuple[str, ...] = ()
    """Further keys that it understands."""
    one_of: tuple[str, ...] = ()
    """Keys that it understands, of which it needs one at least."""
    keys: tuple[Key, ...] = ()
    """The keys of its own."""
    problem: Callable[[Mapping[str, Any]], str | None] = _fits
    """Why keys that are each right (as a scenario writes them) make no sense together."""
    lasts: bool = True
    """Whether there is something to heal, after ``for`` or at the end of the run."""
    halts: bool = False
    """Whether its target does not run meanwhile, so that no other fault can halt it."""
    ends: bool = False
    """Whether it ends processes, so that undoing it starts them."""
    on_instances: bool = False
    """Whether it happens to instances that run on, so that a node is no target."""
    on_nodes: bool = False
    """Whether it happens to whole nodes, whoever on them was named."""
    felt: Felt | None = None
    """None: it ends nothing, so there is no failover to wait for and no bound to it."""
    family: Family = "process"
    """What it is about, for its colour in reports."""
    over: Callable[[Fault], bool] | None = None
    """Whether a fault is over as soon as it is made; None: as ``lasts`` says."""
    turn: Callable[[Engine, Fault, Sequence[Fault]], Fault] | None = None
    """Of what is made again and again: the next turn, which the guardian takes."""
    renew: Callable[[Engine, Fault, Sequence[Fault], Station], None] | None = None
    """Of what lives in a node's network namespace: make it in the new one of a node that is
    started again. Kinds that have it are healed before nodes and instances are."""
    still: Callable[[Engine, Station, Fault], bool] | None = None
    """Of what lives in a node's network namespace: whether it is there yet on a running node."""
    sweep: Callable[[Engine, Sequence[Station], Sequence[Fault]], object] | None = None
    """Of the same: remove from running nodes what no fault in force accounts for."""
    severs: Callable[[Fault], Pairs] | None = None
    """Pairs of nodes that get no answer from each other while it lasts."""
    able: Callable[[Engine, str, Sequence[Station]], None] | None = None
    """Ask the machine of a lab's nodes whether it can do it. EngineError when it cannot."""
    unfit: Callable[[Lab, str, Mapping[str, Any]], tuple[str, str] | None] | None = None
    """Of a kind on instances: why a service of the lab (with these keys) cannot be the target;
    the key that is wrong, and one sentence."""

    @property
    def known(self) -> set[str]:
        """Every key that it understands."""
        ends = ("for",) if self.lasts else ()
        return {*self.needs, *self.takes, *self.one_of, *ends}

    @property
    def traits(self) -> dict[str, Any]:
        """What a run records of it for those who judge and report it, fit for JSON."""
        return {
            "felt": self.felt,
            "family": self.family,
            "on_nodes": self.on_nodes,
            "stays_dead": self.ends and self.halts and self.turn is None,
            "repeats": self.turn is not None,
            "over": not self.lasts,
        }

    def is_over(self, fault: Fault) -> bool:
        """Whether a fault of this kind is over as soon as it is made."""
        return not self.lasts or (self.over is not None and self.over(fault))

    def read(self, terms: Mapping[str, Any]) -> dict[str, Any]:
        """Its own keys of what a scenario says, as its builder takes them."""
        return {key.name: key.read(terms[key.name]) for key in self.keys if key.name in terms}
