"""What nft is told of faults on the wire that let some frames pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.faults.kinds import bandwidth, cut, loss
from labctl.faults.model import Fault
from labctl.faults.wire import ruleset
from tests.unit.test_faults_model import CUT

RULES = {"cut": cut.rules, "loss": loss.rules, "bandwidth": bandwidth.rules}
AIMED, COUNTED = "ether saddr @deaf", "counter name dropped drop"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (CUT, ("ether saddr @deaf drop",)),
        (replace(CUT, lease=0.04), (f"{AIMED} {COUNTED}",)),
        (replace(CUT, terms={"only": "vrrp"}), (f"ip protocol 112 {AIMED} {COUNTED}",)),
        (
            replace(CUT, terms={"only": 4567}),
            tuple(
                f"meta l4proto {{ tcp, udp }} th {end} 4567 {AIMED} {COUNTED}"
                for end in ("dport", "sport")
            ),
        ),
        (
            replace(CUT, kind="loss", terms={"percent": 2.5}),
            (f"{AIMED} numgen random mod 1000 < 25 {COUNTED}",),
        ),
        (
            replace(CUT, kind="bandwidth", terms={"rate": 50_000}),
            (f"{AIMED} limit rate over 50000 bytes/second burst 5000 bytes {COUNTED}",),
        ),
    ],
)
def test_rules(fault: Fault, said: tuple[str, ...]) -> None:
    assert RULES[fault.kind](fault) == said


def test_a_very_short_cut_ends_by_itself() -> None:
    blink = replace(CUT, lease=0.004)
    text = ruleset("t", ["02:00:00:00:00:02"], [], blink.lease, cut.rules(blink))
    assert "elements = { 02:00:00:00:00:02 timeout 4ms }" in text
    assert "  counter dropped {" in text
