"""Secrets stay where they belong, privileges are exact, nothing listens where it should not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from labctl.engine.port import Engine
from tests.lab.command import Labctl


@pytest.fixture(scope="module")
def secrets(labctl: Labctl, lab: str) -> dict[str, str]:
    path = labctl.home / "labs" / lab / "secrets.yml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    found = yaml.safe_load(path.read_text())
    assert len(found) >= 10
    return dict(found)


def inspected(driver: Engine, lab: str) -> list[dict[str, object]]:
    """What the engine tells everybody who may ask, by its own command line."""
    names = [c.name for c in driver.containers(lab)]
    program = driver.info().kind
    said = subprocess.run([program, "inspect", *names], capture_output=True, check=True)
    return list(json.loads(said.stdout))


def test_no_secret_in_what_the_engine_tells(
    driver: Engine, lab: str, secrets: dict[str, str]
) -> None:
    told = json.dumps(inspected(driver, lab))
    assert [name for name, value in secrets.items() if value in told] == []


def test_no_secret_in_a_command_line_or_an_environment(
    lab: str, secrets: dict[str, str], driver: Engine
) -> None:
    leaks = []
    for process in Path("/proc").glob("[0-9]*"):
        for what in ("cmdline", "environ"):
            try:
                text = (process / what).read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            leaks += [(process.name, what, n) for n, value in secrets.items() if value in text]
    assert leaks == []


def test_no_secret_in_a_log(driver: Engine, lab: str, secrets: dict[str, str]) -> None:
    leaks = []
    for container in driver.containers(lab):
        log = driver.logs(container.name)
        leaks += [(container.name, name) for name, value in secrets.items() if value in log]
    assert leaks == []


def test_capabilities_are_exact(driver: Engine, lab: str) -> None:
    allowed = {"keepalived": {"NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL"}}
    for container in inspected(driver, lab):
        host, labels = container["HostConfig"], container["Config"]["Labels"]  # type: ignore[index]
        holder = labels["labctl.kind"] == "holder"
        wanted = {"NET_ADMIN", "NET_RAW"} if holder else allowed.get(labels.get("labctl.service"))
        given = {c.removeprefix("CAP_") for c in host["CapAdd"] or ()}
        assert given <= (wanted or set()), container["Name"]
        assert host["Privileged"] is False
        assert host["CapDrop"] == ["ALL"]


def test_services_listen_on_the_lab_and_loopback_only(labctl: Labctl, lab: str) -> None:
    status = labctl.status(lab)
    vip = status["vip"]["address"]
    for node in status["nodes"]:
        said = labctl("exec", "--lab", lab, node["name"], "--", "ss", "-Hltn").out
        addresses = {line.split()[3].rsplit(":", 1)[0] for line in said.splitlines()}
        own = {node["address"], vip, "127.0.0.1", "[::1]", "127.0.0.11"}
        assert addresses <= own, (node["name"], addresses - own)


def test_nodes_have_no_way_out(labctl: Labctl, lab: str) -> None:
    assert labctl("exec", "--lab", lab, "c1", "--", "ip", "route", "show", "default").out == ""
