"""`labctl recover`: what it says of a lab that is well, of one that is lost, and of bad input."""

from __future__ import annotations

from labctl.engine.port import Engine
from tests.lab.command import Labctl


def ids(driver: Engine, lab: str) -> dict[str, tuple[str, str]]:
    """Container → id and status."""
    return {c.name: (c.id, c.status) for c in driver.containers(lab)}


def test_a_lab_that_is_well_is_left_alone(labctl: Labctl, lab: str, driver: Engine) -> None:
    before = ids(driver, lab)
    assert labctl("recover", "--lab", lab).out == f"nothing of lab {lab} is lost; nothing to do\n"
    told = labctl("recover", "--lab", lab, "--json").json
    assert told["recovered"] is False
    assert told["plan"] == []
    assert {d["service"]: d["situation"] for d in told["diagnoses"]} == {
        "mariadb": "well",
        "rabbitmq": "well",
        "mongodb": "well",
        "sentinel": "well",
    }
    assert ids(driver, lab) == before


def test_bad_input(labctl: Labctl, lab: str) -> None:
    told = labctl("recover", "--lab", "nowhere", code=2)
    assert told.err == f"labctl: there is no lab 'nowhere' (labs: {lab})\n"
    told = labctl("recover", "--lab", lab, "mariabd", code=2)
    assert told.err == (
        f"labctl: there is no service 'mariabd' in lab '{lab}'; did you mean 'mariadb'?\n"
    )


def test_a_cluster_that_is_lost(labctl: Labctl, lab: str, driver: Engine) -> None:
    """It is explained, nothing is done in a dry run, and then only the cluster is touched."""
    for node in ("c3", "c1", "c2"):
        driver.kill(f"{lab}-{node}-mariadb")
    driver.kill(f"{lab}-c1-memcached")
    before = ids(driver, lab)
    said = labctl("recover", "--lab", lab, "--dry-run").out
    assert "mariadb: no member is left\n  1. bootstrap the cluster from c" in said
    assert ids(driver, lab) == before
    first = labctl.begin("recover", "--lab", lab, "mariadb")
    assert first.stdout is not None
    first.stdout.readline()
    busy = labctl("recover", "--lab", lab, code=1)
    assert busy.err == (
        f"labctl: another labctl (process {first.pid}) is working on lab '{lab}': "
        "wait until it ends\n"
    )
    first.communicate()
    assert first.returncode == 0
    after = ids(driver, lab)
    assert after[f"{lab}-c1-memcached"][1] == "exited"
    assert after[f"{lab}-c1-mariadb"][1] == "running"
    assert labctl("recover", "--lab", lab).out == f"lab {lab} is recovered\n"
    assert labctl.status(lab)["state"] == "healthy"
