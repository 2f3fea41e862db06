"""A run's folder read strictly, to be judged: what is damaged is an error, never left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from labctl.chaos.checks.changes import spell
from labctl.chaos.checks.observed import Observation
from labctl.chaos.checks.windows import Spell
from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.folder import history
from labctl.chaos.folder import layout as files
from labctl.chaos.folder.history import Event, Operation
from labctl.documents import reader
from labctl.errors import InputError

Data = Mapping[str, Any]
Kind = TypeVar("Kind", dict[str, Any], list[Any])


@dataclass(frozen=True)
class Record:
    """A run as it was recorded; times in seconds since it began.

    A run that was cut short has no ``finals``, and perhaps no observations.
    """

    run: Data
    scenario: Data
    timeline: Sequence[Data] = ()
    changes: Sequence[Data] = ()
    """The changes of the lab, in their order."""
    events: Sequence[Event] = ()
    operations: Sequence[Operation] = ()
    observations: Sequence[Observation] = ()
    finals: Data | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    """How many lines history and observations have."""
    damage: Sequence[str] = ()
    """What shows that the folder is not, or not all of, what the run recorded."""

    @property
    def end(self) -> float:
        """The last moment about which anything is known."""
        times = [event.t for event in self.events[-1:]]
        times += [observation["t"] for observation in self.observations[-1:]]
        return max(times, default=0.0)

    @property
    def faults(self) -> list[Spell]:
        """When something was taken from the lab on purpose: by a fault that bit, or a change."""
        made = [each for each in self.changes if each["began"] is not None and not each["back"]]
        return [*self.bitten, *(spell(each, self.end) for each in made)]

    @property
    def bitten(self) -> list[Spell]:
        """When each fault bit, to its heal or the end; those that did not bite are left out."""
        return [
            (fault["bites"], self.end if fault.get("healed") is None else fault["healed"])
            for fault in self.timeline
            if fault.get("bites") is not None
        ]

    @property
    def lags(self) -> list[Spell]:
        """The times in which the client itself did not run."""
        return history.lags(self.events)


def read(folder: Path) -> Record:
    """Read a run's folder.

    InputError names the document that is missing or damaged. Only what a run writes before it
    starts must be there; of a damaged history or observation is kept what can be read.
    """
    events, problems = history.scan(folder / files.HISTORY)
    observations = _observations(folder / files.OBSERVATIONS)
    run = _document(folder, files.RUN, {})
    return Record(
        run=run,
        scenario=_scenario(folder / files.SCENARIO),
        timeline=_timeline(folder),
        changes=_changes(folder),
        events=events,
        operations=history.pair(events, strict=False),
        observations=observations,
        finals=_document(folder, files.FINALS, {}) if (folder / files.FINALS).exists() else None,
        lines={files.HISTORY: len(events), files.OBSERVATIONS: len(observations)},
        damage=[*_unsealed(folder, run), *problems],
    )


def _unsealed(folder: Path, run: Data) -> list[str]:
    """The files that are not what they were when the run ended, if it recorded what they were."""
    was = run.get("sealed")
    if not isinstance(was, Mapping):
        return []
    now = files.seal(folder)
    return [f"{name} is not what the run recorded" for name in was if now.get(name) != was[name]]


def _scenario(path: Path) -> Data:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{reader.shown(path)}: cannot be read: is this a run's folder?") from None
    data, source = reader.parse(text, reader.shown(path))
    reader.validate(data, ScenarioDoc, source)
    scenario: Data = data
    return scenario


def _timeline(folder: Path) -> list[Data]:
    faults: list[Data] = _document(folder, files.TIMELINE, [])
    if not all(isinstance(fault, dict) for fault in faults):
        raise InputError(f"{reader.shown(folder / files.TIMELINE)}: is not the timeline of a run")
    if not all(isinstance(fault.get("traits"), dict) for fault in faults):
        raise InputError(
            f"{reader.shown(folder / files.TIMELINE)}: does not say of what kinds these faults "
            "are: an older labctl recorded it, so judge it with that one, or run the scenario again"
        )
    return faults


def _changes(folder: Path) -> list[Data]:
    if not (folder / files.CHANGES).exists():
        return []
    changes: list[Data] = _document(folder, files.CHANGES, [])
    if not all(isinstance(each, dict) and each.keys() >= _CHANGE for each in changes):
        raise InputError(f"{reader.shown(folder / files.CHANGES)}: is not the changes of a run")
    return changes


_CHANGE = {"index", "said", "began", "ended", "steps", "windows", "left", "error", "stopped"}
_CHANGE |= {"back", "settings"}


def _document(folder: Path, name: str, kind: Kind) -> Kind:
    """A file's data, which must be of the type of ``kind``."""
    data = files.read_json(folder, name)
    if not isinstance(data, type(kind)):
        should = "a list" if isinstance(kind, list) else "a mapping"
        raise InputError(f"{reader.shown(folder / name)}: should be {should}")
    return data


def _observations(path: Path) -> list[Observation]:
    """Lines with a time; a last one without a line end is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{reader.shown(path)}: cannot be read: {error.strerror}") from None
    found: list[Observation] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            data = json.loads(line)
            found.append({**data, "t": float(data["t"])})
        except (KeyError, TypeError, ValueError):
            if number > text.count("\n"):
                break
            raise InputError(
                f"{reader.shown(path)}:{number}: is not an observation: {line.strip()[:120]}"
            ) from None
    return found
