"""The scenario document: needs, workloads, a timeline, and the expected outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)

from labctl.chaos.document import aims
from labctl.chaos.document.changes import ChangeKeys
from labctl.chaos.document.keys import kind_keys
from labctl.chaos.document.words import BUDGETS, CHECKS, FAULTS, WORKLOADS, FaultWord, Store
from labctl.chaos.model import spans
from labctl.chaos.model.findings import Outcome, Standing
from labctl.documents.source import suggestion
from labctl.model.document import Document, Name
from labctl.model.service import Profile
from labctl.workloads.model import HISTORY_LIMIT
from labctl.workloads.registry import KINDS

Span = Annotated[str, StringConstraints(pattern=spans.SPAN)]
Moment = Annotated[Any, AfterValidator(spans.moment), WithJsonSchema(spans.MOMENT_SCHEMA)]
"""A duration, or ``{random: [from, to]}``, which the seed decides."""


def _target(value: Any) -> Any:
    aims.aims(value)
    return value


def _groups(value: Any) -> Any:
    aims.groups(value)
    return value


Target = Annotated[Any, AfterValidator(_target), WithJsonSchema(aims.SCHEMA)]
Groups = Annotated[
    Any,
    AfterValidator(_groups),
    WithJsonSchema({"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 1}}),
]


LONGEST = 3600.0
"""Seconds that a run may last."""
MOST_ACTIONS = 200
_LINE = 160
"""Bytes of a line of a history without what was read; an operation has two."""
_EACH = {"per_key": 8, "accounts": 14}
"""Setting → bytes that each of as many things adds to a line that says what was read."""
_OPERATIONS = {
    ("galera", "read-after-write"): 4,
    ("rabbitmq", "quorum"): 2,
    ("rabbitmq", "classic"): 2,
}
"""Operations of one turn, where that is more than one: a write is read on each member, a message
is taken as well as sent."""


class _Aliased(Document):
    """A document with keys that are reserved in Python (as, for)."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class NeedsDoc(Document):
    """What a lab must have for the scenario to make sense in it."""

    topology: str | None = None
    """The only topology that it is for; any that meets the other needs when left out."""
    profile: Profile = "support"
    """The smallest profile that it can run in."""
    services: tuple[Name, ...] = ()
    """Services that must be in the lab, besides those that workloads and faults need anyway."""
    settings: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """service → settings that must be in force, for findings that depend on them."""


class SteadyDoc(Document):
    """What must hold before the first fault, and again after the last."""

    healthy: bool = True
    """``labctl status`` says healthy."""
    within: Span = "180s"
    """How long the lab may take to be steady again."""


class WorkloadDoc(_Aliased):
    """Clients that use one store in one way."""

    name: Name
    """Its name in the history and in verdicts."""
    kind: Store
    """The store."""
    as_: str = Field(alias="as")
    """The way it is used: set, bank, register, ...; depends on the store."""
    rate: Annotated[float, Field(gt=0, le=200)] | None = None
    """Operations a second of all workers together; the workload's default when left out."""
    workers: Annotated[int, Field(ge=1, le=32)] | None = None
    """Number of clients; the workload's default when left out."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Further settings of this workload."""

    @property
    def pace(self) -> float:
        """Turns a second, of all workers together."""
        return KINDS[self.kind][self.as_].rate if self.rate is None else self.rate

    @property
    def bytes_a_second(self) -> float:
        """How fast its history grows, at most."""
        settings = {**KINDS[self.kind][self.as_].settings, **self.settings}
        read = sum(int(settings.get(name, 0)) * each for name, each in _EACH.items())
        long = self.as_ in ("append", "bank")
        operations = _OPERATIONS.get((self.kind, self.as_), 1)
        return self.pace * operations * 2 * (_LINE + (read if long else 0))

    @model_validator(mode="after")
    def _known(self) -> WorkloadDoc:
        ways = WORKLOADS[self.kind]
        if self.as_ not in ways:
            raise ValueError(f"no workload '{self.kind}/{self.as_}'; {suggestion(self.as_, ways)}")
        takes = ways[self.as_].settings
        for key in self.settings:
            if key not in takes:
                raise ValueError(
                    f"{self.kind}/{self.as_} has no setting '{key}'; {suggestion(key, takes)}"
                )
        return self


