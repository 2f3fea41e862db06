"""After any loss one command brings the lab back, and nothing that was acknowledged is gone."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import time
from collections.abc import Sequence

import pytest

from labctl.engine.port import Engine, FileEntry
from labctl.host.parallel import together
from tests.chaos.ground import Ground
from tests.lab.command import Labctl

STORES = ("mariadb", "rabbitmq", "mongodb", "redis", "sentinel")
CONTROLLERS = ("c1", "c2", "c3")
NOTICED = 7.0
"""Seconds after which Galera has parted with one that was killed (evs.suspect_timeout is 5)."""


def recovered(labctl: Labctl, lab: str) -> None:
    """Recover; then all is well, and a second time there is nothing to do."""
    labctl("recover", "--lab", lab)
    status = labctl.status(lab)
    assert status["state"] == "healthy", status
    assert {kind: c["size"] for kind, c in status["clusters"].items()} == {
        "galera": 3,
        "rabbitmq": 3,
        "redis": 3,
        "mongodb": 3,
    }
    again = labctl("recover", "--lab", lab)
    assert again.out == f"nothing of lab {lab} is lost; nothing to do\n"


def queues_have_three_members(driver: Engine, lab: str) -> None:
    """Every quorum queue has three members that are online."""
    command = ["rabbitmqctl", "list_queues", "name", "members", "online", "--formatter", "csv"]
    said = driver.exec(f"{lab}-c1-rabbitmq", [*command, "-q"]).stdout
    for line in said.splitlines()[1:]:
        nodes = re.findall(r"rabbit@c\d", line)
        assert len(nodes) in (0, 6), line


def power_cut(driver: Engine, lab: str, *nodes: str) -> None:
    """All that runs on nodes ends at once, and nobody has written down that it is to be undone."""
    names = tuple(f"{lab}-{node}" for node in nodes)
    there = [c.name for c in driver.containers(lab) if c.status == "running"]
    ends = [n for n in there if n in names or n.startswith(tuple(f"{name}-" for name in names))]
    together(driver.kill, ends)


def lose(driver: Engine, lab: str, node: str, *services: str) -> None:
    """The container and the data of instances that have ended."""
    for service in services:
        name = f"{lab}-{node}-{service}"
        driver.remove(name)
        driver.remove_volume(f"{name}-data")


def diagnosis(labctl: Labctl, lab: str, service: str) -> dict[str, object]:
    """What a dry run says of a service."""
    told = labctl("recover", "--lab", lab, "--dry-run", "--json", code=None).json
    return next(dict(d) for d in told["diagnoses"] if d["service"] == service)


def test_all_nodes_at_once(labctl: Labctl, lab: str, ground: Ground, driver: Engine) -> None:
    with ground.clients("galera", "rabbitmq", "mongodb", "redis"):
        power_cut(driver, lab, *CONTROLLERS)
        recovered(labctl, lab)


def test_all_nodes_in_good_order(labctl: Labctl, lab: str, ground: Ground) -> None:
    with ground.clients("galera", "rabbitmq", "mongodb", "redis"):
        for node in CONTROLLERS:
            labctl("stop", "--lab", lab, node)
        recovered(labctl, lab)


@pytest.mark.parametrize("order", itertools.permutations(CONTROLLERS), ids="-".join)
def test_galera_one_after_another(
    labctl: Labctl, lab: str, ground: Ground, driver: Engine, order: Sequence[str]
) -> None:
    """Those that went later have more: the last one that still took writes bootstraps."""
    with ground.clients("galera"):
        for node in order:
            driver.kill(f"{lab}-{node}-mariadb")
            time.sleep(NOTICED)
        found = diagnosis(labctl, lab, "mariadb")
        (bootstrap,) = [s for s in found["steps"] if s["action"] == "bootstrap"]  # type: ignore[attr-defined]
        assert bootstrap["members"][0].partition("/")[0] in order[1:]
        recovered(labctl, lab)


@pytest.mark.parametrize("left", CONTROLLERS)
def test_only_a_minority_is_left(
    labctl: Labctl, lab: str, ground: Ground, driver: Engine, left: str
) -> None:
    with ground.clients("galera", "rabbitmq", "mongodb"):
        power_cut(driver, lab, *(n for n in CONTROLLERS if n != left))
        time.sleep(NOTICED)
        recovered(labctl, lab)


@pytest.mark.parametrize("node", CONTROLLERS)
def test_all_at_once_and_the_data_of_one_lost(
    labctl: Labctl, lab: str, ground: Ground, driver: Engine, node: str
) -> None:
    with ground.clients("galera", "rabbitmq", "mongodb", "redis"):
        power_cut(driver, lab, *CONTROLLERS)
        lose(driver, lab, node, *STORES)
        recovered(labctl, lab)
        queues_have_three_members(driver, lab)


def test_rabbitmq_without_the_last_to_stop(
    labctl: Labctl, lab: str, ground: Ground, driver: Engine
) -> None:
    """The others wait for its tables for ever: the last resort, and it is said."""
    with ground.clients("rabbitmq"):
        for node in CONTROLLERS:
            driver.kill(f"{lab}-{node}-rabbitmq")
            time.sleep(1)
        lose(driver, lab, "c3", "rabbitmq")
        told = labctl("recover", "--lab", lab, "rabbitmq")
        assert "have c2/rabbitmq start without the others: the last resort" in told.err
        recovered(labctl, lab)
        queues_have_three_members(driver, lab)


def test_killed_again_in_the_middle_of_recovery(
    labctl: Labctl, lab: str, ground: Ground, driver: Engine
) -> None:
    with ground.clients("galera", "rabbitmq", "mongodb"):
        for moment in ("bootstrap", "await c", "start c"):
            power_cut(driver, lab, *CONTROLLERS)
            begun = labctl.begin("recover", "--lab", lab)
            until(begun, moment)
            power_cut(driver, lab, *CONTROLLERS)
            begun.communicate(timeout=400)
        recovered(labctl, lab)


@pytest.mark.parametrize("moment", ["no member is left", "bootstrap", "await c", "start c"])
def test_labctl_is_killed_in_the_middle(
    labctl: Labctl, lab: str, ground: Ground, driver: Engine, moment: str
) -> None:
    with ground.clients("galera", "rabbitmq", "mongodb"):
        power_cut(driver, lab, *CONTROLLERS)
        begun = labctl.begin("recover", "--lab", lab)
        until(begun, moment)
        begun.send_signal(signal.SIGKILL)
        begun.wait()
        recovered(labctl, lab)


def until(process: subprocess.Popen[str], words: str) -> None:
    """Read what a command says until it says these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(words, line):
            return
    raise AssertionError(f"it never said {words}")


def test_two_histories_stop_it(labctl: Labctl, lab: str, ground: Ground, driver: Engine) -> None:
    with ground.clients("galera"):
        for node in CONTROLLERS:
            labctl("stop", "--lab", lab, f"{node}/mariadb")
        name, path = f"{lab}-c2-mariadb", "/var/lib/mysql/data/grastate.dat"
        state = driver.read_file(name, path)
        assert state is not None
        other = re.sub(rb"uuid: .*", b"uuid:    11111111-2222-3333-4444-555555555555", state)
        write_as_owner(driver, name, path, other)
        told = labctl("recover", "--lab", lab, code=1)
        assert "its members have data of different clusters" in told.err
        assert "keep 11111111-2222-3333-4444-555555555555 with 'labctl node replace c1 c3'" in (
            told.err
        )
        running = {c.name for c in driver.containers(lab) if c.status == "running"}
        assert not any(name.endswith("-mariadb") for name in running)
        write_as_owner(driver, name, path, state)
        recovered(labctl, lab)


def write_as_owner(driver: Engine, name: str, path: str, data: bytes) -> None:
    """Replace a file of MariaDB's."""
    driver.put_files(name, [FileEntry(path, data, 0o660, 902, 902)])
