"""All controllers end at once: `labctl up` is the one command that brings every cluster back."""

from __future__ import annotations

import pytest

from tests.lab.command import Labctl


def openstack(labctl: Labctl, lab: str, *words: str) -> str:
    told = labctl("exec", "--lab", lab, "client/toolbox", "--", "openstack", *words)
    return told.out.strip()


@pytest.mark.parametrize("verb", ["kill", "stop"])
def test_a_total_outage_loses_nothing(labctl: Labctl, lab: str, verb: str) -> None:
    name = f"before-{verb}"
    openstack(labctl, lab, "project", "create", name)
    labctl(verb, "--lab", lab, "c1", "c2", "c3")
    assert labctl.status(lab)["state"] == "down"
    labctl("up", "three-controller", "--name", lab)
    status = labctl.status(lab)
    assert status["state"] == "healthy"
    assert {kind: c["size"] for kind, c in status["clusters"].items()} == {
        "galera": 3,
        "rabbitmq": 3,
        "redis": 3,
        "mongodb": 3,
    }
    assert openstack(labctl, lab, "project", "show", name, "-f", "value", "-c", "name") == name