class _Whom(_Aliased):
    """What every fault says in the same words: its kind, its target, how long it lasts."""

    fault: FaultWord
    """The kind of fault."""
    target: Target | None = None
    """Its target: a node, node/service, a part (galera-writer), ``{one: mariadb}`` (or minority,
    majority, all), ``{is: vip-holder, not: galera-writer}``, or a list of these.
    ``rabbit-leader:NAME`` is the leader of a queue, or of a workload's queue."""
    for_: Moment | None = Field(default=None, alias="for")
    """How long it lasts; to the end of the run when left out."""
    groups: Groups | None = None
    """For a cut: groups of nodes that do not hear each other; ``others`` are all other nodes."""
    isolate: Target | None = None
    """For a cut: a group that is cut off from all other nodes."""
    shape: Literal["majority", "minority", "bridge", "ring"] | None = None
    """For a cut: the seed divides the nodes into this shape. ``bridge``: two halves and one node
    that hears both; ``ring``: each node hears its two neighbours."""
    of: Name | None = None
    """For a cut with a shape: a service, whose nodes are divided; by default all but the client."""

    @model_validator(mode="after")
    def _takes(self) -> Self:
        if not isinstance(self.fault, str):
            return self
        kind = FAULTS[self.fault]
        known, given = kind.known_keys, self.terms
        for key in given:
            if key not in known:
                raise ValueError(f"{self.fault} takes no '{key}'; {suggestion(key, sorted(known))}")
        for key in kind.needs:
            if key not in given:
                raise ValueError(f"{self.fault} needs '{key}'")
        if kind.one_of and not given.keys() & set(kind.one_of):
            raise ValueError(f"{self.fault} needs {' or '.join(map(repr, kind.one_of))}")
        if problem := kind.problem(given):
            raise ValueError(problem)
        return self

    @property
    def terms(self) -> dict[str, Any]:
        """All keys but the kind of fault and its moments, as the document has them."""
        beside = {"at", "every", "times", "one_of", "fault", *ChangeKeys.model_fields}
        fields = type(self).model_fields
        return {
            (fields[name].alias or name): value
            for name, value in self
            if name not in beside and value is not None
        }


if TYPE_CHECKING:
    _Keyed = _Whom
else:
    _Keyed = create_model("_Keyed", __base__=_Whom, **kind_keys(FAULTS.values()))


class FaultDoc(_Keyed):
    """A fault: the keys that it takes follow from its word."""


class StepDoc(FaultDoc, ChangeKeys):
    """A line of the timeline: a fault or a choice of faults, once or repeatedly; or a change."""

    fault: FaultWord | None = None  # type: ignore[assignment]
    """The kind of fault; or else ``one_of``."""
    at: Moment | None = None
    """When, counted from the start of the workloads."""
    every: Span | None = None
    """Repeat at this interval, ``times`` times in all; the first time is ``at``, or ``every``."""
    times: Annotated[int, Field(ge=2, le=100)] | None = None
    """Number of times in all."""
    one_of: tuple[FaultDoc, ...] = ()
    """Faults from which the seed chooses one each time."""

    @model_validator(mode="after")
    def _whole(self) -> StepDoc:
        self.check_change()
        if self.verb is not None:
            return self._whole_change(self.verb)
        if (self.fault is None) != bool(self.one_of):
            raise ValueError("a step has either 'fault' or 'one_of'")
        if self.one_of and self.terms:
            key = next(iter(self.terms))
            raise ValueError(f"'{key}' belongs to a fault of 'one_of', not beside it")
        if (self.every is None) != (self.times is None):
            raise ValueError("'every' and 'times' go together")
        if self.at is None and self.every is None:
            raise ValueError("has no moment; give it 'at', or 'every' and 'times'")
        return self

    def _whole_change(self, verb: str) -> StepDoc:
        given = [*(key for key in _OF_FAULTS if getattr(self, key)), *self.terms]
        if given:
            raise ValueError(f"'{given[0]}' belongs to a fault, not to '{verb}'")
        if self.at is None:
            raise ValueError("has no moment; give it 'at'")
        return self

    @property
    def choices(self) -> tuple[FaultDoc, ...]:
        """The faults that it may become; none if it is a change."""
        return () if self.verb is not None else self.one_of or (self,)

    @property
    def count(self) -> int:
        """Number of faults that it makes."""
        return self.times or 1

    @property
    def end(self) -> float:
        """Seconds after which the last of its faults is healed at the latest."""
        first = spans.latest(self.at) if self.at is not None else spans.seconds(self.every or "0s")
        again = (self.count - 1) * spans.seconds(self.every) if self.every else 0.0
        lasts = [spans.latest(each.for_) for each in self.choices if each.for_ is not None]
        return first + again + max(lasts, default=0.0)


_OF_FAULTS = ("fault", "one_of", "every", "times")


class AllowDoc(Document):
    """A violation that is expected and does not make the run INVALID."""

    workload: Name
    """Which workload, by its name."""
    check: str
    """Which check: lost, stale, ..."""
    why: str = ""
    """The reason, for the report."""


class ExpectDoc(Document):
    """The expected result of the run."""

    outcome: Outcome = "VALID"
    """The verdict."""
    allow: tuple[AllowDoc, ...] = ()
    """Violations that are not a failure here."""
    budgets: dict[str, Span] = Field(default_factory=dict)
    """What (vip, galera, ...) → how long it may be away, if the timers allow more or there are
    none."""
    away: dict[Name, Span] = Field(default_factory=dict)
    """Workload → how long it must go without an answer, in a scenario that shows a limit."""
    recovers: dict[Name, Span] = Field(default_factory=dict)
    """Workload → how long after the last heal its latency may take to be as before the faults."""
    known: Standing | None = None
    """The standing of the promise, in a scenario that reproduces a known finding."""


