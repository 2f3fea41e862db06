"""A node without power: it stays off, and is counted again when it is said to be on."""

from __future__ import annotations

from tests.lab.command import Labctl


def state(labctl: Labctl, lab: str, name: str) -> str:
    return next(str(n["state"]) for n in labctl.status(lab)["nodes"] if n["name"] == name)


def test_a_node_stays_off_until_it_is_switched_on(labctl: Labctl, lab: str) -> None:
    assert labctl("node", "off", "c2", "--lab", lab).out == f"lab {lab}: c2 is off\n"
    labctl("heal", "--lab", lab)
    assert state(labctl, lab, "c2") == "off"
    assert labctl.status(lab)["clusters"]["galera"]["size"] == 2
    assert labctl("node", "on", "c2", "--lab", lab).out == f"lab {lab}: c2 is on\n"
    assert labctl.status(lab)["state"] == "healthy"


def test_up_switches_on_what_is_off(labctl: Labctl, lab: str) -> None:
    labctl("node", "off", "c3", "--lab", lab)
    labctl("up", "--name", lab)
    assert labctl.status(lab)["state"] == "healthy"


def test_what_cannot_be_is_refused_and_nothing_is_touched(labctl: Labctl, lab: str) -> None:
    refused = labctl("node", "remove", "c1", "c2", "--lab", lab, code=2)
    assert "which is no majority: remove fewer nodes at a time" in refused.err
    refused = labctl("node", "off", "c9", "--lab", lab, code=2)
    assert f"lab '{lab}' has no node 'c9'" in refused.err
    assert labctl.status(lab)["state"] == "healthy"
