"""A lab with one known-bad setting is caught, for the right reason: checkers are seen to fail."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos.document.library import load_sabotage, sabotages
from tests.lab.command import Labctl
from tests.lab.scenario import verdict
from tests.library import toothless
from tests.library.conftest import Standing


@pytest.mark.parametrize("name", sabotages())
def test_a_sabotage_is_caught(
    labctl: Labctl, standing: Standing, tmp_path: Path, name: str
) -> None:
    doc, _ = load_sabotage(sabotages()[name])
    # JSON is YAML.
    topology, scenario = tmp_path / "topology.yml", tmp_path / "scenario.yml"
    topology.write_text(doc.topology.model_dump_json(exclude_unset=True, by_alias=True))
    scenario.write_text(doc.scenario.model_dump_json(exclude_unset=True, by_alias=True))
    # Some of these labs are never well.
    with standing(str(topology), code=None) as lab:
        found = verdict(labctl, lab, str(scenario))
    assert found["outcome"] in doc.must.outcome, found["why"]
    assert doc.must.because in _reasons(found), json.dumps(found, indent=1)


def test_a_cut_that_does_nothing_is_caught(labctl: Labctl, standing: Standing) -> None:
    """The bad setting is in the fault: labctl believes that it cut, and must not be believed."""
    pulled = replace(labctl, program=(sys.executable, toothless.__file__))
    with standing("three-controller", "--profile", "support") as lab:
        found = verdict(pulled, lab, "galera-writer-isolated")
    assert found["outcome"] == "UNKNOWN", found["why"]
    assert "had no effect" in found["why"]


def _reasons(found: dict[str, Any]) -> str:
    """What speaks against a run: its reason, and each check and budget that failed."""
    bad = [f"{c['check']}: {c['why']}" for c in found["checks"] if c["outcome"] != "VALID"]
    bad += [
        f"budget of {b['name']}: {b['why']}" for b in found["budgets"] if b["outcome"] != "VALID"
    ]
    return "\n".join([found["why"], *bad])