class ScenarioDoc(Document):
    """An experiment: what runs, what breaks, and the expected outcome."""

    name: Name
    description: str
    """What it shows, in one sentence."""
    row: tuple[str, ...] = ()
    """The rows of the design's table, or limits, that it covers."""
    source: str = ""
    """Where the finding that it reproduces was published."""
    needs: NeedsDoc = NeedsDoc()
    steady: SteadyDoc = SteadyDoc()
    workloads: tuple[WorkloadDoc, ...]
    """Clients that use the lab meanwhile."""
    timeline: tuple[StepDoc, ...]
    """May be empty, to show what a lab does when nothing breaks."""
    expect: ExpectDoc = ExpectDoc()
    keep: bool = False
    """Of a scenario that changes the lab: leave it changed. Otherwise it is changed back."""
    tail: Span = "10s"
    """How long the workloads go on after the last fault is healed and the lab is steady again."""
    limit: Span = "5m"
    """How long the run may take in all; then it is ended, with the outcome UNKNOWN."""

    def problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Contradictions between parts of the document: place, sentence."""
        yield from self._names()
        yield from self._size()
        yield from self._times()
        yield from self._overlaps()

    def _names(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        names = [workload.name for workload in self.workloads]
        if not names:
            yield ("workloads",), "is an empty list; without clients a run shows nothing"
        for index, name in enumerate(names):
            if name in names[:index]:
                yield ("workloads", index, "name"), f"'{name}' is there twice; rename one"
        yield from self._expected(names)

    def _expected(self, names: Sequence[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for index, allowed in enumerate(self.expect.allow):
            place = ("expect", "allow", index)
            if allowed.workload not in names:
                advice = suggestion(allowed.workload, names)
                yield (*place, "workload"), f"no workload '{allowed.workload}'; {advice}"
            if allowed.check not in CHECKS:
                advice = suggestion(allowed.check, CHECKS)
                yield (*place, "check"), f"no check '{allowed.check}'; {advice}"
        for key, of in (("away", self.expect.away), ("recovers", self.expect.recovers)):
            for name in of:
                if name not in names:
                    yield ("expect", key, name), f"no workload '{name}'; {suggestion(name, names)}"
        for name in self.expect.budgets:
            if name not in BUDGETS:
                advice = suggestion(name, BUDGETS)
                yield ("expect", "budgets", name), f"no budget '{name}'; {advice}"

    def _size(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        limit = spans.seconds(self.limit)
        if not 1 <= limit <= LONGEST:
            yield ("limit",), f"is {self.limit}, should be between 1s and 1h"
        rate = sum(each.pace for each in self.workloads)
        size = limit * sum(each.bytes_a_second for each in self.workloads)
        if size > HISTORY_LIMIT:
            yield (
                ("limit",),
                f"{rate:g} operations a second for {self.limit} may make a history of "
                f"{size / (1 << 20):.0f} MiB, and a run records {HISTORY_LIMIT >> 20} MiB at most; "
                "lower a rate or the limit",
            )
        if sum(step.count for step in self.timeline) > MOST_ACTIONS:
            yield ("timeline",), f"comes to more than {MOST_ACTIONS} faults; make it shorter"
        if self.keep and not any(step.verb for step in self.timeline):
            yield ("keep",), "is true, but nothing in the timeline changes the lab; leave it out"

    def _times(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        limit, tail = spans.seconds(self.limit), spans.seconds(self.tail)
        for index, step in enumerate(self.timeline):
            if step.end + tail > limit:
                yield (
                    ("timeline", index),
                    f"ends after {spans.written(step.end)} at the latest, and the tail is "
                    f"{self.tail}: that is past the limit of {self.limit}; raise the limit",
                )

    def _overlaps(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        halted = [each for i, step in enumerate(self.timeline) for each in _halts(i, step)]
        for (one, since, until, name), (other, begins, ends, again) in combinations(halted, 2):
            same = (
                name == again or name == again.partition("/")[0] or again == name.partition("/")[0]
            )
            if same and since < ends and begins < until:
                yield (
                    ("timeline", other),
                    f"halts {again} at {spans.written(begins)}, which timeline[{one}] halts from "
                    f"{spans.written(since)} on; give that a 'for' that ends before",
                )


def _halts(index: int, step: StepDoc) -> Iterator[tuple[int, float, float, str]]:
    """When a step halts a node or instance for certain; parts move, so they are left out."""
    if step.fault is None or not FAULTS[step.fault].halts:
        return
    moments: list[Any] = [step.at or step.every, step.for_ or "0s"]
    if any(isinstance(each, dict) for each in moments):
        return
    for number in range(step.count):
        begins = spans.seconds(moments[0]) + number * spans.seconds(step.every or "0s")
        ends = begins + spans.seconds(moments[1]) if step.for_ is not None else float("inf")
        for aim in aims.aims(step.target):
            if aim.who and aims.part_of(aim.who) is None:
                yield index, begins, ends, aim.who
