"""A lab comes up, is used, and is repaired: just what needs it, and nothing when all is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from labctl.engine.port import Engine
from tests.lab.command import Labctl

SHIPPED = Path(__file__).parents[2] / "topologies"
CLUSTERS = {"galera": "writer", "rabbitmq": "leader", "redis": "master", "mongodb": "primary"}


def ids(driver: Engine, lab: str) -> dict[str, str]:
    """Container → id: another id is another container."""
    return {c.name: c.id for c in driver.containers(lab)}


def test_status_says_all_of_it(labctl: Labctl, lab: str) -> None:
    status = labctl("status", "--lab", lab, "--json").json
    assert status["lab"] == lab
    assert status["state"] == "healthy"
    assert len(status["vip"]["holders"]) == 1
    assert [node["name"] for node in status["nodes"]] == ["c1", "c2", "c3", "client"]
    for node in status["nodes"]:
        assert node["state"] == "running"
        for instance in node["instances"]:
            assert instance["ready"] is True, instance
            assert instance["container"] == f"{lab}-{node['name']}-{instance['service']}"
    for kind, part in CLUSTERS.items():
        cluster = status["clusters"][kind]
        assert (cluster["size"], cluster["expected"]) == (3, 3)
        assert part in cluster


def test_a_token_from_the_client_and_from_the_host(labctl: Labctl, lab: str) -> None:
    inside = labctl(
        "exec", "--lab", lab, "client/toolbox", "--", "openstack", "token", "issue", "-f", "json"
    )
    assert inside.json["project_id"]
    clouds = labctl.home / "labs" / lab / "clouds.yaml"
    assert clouds.stat().st_mode & 0o777 == 0o600
    openstack = Path(sys.executable).with_name("openstack")
    outside = subprocess.run(
        [openstack, "--os-cloud", lab, "token", "issue", "-f", "json"],
        env={**os.environ, "OS_CLIENT_CONFIG_FILE": str(clouds)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(outside.stdout)["project_id"] == inside.json["project_id"]


def test_up_on_a_healthy_lab_does_nothing(labctl: Labctl, lab: str, driver: Engine) -> None:
    before = ids(driver, lab)
    said = labctl("up", "three-controller", "--name", lab)
    assert said.out.splitlines()[0] == f"lab {lab} is as it should be; nothing to do"
    assert ids(driver, lab) == before
    assert labctl("plan", "three-controller", "--name", lab, "--json").json["steps"] == []


def test_up_starts_just_what_died(labctl: Labctl, lab: str, driver: Engine) -> None:
    before = ids(driver, lab)
    driver.kill(f"{lab}-c2-memcached")
    assert labctl.status(lab)["state"] == "degraded"
    labctl("up", "three-controller", "--name", lab)
    assert ids(driver, lab) == before
    assert labctl.status(lab)["state"] == "healthy"


def test_up_recreates_just_what_changed(
    labctl: Labctl, lab: str, driver: Engine, tmp_path: Path
) -> None:
    before = ids(driver, lab)
    topology = yaml.safe_load((SHIPPED / "three-controller.yml").read_text())
    topology["services"] = {"memcached": {"memory": 24}}
    changed = tmp_path / "changed.yml"
    changed.write_text(yaml.safe_dump(topology))
    labctl("up", str(changed), "--name", lab)
    after = ids(driver, lab)
    recreated = {name for name in before if before[name] != after.get(name)}
    assert recreated == {f"{lab}-c{n}-memcached" for n in (1, 2, 3)}
    labctl("up", "three-controller", "--name", lab)
    assert labctl.status(lab)["state"] == "healthy"


def test_up_replaces_a_container_that_was_removed(labctl: Labctl, lab: str, driver: Engine) -> None:
    before = ids(driver, lab)
    driver.remove(f"{lab}-c3-rabbitmq")
    labctl("up", "three-controller", "--name", lab)
    after = ids(driver, lab)
    assert {n for n in before if before[n] != after.get(n)} == {f"{lab}-c3-rabbitmq"}
    assert labctl.status(lab)["clusters"]["rabbitmq"]["size"] == 3


def test_a_node_whose_holder_died_comes_back_whole(
    labctl: Labctl, lab: str, driver: Engine
) -> None:
    driver.kill(f"{lab}-c3")
    labctl("up", "three-controller", "--name", lab)
    status = labctl.status(lab)
    assert status["state"] == "healthy"
    assert status["clusters"]["galera"]["size"] == 3
