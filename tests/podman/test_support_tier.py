"""The whole support tier with Keystone on Podman: it comes up, serves, breaks, and goes away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.engine.choose import connect
from labctl.engine.port import Engine
from tests.lab.command import Labctl
from tests.lab.remains import remains

NAME = "podman-test"


@pytest.fixture(scope="module")
def podman() -> Engine:
    """Podman, through its socket; none there is a failure."""
    engine = connect("podman")
    assert engine.info().kind == "podman"
    return engine


@pytest.fixture(scope="module")
def labctl(tmp_path_factory: pytest.TempPathFactory) -> Labctl:
    home: Path = tmp_path_factory.mktemp("home")
    return Labctl(home, {"LABCTL_ENGINE": "podman"})


@pytest.fixture(scope="module")
def lab(labctl: Labctl, podman: Engine) -> Iterator[str]:
    labctl("images", "build", timeout=1800)
    labctl.clear(NAME)
    labctl("up", "three-controller", "--name", NAME, "--profile", "support")
    yield NAME
    labctl("down", "--lab", NAME)
    assert remains(podman, NAME) == []


def test_it_is_healthy(labctl: Labctl, lab: str) -> None:
    status = labctl.status(lab)
    assert status["state"] == "healthy"
    assert {kind: c["size"] for kind, c in status["clusters"].items()} == {
        "galera": 3,
        "rabbitmq": 3,
        "redis": 3,
        "mongodb": 3,
    }


def test_a_token_through_the_virtual_ip(labctl: Labctl, lab: str) -> None:
    said = labctl(
        "exec", "--lab", lab, "client/toolbox", "--", "openstack", "token", "issue", "-f", "json"
    )
    assert said.json["project_id"]


def test_up_again_does_nothing(labctl: Labctl, lab: str) -> None:
    assert labctl("plan", "three-controller", "--name", lab, "--json").json["steps"] == []


def test_the_virtual_ip_moves_when_its_node_loses_power(labctl: Labctl, lab: str) -> None:
    before = labctl.status(lab)["vip"]["holders"]
    labctl("kill", "--lab", lab, "vip-holder")
    after = labctl.status(lab)["vip"]["holders"]
    assert len(after) == 1
    assert after != before
    labctl("heal", "--lab", lab)
    labctl("up", "three-controller", "--name", lab)
    assert labctl.status(lab)["state"] == "healthy"
