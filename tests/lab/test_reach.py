"""Reaching into a lab: exec, shell, logs, Compose's own commands, two labs side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from labctl.engine.port import Engine
from tests.lab.command import Labctl
from tests.lab.remains import remains


def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The real Docker Compose, from PyPI."""
    program = Path(sys.executable).with_name("docker-compose")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_exec_passes_the_exit_code_on(labctl: Labctl, lab: str) -> None:
    assert labctl("exec", "--lab", lab, "c1", "--", "hostname").out == "c1\n"
    assert labctl("exec", "--lab", lab, "c1/mariadb", "--", "sh", "-c", "exit 7", code=7)


def test_exec_names_what_there_is(labctl: Labctl, lab: str) -> None:
    node = labctl("exec", "--lab", lab, "c9", "--", "true", code=2)
    assert node.err == f"labctl: lab '{lab}' has no node 'c9' (nodes: c1, c2, c3, client)\n"
    service = labctl("exec", "--lab", lab, "client/mariadb", "--", "true", code=2)
    assert service.err == "labctl: node client has no service 'mariadb' (services: toolbox)\n"


def test_the_shell_reads_commands_from_a_pipe(labctl: Labctl, lab: str) -> None:
    said = subprocess.run(
        [str(Path(sys.executable).with_name("labctl")), "shell", "--lab", lab],
        input="whoami; hostname\n",
        env={"LABCTL_HOME": str(labctl.home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["lab", "client"]


def test_logs(labctl: Labctl, lab: str) -> None:
    assert "Synced" in labctl("logs", "--lab", lab, "c1/mariadb").out
    assert len(labctl("logs", "--lab", lab, "c1/mariadb", "--tail", "3").out.splitlines()) == 3


def test_compose_sees_a_running_lab(lab: str) -> None:
    listed = compose("-p", lab, "ps", "--format", "{{.Service}}")
    services = set(listed.stdout.split())
    assert {"c1", "c1-mariadb", "client-toolbox"} <= services, listed
    assert compose("-p", lab, "logs", "c1-haproxy", "--tail", "1").returncode == 0


def test_compose_accepts_the_rendered_lab(labctl: Labctl, lab: str, tmp_path: Path) -> None:
    labctl("render", "--name", lab, "-o", str(tmp_path))
    path = tmp_path / "compose.yml"
    assert path.stat().st_mode & 0o777 == 0o600
    checked = compose("-f", str(path), "config", "--quiet")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_two_labs_side_by_side(labctl: Labctl, lab: str, small: str) -> None:
    labctl("up", "single", "--name", small)
    assert labctl.status(small)["state"] == "healthy"
    assert labctl.status(lab)["state"] == "healthy"
    assert labctl.status(small)["vip"]["address"] != labctl.status(lab)["vip"]["address"]
    ambiguous = labctl("status", code=2)
    assert "say which with --lab NAME" in ambiguous.err
    down = labctl("down", "--lab", small)
    assert down.out.endswith(", 1 link\n")
    again = labctl("down", "--lab", small)
    assert again.out == f"lab {small} is down: nothing was there\n"
    assert "there is no lab 'mistyped'" in labctl("down", "--lab", "mistyped", code=2).err
    assert labctl.status(lab)["state"] == "healthy"


def test_segregated_roles_and_addresses_of_its_own(
    labctl: Labctl, small: str, driver: Engine
) -> None:
    labctl("up", "segregated", "--name", small, "--subnet", "198.19.42.0/24")
    status = labctl.status(small)
    assert status["state"] == "healthy"
    assert status["vip"]["address"].startswith("198.19.42.")
    on = {n["name"]: {i["service"] for i in n["instances"]} for n in status["nodes"]}
    assert on["lb1"] == {"keepalived", "haproxy"}
    assert "mariadb" in on["db1"]
    assert "mariadb" not in on["ctl1"]
    labctl("down", "--lab", small)
    assert remains(driver, small) == []


def test_the_record_is_a_document_that_up_accepts(labctl: Labctl, lab: str) -> None:
    record = yaml.safe_load((labctl.home / "labs" / lab / "lab.yml").read_text())
    assert record["topology"]["name"] == "three-controller"
