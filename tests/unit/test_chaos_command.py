"""Commands about scenarios and runs as a person gives them; no engine is asked."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from labctl.chaos.document import library
from labctl.chaos.folder import runs
from labctl.chaos.run.plan import Plan
from labctl.cli import chaos, main
from labctl.cli.chaos_progress import Progress
from tests.unit.chaos_run import change, write_run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    return tmp_path


def labctl(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["labctl", "chaos", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.run()
    return int(ended.value.code or 0)


def run(home: Path, day: int, lab: str = "demo", **about: Any) -> Path:
    folder = write_run(home / f"labs/{lab}/runs/2026010{day}T120000_a1b2c3", rate=0.2)
    change(folder, "run.json", lambda data: data.update(about))
    return folder


@pytest.fixture
def three(home: Path) -> Path:
    """A run that came out as expected, one that was killed, one whose lab is gone."""
    first = run(home, 1, ended="then", seconds=91.0)
    change(first, "verdict.json", lambda d: d.update(expected={"outcome": "INVALID", "met": True}))
    (run(home, 2) / "verdict.json").unlink()
    run(home, 3, "old", ended="then", seconds=60.0)
    return home


def test_runs_are_listed_the_newest_last(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labctl(monkeypatch, "runs") == 0
    assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == [
        ["20260101T120000_a1b2c3", "demo", NAME, "91 s", "INVALID, as expected"],
        ["20260102T120000_a1b2c3", "demo", NAME, "-", "cut short"],
        ["20260103T120000_a1b2c3", "old", NAME, "60 s", "INVALID"],
    ]


NAME = "galera-writer-behind-a-cut"


def test_runs_of_one_lab_and_the_last_of_them(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labctl(monkeypatch, "runs", "--lab", "demo", "--last", "1", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["run"], row["outcome"], row["seconds"]) == ("20260102T120000_a1b2c3", None, None)
    assert row["why"] == "cut short"
    assert Path(row["folder"]).is_dir()
    assert labctl(monkeypatch, "runs", "--lab", "/") == 0
    assert capsys.readouterr().out == "no runs yet: `labctl chaos run` starts one\n"


@pytest.mark.parametrize("name", ["run.json", "timeline.json", "verdict.json"])
@pytest.mark.parametrize("text", ["{", "[1]", "null", "3", '{"outcome": []}'])
def test_a_damaged_run_is_listed_too(
    three: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str,
) -> None:
    (three / "labs/demo/runs/20260101T120000_a1b2c3" / name).write_text(text)
    assert labctl(monkeypatch, "runs") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_length_of_a_scenario_is_the_median_of_its_whole_runs(three: Path) -> None:
    run(three, 4, ended="then", seconds=80.0)
    empty = run(three, 5, ended="then", seconds=3.0)
    (empty / "timeline.json").write_text("[]")
    assert runs.lengths(runs.rows()) == {NAME: {"seconds": 80.0, "runs": 3}}


def test_scenarios_are_listed_with_their_rows_and_found_by_a_word(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labctl(monkeypatch, "list") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == sorted(library.scenarios())
    assert labctl(monkeypatch, "list", "split brain") == 0
    found = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in found] == ["vip-split", "vip-split-vrrp"]
    assert found[0][1] == "support"
    assert found[0][3] == "split brain of the virtual IP; keepalived"
    assert labctl(monkeypatch, "list", "teapot") == 2
    assert capsys.readouterr().err == (
        "labctl: no scenario has 'teapot' in its name, rows or needs: leave it out\n"
    )


def test_a_terminal_of_a_hundred_columns_is_enough(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Console(width=100, force_terminal=True, color_system=None, file=io.StringIO())
    monkeypatch.setattr("labctl.cli.show.out", lambda: screen)
    assert labctl(monkeypatch, "list") == 0
    assert labctl(monkeypatch, "runs") == 0
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in text.splitlines()) <= 100
    assert f"{len(library.about('support'))} for profile support or larger" in text
    assert "INVALID, as expected" in text


def test_an_interrupted_run_says_what_is_still_broken(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> Path:
        raise KeyboardInterrupt

    lab = SimpleNamespace(name="demo")
    prepared = SimpleNamespace(lab=lab, desired=None, secrets={})
    scenario = SimpleNamespace(name="s")
    plan = Plan(scenario, "", (), seed=1, services=(), limit=9.0, within=9.0)
    broken = [SimpleNamespace(title="kill c1/store")]
    monkeypatch.setattr("labctl.running.lifecycle.current", lambda _: prepared)
    monkeypatch.setattr(chaos, "attach", lambda *_: (None, prepared))
    monkeypatch.setattr("labctl.chaos.run.plan.from_scenario", lambda *_: plan)
    monkeypatch.setattr("labctl.chaos.run.runner.run", interrupt)
    monkeypatch.setattr("labctl.faults.verbs.active", lambda _: broken)
    assert labctl(monkeypatch, "run", "s") == 130
    assert capsys.readouterr().err == (
        "labctl: interrupted; still broken: kill c1/store: `labctl chaos heal` undoes it\n"
    )
    broken.clear()
    assert labctl(monkeypatch, "run", "s") == 130
    assert capsys.readouterr().err == "labctl: interrupted; still broken: nothing\n"


@pytest.fixture
def pipe() -> Iterator[tuple[Progress, int]]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        progress = Progress(to_stderr=False)
        progress._console = Console(file=file)
        yield progress, reader
    os.close(reader)


def test_a_pipe_is_told_now_and_then(pipe: tuple[Progress, int]) -> None:
    progress, reader = pipe
    counts = {"set": {"ok": 3, "fail": 1, "info": 2}, "vip": {"ok": 0}}
    progress.now([], counts)
    progress._told -= 20
    progress.now(["kill c1/store"], counts)
    progress._told -= 20
    progress.now([], {})
    lines = os.read(reader, 4096).decode().splitlines()
    assert [line.partition(" s  ")[2] for line in lines] == [
        "broken now: kill c1/store; set: 3 ok, 1 failed, 2 unknown; vip: nothing yet",
        "nothing is broken now",
    ]
