"""The results of a run: findings, checks, budgets and the verdict, with their JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from labctl.chaos.model.isolation import Level

Outcome = Literal["VALID", "INVALID", "UNKNOWN"]

Standing = Literal["kept", "lost though promised", "lost as documented", "not promised", "unknown"]
"""Whether a promise was kept; see :mod:`labctl.chaos.judge.ledger`."""

Aspect = (
    Literal["durable", "once", "fresh", "linearizable", "isolated", "ordered", "settled", "held"]
    | Level
    | Literal["always", "nothing"]
)
"""What a finding is held against: a guarantee of the ledger by name, the weakest level of isolation
that forbids it, ``always`` (no store may do that, whatever its settings) or ``nothing`` (for
information, never a failure)."""

MAX_EVIDENCE = 20
"""The most operations that a check quotes."""


@dataclass(frozen=True)
class Evidence:
    """An operation or a moment that shows a finding; ``t`` in seconds since the run began."""

    said: str
    t: float | None = None
    p: int | None = None
    f: str = ""
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        """As in ``verdict.json``."""
        return {"t": self.t, "p": self.p, "f": self.f, "value": self.value, "said": self.said}


@dataclass(frozen=True)
class Link:
    """An operation of a cycle, and by what it must have come before the next (or the first)."""

    piece: Evidence
    kind: str
    """``ww``, ``wr``, ``rw``, ``process`` or ``realtime``; in words in ``piece.said``."""

    def to_json(self) -> dict[str, Any]:
        """As in ``verdict.json``."""
        return {**self.piece.to_json(), "kind": self.kind}


@dataclass(frozen=True)
class Finding:
    """What a checker found, before it is held against a promise.

    ``broken`` is None when that is unknown. ``times`` are the moments (seconds since the run began)
    of the acknowledgements concerned, for promises that allow the loss of a bounded time.
    """

    check: str
    broken: bool | None
    why: str
    aspect: Aspect
    counts: Mapping[str, float] = field(default_factory=dict)
    evidence: Sequence[Evidence] = ()
    times: Sequence[float] = ()
    cycle: Sequence[Link] = ()
    """Operations that must each have come before the next, and the last before the first."""


@dataclass(frozen=True)
class Check:
    """A finding about a workload (or the ``lab``), held against what was promised."""

    workload: str
    check: str
    outcome: Outcome
    promise: Standing
    why: str
    counts: Mapping[str, float] = field(default_factory=dict)
    evidence: Sequence[Evidence] = ()
    cycle: Sequence[Link] = ()

    def to_json(self) -> dict[str, Any]:
        """As in ``verdict.json``, with at most MAX_EVIDENCE pieces of evidence."""
        cycle = {"cycle": [link.to_json() for link in self.cycle]} if self.cycle else {}
        return {
            "workload": self.workload,
            "check": self.check,
            "outcome": self.outcome,
            "promise": self.promise,
            "why": self.why,
            "counts": dict(self.counts),
            "evidence": [piece.to_json() for piece in self.evidence[:MAX_EVIDENCE]],
            **cycle,
        }


@dataclass(frozen=True)
class Part:
    """A timer's share of a bound, in seconds."""

    timer: str
    seconds: float


@dataclass(frozen=True)
class Budget:
    """How long something may be unavailable after a fault, and how long it was; seconds.

    ``fault`` is its index in the timeline. ``measured`` is None when it could not be measured.
    """

    name: str
    fault: int
    bound: float
    parts: Sequence[Part]
    dominant: str
    measured: float | None
    outcome: Outcome
    why: str

    def to_json(self) -> dict[str, Any]:
        """As in ``verdict.json``."""
        return {
            "name": self.name,
            "fault": self.fault,
            "bound": self.bound,
            "parts": [{"timer": part.timer, "seconds": part.seconds} for part in self.parts],
            "dominant": self.dominant,
            "measured": self.measured,
            "outcome": self.outcome,
            "why": self.why,
        }


@dataclass(frozen=True)
class Steady:
    """Whether the lab was steady, and if not, why."""

    held: bool | None
    """None: not observed."""
    said: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """As in ``verdict.json``."""
        return {"held": self.held, "said": list(self.said)}


@dataclass(frozen=True)
class Verdict:
    """The judgement of a run."""

    outcome: Outcome
    why: str
    before: Steady
    after: Steady
    checks: Sequence[Check] = ()
    budgets: Sequence[Budget] = ()
    notes: Sequence[str] = ()
    expected: Outcome = "VALID"
    """The outcome that the scenario expects: INVALID for a lab sabotaged to be caught."""

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the one that the scenario expects."""
        return self.outcome == self.expected

    def to_json(self) -> dict[str, Any]:
        """The document ``verdict.json``."""
        return {
            "outcome": self.outcome,
            "why": self.why,
            "expected": {"outcome": self.expected, "met": self.as_expected},
            "steady": {"before": self.before.to_json(), "after": self.after.to_json()},
            "checks": [check.to_json() for check in self.checks],
            "budgets": [budget.to_json() for budget in self.budgets],
            "notes": list(self.notes),
        }
