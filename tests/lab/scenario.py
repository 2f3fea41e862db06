"""Scenarios run in a lab as a person runs them."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.command import Labctl


def verdict(labctl: Labctl, lab: str, scenario: str) -> dict[str, Any]:
    """The verdict about a run of a scenario, by its name or its file."""
    options = ("--lab", lab, "--seed", "1", "--json")
    return dict(labctl("chaos", "run", scenario, *options, timeout=1200, code=None).json)


def come_out(labctl: Labctl, lab: str, name: str) -> None:
    """Run it; the verdict must be the one that it expects. What it left dead is mended."""
    found = verdict(labctl, lab, name)
    labctl("up", "--name", lab, timeout=900)
    assert found["expected"]["met"], json.dumps(found, indent=1)
