"""A run's folder read leniently, to be shown: what is missing or damaged is left out, and said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.chaos.folder import history
from labctl.chaos.folder import layout as files
from labctl.chaos.folder.history import Event, Operation
from labctl.documents import reader
from labctl.errors import InputError

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """A fault of the timeline; moments in seconds since the run began, None if they never came."""

    index: int
    kind: str
    family: str
    """What it is about: process, node or network."""
    said: str
    targets: tuple[str, ...]
    asked: float
    bites: float | None
    healed: float | None
    error: str
    evidence: Any
    heal_evidence: Any


@dataclass(frozen=True)
class Window:
    """The planned outage of an instance or a node; moments as for a fault."""

    name: str
    what: str
    """replaced, restarted, removed or new"""
    began: float
    ended: float | None


@dataclass(frozen=True)
class Change:
    """A change of the lab; moments as for a fault."""

    index: int
    said: str
    asked: float
    began: float | None
    ended: float | None
    error: str
    notes: tuple[str, ...]
    left: tuple[str, ...]
    """What `up` would still have done after it."""
    windows: Sequence[Window]


@dataclass(frozen=True)
class Observation:
    """What labctl saw of the lab at ``t`` seconds: VIP holders, clusters, unready instances."""

    t: float
    vip: tuple[str, ...]
    clusters: Mapping[str, Data]
    unready: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """A run, as far as its folder tells. ``missing`` are sentences on what cannot be shown."""

    name: str
    run: Data = field(default_factory=dict)
    scenario: str = ""
    faults: Sequence[Fault] = ()
    changes: Sequence[Change] = ()
    operations: Sequence[Operation] = ()
    lags: Sequence[tuple[float, float]] = ()
    """From, to: when the client itself did not run."""
    observations: Sequence[Observation] = ()
    verdict: Data = field(default_factory=dict)
    logs: Sequence[str] = ()
    missing: Sequence[str] = ()
    description: str = ""
    """The scenario's own description."""

    @property
    def title(self) -> str:
        """The scenario's name, else the run's."""
        return str(self.run.get("scenario") or self.name)

    @property
    def outcome(self) -> str:
        """VALID, INVALID or UNKNOWN; UNKNOWN, too, when the run has not been judged."""
        said = self.verdict.get("outcome")
        return said if said in ("VALID", "INVALID") else "UNKNOWN"

    @property
    def why(self) -> str:
        """The reason for the outcome, one sentence."""
        unjudged = "this run has not been judged yet: labctl chaos check does"
        return str(self.verdict.get("why") or unjudged)

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the one that the scenario expects."""
        said = self.verdict.get("expected")
        return isinstance(said, dict) and said.get("met") is True

    @property
    def checks(self) -> list[Data]:
        """The checks of the verdict."""
        return _mappings(self.verdict.get("checks"))

    @property
    def budgets(self) -> list[Data]:
        """The budgets of the verdict."""
        return _mappings(self.verdict.get("budgets"))

    @property
    def notes(self) -> list[str]:
        """The verdict's notes, and what is missing."""
        said = self.verdict.get("notes")
        return [*(map(str, said) if isinstance(said, list) else ()), *self.missing]

    @property
    def length(self) -> float:
        """Seconds until the last event that is known of the run; never 0."""
        moments = [t for f in self.faults for t in (f.asked, f.bites, f.healed) if t is not None]
        moments += [t for c in self.changes for t in (c.began, c.ended) if t is not None]
        moments += [o.t for o in self.observations]
        moments += [o.ended if o.ended is not None else o.began for o in self.operations]
        return max(moments, default=0.0) or 1.0

    def cause(self, index: object) -> Fault | Change | None:
        """The fault or change of that index, to which a budget belongs."""
        steps: tuple[Fault | Change, ...] = (*self.faults, *self.changes)
        return next((step for step in steps if step.index == index), None)


