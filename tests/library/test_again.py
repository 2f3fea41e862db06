"""What is done with a run afterwards, in a real lab: repeated, shrunk, and healed when killed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.command import Labctl
from tests.library.conftest import Standing

IMPATIENT = {
    "name": "impatient",
    "description": "One of three faults is why the database is away for longer than is allowed",
    "workloads": [{"name": "set", "kind": "galera", "as": "set", "rate": 20, "workers": 4}],
    "timeline": [
        {"at": "2s", "fault": "kill", "target": {"one": "memcached"}, "for": "3s"},
        {"at": "8s", "fault": "pause", "target": "galera-writer", "for": "10s"},
        {"at": "20s", "fault": "kill", "target": {"one": "mongodb"}, "for": "3s"},
    ],
    "expect": {"budgets": {"galera": "500ms"}},
    "tail": "5s",
}


@pytest.fixture(scope="module")
def lab(standing: Standing) -> Iterator[str]:
    """A sound lab with the support tier."""
    with standing("three-controller", "--profile", "support") as name:
        yield name


@pytest.fixture(scope="module")
def impatient(labctl: Labctl, lab: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The verdict about a run that is INVALID because of one of its faults."""
    path = tmp_path_factory.mktemp("scenario") / "impatient.yml"
    path.write_text(json.dumps(IMPATIENT))  # JSON is YAML
    options = ("--lab", lab, "--seed", "3", "--json")
    found = dict(labctl("chaos", "run", str(path), *options, code=1).json)
    assert found["outcome"] == "INVALID"
    return found


def timeline(folder: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((Path(folder) / "timeline.json").read_text())
    return found


def test_a_replay_hits_the_same_at_the_same_times(
    labctl: Labctl, lab: str, impatient: dict[str, Any]
) -> None:
    again = labctl("chaos", "replay", impatient["run"], "--lab", lab, "--json", code=None).json
    first, second = timeline(impatient["folder"]), timeline(again["folder"])
    assert [fault["targets"] for fault in first] == [fault["targets"] for fault in second]
    gaps = [[fault["asked"] - faults[0]["asked"] for fault in faults] for faults in (first, second)]
    assert gaps[0] == pytest.approx(gaps[1], abs=0.002)
    assert all(fault["bites"] for fault in second)


def test_shrinking_leaves_the_fault_that_matters(
    labctl: Labctl, lab: str, impatient: dict[str, Any]
) -> None:
    said = labctl("chaos", "shrink", impatient["run"], "--lab", lab, timeout=1200).out
    assert "1 of 3 faults are left" in said
    assert "none of them can be left out" in said
    smallest = Path(impatient["folder"]) / "smallest.yml"
    (left,) = yaml.safe_load(smallest.read_text())["timeline"]
    assert left["fault"] == "pause"
    found = labctl("chaos", "run", str(smallest), "--lab", lab, "--json", code=1).json
    assert found["outcome"] == "INVALID"


def test_a_run_killed_in_the_middle_is_healed_and_readable(labctl: Labctl, lab: str) -> None:
    process = labctl.begin("chaos", "run", "galera-writer-isolated", "--lab", lab, "--seed", "1")
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "in effect" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "in effect" in said[-1], said
    assert labctl.status(lab)["faults"]
    (left,) = labctl("chaos", "runs", "--lab", lab, "--last", "1", "--json").json
    labctl("chaos", "heal", "--lab", lab)
    assert not labctl.status(lab)["faults"]
    judged = labctl("chaos", "check", left["run"], "--json", code=4).json
    assert judged["outcome"] == "UNKNOWN"
    end = time.monotonic() + 180
    while labctl.status(lab)["state"] != "healthy":
        assert time.monotonic() < end, labctl.status(lab)
        time.sleep(2)
