"""Scenarios and sabotages: where they are, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labctl.chaos.document.sabotages import SabotageDoc
from labctl.chaos.document.scenario import ScenarioDoc
from labctl.documents.reader import load_with_source
from labctl.documents.source import Place, Source, printable, suggestion
from labctl.errors import InputError

_HERE = Path(__file__).resolve().parents[1]


def scenarios() -> Mapping[str, Path]:
    """The library's scenarios: name → file."""
    return _documents("scenarios")


def about(word: str) -> list[ScenarioDoc]:
    """The library's scenarios with a word in their name, rows, profile or kinds of workload."""
    docs = [load_scenario(path)[0] for path in scenarios().values()]
    return [doc for doc in docs if word.lower() in _words(doc).lower()]


def _words(doc: ScenarioDoc) -> str:
    kinds = [workload.kind for workload in doc.workloads]
    return " ".join((doc.name, doc.needs.profile, *doc.row, *kinds))


def sabotages() -> Mapping[str, Path]:
    """Labs with one known-bad setting each: name → file."""
    return _documents("sabotage")


def find(scenario: str) -> Path:
    """The file of a scenario, given by its name in the library or by path.

    InputError when there is none.
    """
    known = scenarios()
    path = Path(scenario)
    if scenario in known:
        return known[scenario]
    if path.suffix not in (".yml", ".yaml") and not path.is_file():
        raise InputError(
            f"there is no scenario '{printable(scenario)}': {_advice(scenario, known)} "
            "Or give the path of a .yml file"
        )
    return path


def load_scenario(path: Path) -> tuple[ScenarioDoc, Source]:
    """Read and check a scenario; returns it with the positions in its file.

    InputError, with file, line and place, for the first mistake.
    """
    doc, source = load_with_source(path, ScenarioDoc)
    _check(doc, source, ())
    return doc, source


def load_sabotage(path: Path) -> tuple[SabotageDoc, Source]:
    """Read and check a sabotage and its scenario. InputError as for a scenario."""
    doc, source = load_with_source(path, SabotageDoc)
    _check(doc.scenario, source, ("scenario",))
    return doc, source


def _check(doc: ScenarioDoc, source: Source, within: Place) -> None:
    for place, sentence in doc.problems():
        raise source.error((*within, *place), sentence)


def _documents(kind: str) -> Mapping[str, Path]:
    return {path.stem: path for path in sorted((_HERE / kind).glob("*.yml"))}


def _advice(wrong: str, known: Mapping[str, Path]) -> str:
    said = suggestion(wrong, known)
    return said if said.startswith("did") else "see `labctl chaos list`."
