"""Two scenarios that need the whole table; the lab is as good as new afterwards."""

from __future__ import annotations

import pytest

from labctl.chaos.document.library import load_scenario, scenarios
from labctl.model.service import PROFILES
from tests.chaos.ground import Ground
from tests.lab.command import Labctl
from tests.lab.scenario import come_out

FEW = (
    "cinder-volume",  # a limit of the design
    "horizon",  # what was promised is kept
)


@pytest.mark.parametrize("name", FEW)
def test_a_scenario_comes_out_as_it_says(
    labctl: Labctl, lab: str, ground: Ground, name: str
) -> None:
    needed = load_scenario(scenarios()[name])[0].needs.profile
    if PROFILES.index(needed) > PROFILES.index(ground.lab.profile):
        pytest.skip(f"{name} needs the profile {needed}")
    ground.until_healthy()
    come_out(labctl, lab, name)
