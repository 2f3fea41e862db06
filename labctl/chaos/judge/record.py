"""What a run left in its folder, read for judging. The only part of judging that reads files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.chaos.checks.observed import Observation
from labctl.chaos.checks.windows import Spell
from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.folder import history
from labctl.chaos.folder.history import Event, Operation
from labctl.documents import reader
from labctl.errors import InputError

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """A run as it was recorded; times in seconds since it began.

    A run that was cut short has no ``finals``, and maybe no observations.
    """

    run: Data
    scenario: Data
    timeline: Sequence[Data] = ()
    events: Sequence[Event] = ()
    operations: Sequence[Operation] = ()
    observations: Sequence[Observation] = ()
    finals: Data | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    """How many lines the files have that grow line by line."""

    @property
    def end(self) -> float:
        """The last moment of which anything is known."""
        times = [event.t for event in self.events[-1:]]
        times += [observation["t"] for observation in self.observations[-1:]]
        return max(times, default=0.0)

    @property
    def faults(self) -> list[Spell]:
        """When each fault bit, to its heal or the end; those that did not bite are left out."""
        return [
            (fault["bites"], self.end if fault.get("healed") is None else fault["healed"])
            for fault in self.timeline
            if fault.get("bites") is not None
        ]

    @property
    def lags(self) -> list[Spell]:
        """The spells in which the client itself did not run."""
        return history.lags(self.events)


def read(folder: Path) -> Record:
    """Read a run's folder.

    InputError names the file that is missing or damaged; only what a run writes before it begins
    must be there.
    """
    events: list[Event] = []
    if (folder / "history.jsonl").exists():
        events = sorted(history.read(folder / "history.jsonl"), key=lambda event: event.t)
    observations = _observations(folder / "observations.jsonl")
    return Record(
        run=_mapping(folder / "run.json", needed=True) or {},
        scenario=_scenario(folder / "scenario.yml"),
        timeline=_timeline(folder / "timeline.json"),
        events=events,
        operations=history.pair(events),
        observations=observations,
        finals=_mapping(folder / "finals.json"),
        lines={"history.jsonl": len(events), "observations.jsonl": len(observations)},
    )


def _scenario(path: Path) -> Data:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{reader.shown(path)}: cannot be read: is this a run's folder?") from None
    data, source = reader.parse(text, reader.shown(path))
    reader.validate(data, ScenarioDoc, source)
    scenario: Data = data
    return scenario


def _timeline(path: Path) -> list[Data]:
    data = _json(path)
    if data is None:
        raise InputError(f"{reader.shown(path)}: no such file: nobody knows what was broken")
    if not isinstance(data, list) or not all(isinstance(fault, dict) for fault in data):
        raise InputError(f"{reader.shown(path)}: is no timeline of a run")
    if not all(isinstance(fault.get("traits"), dict) for fault in data):
        raise InputError(
            f"{reader.shown(path)}: does not say what kinds of faults these are: an older labctl "
            "recorded it, so judge it with that one, or run the scenario again"
        )
    return data


def _mapping(path: Path, *, needed: bool = False) -> Data | None:
    data = _json(path)
    if data is None and needed:
        raise InputError(f"{reader.shown(path)}: no such file: is this a run's folder?")
    if data is not None and not isinstance(data, dict):
        raise InputError(f"{reader.shown(path)}: should be a mapping")
    return data


def _json(path: Path) -> Any:
    """A file's data; None when there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{reader.shown(path)}: cannot be read: {error}") from None


def _observations(path: Path) -> list[Observation]:
    """Lines with a time; a last one without its end is left out."""
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
                f"{reader.shown(path)}:{number}: is no observation: {line.strip()[:120]}"
            ) from None
    return found
