"""A run's folder of which a part is missing: judged UNKNOWN or refused in a sentence, no defect."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos import report
from labctl.chaos.judge import budgets, verdict
from labctl.chaos.model.timers import timers
from labctl.cli import chaos
from labctl.errors import LabctlError
from tests.unit.test_chaos_timeline import lab
from tests.unit.traits import traits

SCENARIO = """name: writer-killed
description: The writer dies
workloads:
  - {name: set, kind: galera, as: set, rate: 1, settings: {timeout: 1}}
timeline:
  - {at: 1s, fault: kill, target: galera-writer, for: 2s}
expect: {outcome: VALID, budgets: {galera: 60s}}
"""
WHOLE = "VALID"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is whole: three numbers, a fault, nothing lost."""
    folder = tmp_path_factory.mktemp("whole") / "20260101T120000_a1b2c3"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs/c1-mariadb.log").write_text("it went away\n")
    (folder / "scenario.yml").write_text(SCENARIO)
    events = [
        {"t": t + later, "w": "set", "p": 0, "type": kind, "f": "add", "value": n, "at": "c1"}
        for n, t in enumerate((0.5, 2.0, 4.0))
        for kind, later in (("invoke", 0.0), ("ok", 0.1))
    ]
    lines(folder / "history.jsonl", events)
    member = {"c1": "Primary, Synced"}
    galera = {"size": 3, "expected": 3, "writer": "c1", "components": 1, "members": member}
    seen = [
        {"t": t, "vip": ["c1"], "clusters": {"galera": galera}, "unready": []}
        for t in (0.2, 1.2, 4.2)
    ]
    lines(folder / "observations.jsonl", seen)
    write(folder / "timeline.json", [FAULT])
    write(folder / "finals.json", {"set": {"c1": [0, 1, 2], "c2": [0, 1, 2]}})
    write(folder / "run.json", about(len(events), len(seen)))
    found = verdict.judge(folder, budgets.of_run)
    assert found.outcome == WHOLE, found.why
    assert found.budgets
    write(folder / "verdict.json", found.to_json())
    return folder


FAULT = {
    "index": 0,
    "fault": "kill",
    "traits": traits("kill"),
    "said": "kill c1/mariadb",
    "asked": 1.0,
    "began": 1.0,
    "bites": 1.2,
    "healed": 3.0,
    "targets": ["c1/mariadb"],
    "spec": {"fault": "kill", "target": "galera-writer"},
    "lasts": 2.0,
    "resolved": {"targets": ["c1/mariadb"], "groups": [], "pairs": []},
    "evidence": {"c1/mariadb": "exited", "took": 0.2},
    "heal_evidence": {"c1/mariadb": "running"},
    "error": None,
}


def about(events: int, seen: int) -> dict[str, Any]:
    held = {"held": True, "said": []}
    return {
        "format": 1,
        "run": "20260101T120000_a1b2c3",
        "scenario": "writer-killed",
        "lab": "demo",
        "seed": 1,
        "steady": {"before": held, "after": held},
        "settings": {
            "galera": {"innodb_flush_log_at_trx_commit": 1},
            "timers": timers(lab()),
        },
        "cut_short": None,
        "ended": "2026-01-01T12:00:05.000+00:00",
        "lines": {"history.jsonl": events, "observations.jsonl": seen},
    }


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


FILES = (
    "run.json",
    "scenario.yml",
    "timeline.json",
    "history.jsonl",
    "observations.jsonl",
    "finals.json",
    "verdict.json",
)
JUDGED = FILES[:-1]


def cuts(text: bytes) -> Iterator[int]:
    """Where to cut a file: everywhere, and in a longer one at every line and every 17th byte."""
    return (
        at
        for at in range(len(text))
        if len(text) < 300 or at % 17 == 0 or b"\n" in text[max(at - 1, 0) : at + 1]
    )


@pytest.fixture
def torn(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / run.name))


def judged(folder: Path) -> str:
    """The outcome of what is there, or the one sentence that refuses it."""
    try:
        found = verdict.judge(folder, budgets.of_run)
    except LabctlError as error:
        said = str(error)
        assert said, "a sentence"
        assert "\n" not in said
        assert error.exit_code == 2, said
        return said
    json.dumps(found.to_json())
    return found.outcome


@pytest.mark.parametrize("name", JUDGED)
def test_a_file_that_is_cut_anywhere_never_makes_a_run_valid(torn: Path, name: str) -> None:
    path = torn / name
    text = path.read_bytes()
    for at in cuts(text):
        path.write_bytes(text[:at])
        outcome = judged(torn)
        # The same but for the end of the last line is the same; of a scenario that is a
        # document still, what is left says what was checked.
        same = text[:at].rstrip() == text.rstrip() or name == "scenario.yml"
        assert outcome != WHOLE or same, f"{name} cut at {at}"


@pytest.mark.parametrize("name", JUDGED)
def test_a_file_that_is_missing_never_makes_a_run_valid(torn: Path, name: str) -> None:
    (torn / name).unlink()
    assert judged(torn) != WHOLE


@pytest.mark.parametrize("name", FILES)
def test_every_part_of_a_folder_has_a_report(torn: Path, name: str) -> None:
    path = torn / name
    text = path.read_bytes()
    ends = {len(text) - 1, len(text) // 2, *(n + 1 for n, c in enumerate(text) if c == 10)}
    for at in sorted(ends):
        path.write_bytes(text[:at])
        assert report.made(torn)[report.HTML]
    path.unlink()
    assert report.made(torn)[report.HTML]


@pytest.mark.parametrize("kind", [b"\0\xff\xfe", b"[1]\n", b"{}\n", b"null\n", b'"a"\n', b"\n"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_another_is_no_defect(torn: Path, name: str, kind: bytes) -> None:
    (torn / name).write_bytes(kind)
    if name in JUDGED:
        assert judged(torn) != WHOLE
    assert report.made(torn)[report.HTML]


@pytest.mark.parametrize("name", FILES)
def test_a_directory_in_place_of_a_file_is_no_defect(torn: Path, name: str) -> None:
    (torn / name).unlink()
    (torn / name).mkdir()
    if name in JUDGED:
        assert judged(torn) != WHOLE
    assert report.made(torn)[report.HTML]


def test_a_folder_of_a_run_that_was_killed_is_judged_and_reported(
    torn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As SIGKILL leaves it in a fault: no end, no finals, and half a line of history."""
    document = json.loads((torn / "run.json").read_text())
    write(torn / "run.json", {k: v for k, v in document.items() if k not in ("ended", "lines")})
    write(torn / "timeline.json", [{**FAULT, "healed": None, "heal_evidence": {}}])
    history = (torn / "history.jsonl").read_bytes()
    (torn / "history.jsonl").write_bytes(history[: len(history) * 2 // 3])
    for name in ("finals.json", "verdict.json"):
        (torn / name).unlink()
    (torn / ".run.json.new").write_text('{"format": 1, "ru')
    with pytest.raises(BaseException, match="4"):
        chaos.check(os.fspath(torn))
    said = capsys.readouterr().out
    assert said.startswith(
        "UNKNOWN: the run was cut short: the final state of the stores was not read"
    )
    assert "was not healed in the run" in (torn / "summary.md").read_text()
