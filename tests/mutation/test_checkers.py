"""Every promised corruption is caught, and no good history is called broken."""

from __future__ import annotations

import pytest

from tests.mutation.corrupt import ANOMALIES, MUTANTS, Mutant, Unfit, plant
from tests.mutation.simulate import EVERY, dice, good

TRIES = 5
"""Stories that each corruption is made in."""


@pytest.mark.parametrize("check", EVERY)
def test_a_hundred_good_histories_are_not_broken(check: str) -> None:
    for seed in range(100):
        story = good(check, seed)
        unsure = [each.check for each in story.findings() if each.broken is None]
        assert (story.broken(), unsure) == ([], []), f"seed {seed}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: f"{each.check}-{each.name}")
def test_a_corruption_is_caught(mutant: Mutant) -> None:
    caught = applied(mutant)
    assert caught, "no story was fit for it"
    missed = [seed for seed, broken in caught.items() if not broken]
    assert not missed, f"not found with seeds {missed}"


def applied(mutant: Mutant) -> dict[int, list[str]]:
    """Seed of a story that was fit → what was found in it once corrupted."""
    found: dict[int, list[str]] = {}
    for seed in range(100):
        story = good(mutant.check, seed)
        try:
            mutant.change(story, dice(seed))
        except Unfit:
            continue
        found[seed] = story.broken()
        if len(found) == TRIES:
            break
    return found


@pytest.mark.parametrize("anomaly", ANOMALIES)
def test_an_anomaly_is_found_by_its_name(anomaly: str) -> None:
    story = good("append", 1)
    plant(story, *ANOMALIES[anomaly])
    assert anomaly in story.broken()
