"""Turns a scenario and a seed into a timeline: which fault, when, on what, for how long. Pure.

Steps that change the lab are in ``changes``.

The same scenario, lab and seed give the same timeline. Parts (galera-writer) stay symbolic: who
plays them is looked up at the moment of the fault. All that the seed can decide is decided here:
moments, one of several faults, which instances of a service, the sides of a cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from labctl.chaos.document import aims
from labctl.chaos.document.aims import OTHERS, Aim
from labctl.chaos.document.scenario import FaultDoc, ScenarioDoc, StepDoc
from labctl.chaos.document.words import FaultWord, Share
from labctl.chaos.model import spans
from labctl.errors import InputError
from labctl.model.lab import Lab


@dataclass(frozen=True)
class Pick:
    """The first ``take`` of the targets ``of`` that are not excluded at the moment of the fault.

    ``unless`` names parts, nodes or instances; targets on the node of one of these are excluded.
    """

    take: int
    of: tuple[str, ...]
    unless: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """For people."""
        few = f"{self.take} of {', '.join(self.of)}" if len(self.of) > 1 else self.of[0]
        return f"{few} but not {' or '.join(self.unless)}"


Symbol = str | Pick
"""A name to look up in the lab (``c1/mariadb``, ``galera-writer``), or a choice of names."""


@dataclass(frozen=True)
class Action:
    """A fault to be made, and its targets; times in seconds since the workloads started."""

    index: int
    at: float
    fault: FaultWord
    heal_at: float | None
    """None: at the end of the run, or never if there is nothing to heal."""
    targets: tuple[Symbol, ...] = ()
    groups: tuple[tuple[Symbol, ...], ...] = ()
    """For a cut: as for ``labctl cut``; a single group is cut off from all other nodes."""
    pairs: tuple[tuple[str, str], ...] = ()
    """For a cut: pairs of nodes that do not hear each other, for a shape that no groups make."""
    terms: dict[str, Any] = field(default_factory=dict)
    """Its other keys: direction, only, percent, cpu, ...; durations in seconds."""
    spec: dict[str, Any] = field(default_factory=dict)
    """The scenario's own terms, with ``fault`` and without moments."""

    @property
    def said(self) -> str:
        """For people: ``kill galera-writer for 20 s``."""
        sides = [" ".join(_said(one) for one in group) for group in self.groups]
        parted = [" x ".join(pair) for pair in self.pairs]
        whom = " ".join(_said(target) for target in self.targets) or " | ".join(sides + parted)
        lasts = "" if self.heal_at is None else f" for {spans.written(self.heal_at - self.at)}"
        return f"{self.fault} {whom}{lasts}"


def resolve(scenario: ScenarioDoc, lab: Lab, seed: int) -> tuple[Action, ...]:
    """The timeline, sorted by time.

    InputError when the lab lacks a fault's target; ``fit.check`` says so with file and place.
    """
    # Seeded by text, which means the same in every version of Python.
    random = Random(f"{scenario.name}/{seed}")  # noqa: S311 - to repeat it, not to hide it
    drawn = [
        (at, _fault(step, random), random.getrandbits(32))
        for step in scenario.timeline
        if step.choices
        for at in _moments(step, random)
    ]
    drawn.sort(key=lambda each: each[0])
    return tuple(
        _action(index, at, fault, lab, Random(own))  # noqa: S311 - as above
        for index, (at, fault, own) in enumerate(drawn)
    )


def named(lab: Lab, aim: Aim) -> tuple[str, ...]:
    """The instances of a share's service, in the topology's order. InputError if there is none."""
    service = lab.services.get(aim.service)
    if service is None:
        raise InputError(f"lab '{lab.name}' has no service '{aim.service}'")
    return tuple(f"{node.name}/{aim.service}" for node in service.nodes)


def _moments(step: StepDoc, random: Random) -> Iterator[float]:
    first = spans.drawn(step.at if step.at is not None else step.every, random)
    apart = spans.seconds(step.every) if step.every else 0.0
    for number in range(step.count):
        yield round(first + number * apart, 3)


def _fault(step: StepDoc, random: Random) -> FaultDoc:
    return step.choices[random.randrange(len(step.choices))]


def _action(index: int, at: float, fault: FaultDoc, lab: Lab, random: Random) -> Action:
    word = fault.fault
    lasts = None if fault.for_ is None else spans.drawn(fault.for_, random)
    terms = {key: value for key, value in fault.terms.items() if key not in _OWN}
    targets = () if fault.target is None else _symbols(fault.target, lab, random)
    groups, pairs = _sides(fault, lab, random)
    return Action(
        index=index,
        at=at,
        fault=word,
        heal_at=None if lasts is None else round(at + lasts, 3),
        targets=targets,
        groups=groups,
        pairs=pairs,
        terms=terms,
        spec={"fault": word, **{k: v for k, v in fault.terms.items() if k != "for"}},
    )


_OWN = ("target", "for", "groups", "isolate", "shape", "of")


def _symbols(target: Any, lab: Lab, random: Random) -> tuple[Symbol, ...]:
    return tuple(symbol for aim in aims.aims(target) for symbol in _symbol(aim, lab, random))


def _symbol(aim: Aim, lab: Lab, random: Random) -> tuple[Symbol, ...]:
    if aim.share is None:
        return (Pick(1, (aim.who,), aim.unless),) if aim.unless else (aim.who,)
    there = list(named(lab, aim))
    random.shuffle(there)
    take = _share(aim.share, len(there))
    if aim.unless:
        return (Pick(take, tuple(there), aim.unless),)
    return tuple(sorted(there[:take]))


def _share(share: Share, count: int) -> int:
    return {
        "one": 1,
        "minority": (count - 1) // 2,
        "majority": count // 2 + 1,
        "all": count,
    }[share]


Sides = tuple[tuple[tuple[Symbol, ...], ...], tuple[tuple[str, str], ...]]


def _sides(fault: FaultDoc, lab: Lab, random: Random) -> Sides:
    if fault.isolate is not None:
        return (_symbols(fault.isolate, lab, random),), ()
    if fault.groups is None and fault.shape is None:
        return (), ()
    if fault.groups is not None:
        groups = tuple(_symbols(group, lab, random) for group in fault.groups)
        # A single group is cut off from all others anyway.
        return tuple(group for group in groups if group != (OTHERS,)), ()
    nodes = shaped(lab, fault.of)
    random.shuffle(nodes)
    return _shape(fault.shape or "majority", nodes)


def shaped(lab: Lab, service: str | None) -> list[str]:
    """The nodes that a shape divides: a service's, or all but the client. InputError if unknown."""
    if service is not None:
        return [name.partition("/")[0] for name in named(lab, Aim(share="all", service=service))]
    return [node.name for node in lab.nodes if node != lab.client]


def _shape(shape: str, nodes: Sequence[str]) -> Sides:
    half = len(nodes) // 2
    if shape == "bridge":
        return (tuple(nodes[:half]), tuple(nodes[half + 1 :])), ()
    if shape == "ring":
        count = len(nodes)
        parted = [
            (nodes[one], nodes[other])
            for one in range(count)
            for other in range(one + 1, count)
            if other - one not in (1, count - 1)
        ]
        return (), tuple(parted)
    # The shape is named after its first group, which matters for one-way cuts.
    large, small = tuple(nodes[: half + 1]), tuple(nodes[half + 1 :])
    return ((large, small) if shape == "majority" else (small, large)), ()


def _said(symbol: Symbol) -> str:
    return symbol if isinstance(symbol, str) else symbol.said