def read(folder: Path) -> Record:
    """Read what is there; never an error."""
    missing: list[str] = []
    run = _document(folder / files.RUN, missing)
    faults = _document(folder / files.TIMELINE, missing)
    changes = _document(folder / files.CHANGES, missing) if _changed(folder) else None
    verdict = _document(folder / files.VERDICT, missing)
    events = _events(folder / files.HISTORY, missing)
    seen = _observations(folder / files.OBSERVATIONS, missing)
    scenario = _text(folder / files.SCENARIO, missing)
    return Record(
        name=folder.resolve().name,
        run=run if isinstance(run, dict) else {},
        scenario=scenario,
        description=_description(scenario),
        faults=[_fault(index, data) for index, data in enumerate(_mappings(faults))],
        changes=[_change(data) for data in _mappings(changes)],
        operations=history.pair(events, strict=False),
        lags=history.lags(events),
        # One with an error saw nothing, which is not the same as an outage.
        observations=[_observation(data) for data in seen if not data.get("error")],
        verdict=verdict if isinstance(verdict, dict) else {},
        logs=sorted(path.name for path in folder.glob(f"{files.LOGS}/*") if path.is_file()),
        missing=tuple(missing),
    )


def _changed(folder: Path) -> bool:
    """Whether the run changed the lab: most do not, and have no such file."""
    return (folder / files.CHANGES).exists()


def time_of(value: Any) -> float | None:
    """A moment in seconds; None for anything that is no number."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if real and abs(value) < 1e9 else None


def _text(path: Path, missing: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        missing.append(f"{path.name} is missing: the run did not get that far")
    except OSError as error:
        missing.append(f"{path.name} cannot be read: {error.strerror}")
    return ""


def _description(scenario: str) -> str:
    """The description in a scenario's text; empty when it cannot be read."""
    with suppress(InputError):
        data, _ = reader.parse(scenario, files.SCENARIO)
        if isinstance(data, dict):
            return " ".join(str(data.get("description") or "").split())
    return ""


def _document(path: Path, missing: list[str]) -> Any:
    text = _text(path, missing)
    try:
        return json.loads(text) if text else None
    except ValueError:
        missing.append(f"{path.name} is damaged and left out")
        return None


def _events(path: Path, missing: list[str]) -> list[Event]:
    events, damaged = history.salvage(_text(path, missing).splitlines())
    _note_damage(path, damaged, missing)
    return events


def _observations(path: Path, missing: list[str]) -> Iterator[Data]:
    damaged = 0
    for line in _text(path, missing).splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            data = None
        if isinstance(data, dict) and time_of(data.get("t")) is not None:
            yield data
        else:
            damaged += bool(line.strip())
    _note_damage(path, damaged, missing)


def _note_damage(path: Path, damaged: int, missing: list[str]) -> None:
    if damaged:
        missing.append(f"{path.name} has {damaged} torn or damaged lines, which are left out")


def _mappings(data: Any) -> list[Data]:
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _strings(data: Any) -> tuple[str, ...]:
    return tuple(map(str, data)) if isinstance(data, list) else ()


def _fault(index: int, data: Data) -> Fault:
    asked = next((t for k in ("asked", "began") if (t := time_of(data.get(k))) is not None), 0.0)
    return Fault(
        index=index,
        kind=str(data.get("fault") or "fault"),
        family=str((data.get("traits") or {}).get("family") or "process"),
        said=str(data.get("said") or data.get("fault") or "fault"),
        targets=_strings(data.get("targets")),
        asked=asked,
        bites=time_of(data.get("bites")),
        healed=time_of(data.get("healed")),
        error=str(data.get("error") or ""),
        evidence=data.get("evidence"),
        heal_evidence=data.get("heal_evidence"),
    )


def _change(data: Data) -> Change:
    index = data.get("index")
    return Change(
        index=index if isinstance(index, int) else -1,
        said=str(data.get("said") or "change"),
        asked=time_of(data.get("asked")) or 0.0,
        began=time_of(data.get("began")),
        ended=time_of(data.get("ended")),
        error=str(data.get("error") or ""),
        notes=_strings(data.get("notes")),
        left=_strings(data.get("left")),
        windows=[
            Window(
                str(window.get("name")),
                str(window.get("what")),
                began,
                time_of(window.get("ended")),
            )
            for window in _mappings(data.get("windows"))
            if (began := time_of(window.get("began"))) is not None
        ],
    )


def _observation(data: Data) -> Observation:
    clusters = data.get("clusters")
    known = clusters.items() if isinstance(clusters, dict) else ()
    return Observation(
        t=float(data["t"]),
        vip=_strings(data.get("vip")),
        clusters={str(name): state for name, state in known if isinstance(state, dict)},
        unready=_strings(data.get("unready")),
    )
