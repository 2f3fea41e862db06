"""A service that is not in the table, added as CONTRIBUTING says: directories, and no Python."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.engine.port import Engine
from tests.lab.command import Labctl
from tests.lab.remains import remains

ROOT = Path(__file__).parents[2]
BARBICAN = ROOT / "tests" / "data" / "barbican"
NAME = "lab-test-barbican"


@pytest.fixture
def labctl(tmp_path: Path) -> Labctl:
    """labctl of a copy of this checkout that has Barbican too."""
    copy = tmp_path / "checkout"
    for part in ("labctl", "compose", "images", "topologies"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(BARBICAN, copy, dirs_exist_ok=True)
    return Labctl(tmp_path / "home", {"PYTHONPATH": str(copy)})


@pytest.fixture
def lab(labctl: Labctl, driver: Engine) -> Iterator[str]:
    """A sandbox with it, taken down in the end."""
    labctl.clear(NAME)
    labctl(
        *("up", "single", "--name", NAME, "--profile", "support", "--with", "barbican:controller"),
        timeout=900,  # its image is built first
    )
    yield NAME
    labctl("down", "--lab", NAME)
    assert remains(driver, NAME) == []


def test_it_is_used_through_the_virtual_ip(labctl: Labctl, lab: str) -> None:
    rows = labctl("services", lab, "--json").json
    assert [row["nodes"] for row in rows if row["service"] == "barbican"] == [["c1"]]
    report = labctl("verify", "--lab", lab, "--step", "secret", "--json").json
    assert report["passed"]
    assert [step["name"] for step in report["steps"]] == ["secret"]
    assert labctl.status(lab)["state"] == "healthy"
