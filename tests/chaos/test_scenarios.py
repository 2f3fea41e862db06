"""Scenarios from beginning to end: carried out, written down, judged, and judged again.

Few of the library; `make chaos` runs all of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from labctl import faults
from labctl.chaos.folder.layout import seal
from tests.chaos.ground import Ground
from tests.lab.command import Labctl
from tests.lab.scenario import come_out

FILES = {"scenario.yml", "run.json", "timeline.json", "history.jsonl", "observations.jsonl"}
FILES |= {"finals.json", "verdict.json", "report.html", "junit.xml", "summary.md", "logs"}

FEW = (
    "rabbit-leader-killed",  # what was promised is kept
    "redis-partition",  # acknowledged and lost, as documented
)


@pytest.fixture
def labctl(ground: Ground) -> Labctl:
    """The program, with the state directory that the lab is recorded in."""
    return Labctl(Path(os.environ["LABCTL_HOME"]))


@pytest.mark.parametrize("name", FEW)
def test_a_scenario_comes_out_as_it_says(labctl: Labctl, ground: Ground, name: str) -> None:
    come_out(labctl, ground.lab.name, name)


def test_a_run_is_judged_by_its_folder(labctl: Labctl, ground: Ground) -> None:
    options = ("--lab", ground.lab.name, "--seed", "7", "--json")
    ended = labctl("chaos", "run", "galera-writer-killed", *options, timeout=600)
    verdict = ended.json
    assert (verdict["outcome"], ended.code) == ("VALID", 0), verdict["why"]
    folder = Path(verdict["folder"])
    assert {path.name for path in folder.iterdir()} == FILES
    (fault,) = json.loads((folder / "timeline.json").read_text())
    assert fault["asked"] <= fault["bites"] < fault["healed"]
    assert fault["targets"] == [f"{fault['targets'][0].partition('/')[0]}/mariadb"]
    assert faults.active(ground.lab) == []
    again = labctl("chaos", "check", str(folder), "--json").json
    assert again == verdict
    # What was acknowledged and is not there any more is found out.
    finals = json.loads((folder / "finals.json").read_text())
    place = sorted(finals["galera-set"])[0]
    finals["galera-set"][place].pop()
    (folder / "finals.json").write_text(json.dumps(finals))
    altered = labctl("chaos", "check", str(folder), "--json", code=4).json
    assert altered["outcome"] == "UNKNOWN"
    assert "finals.json is not what the run recorded" in altered["why"]
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "sealed": seal(folder)}))
    forged = labctl("chaos", "check", str(folder), "--json", code=1).json
    assert forged["outcome"] == "INVALID"
