"""Disks filled on a lab in memory: proved, composed, free again; and what is never filled."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labctl import faults
from labctl.errors import InputError, LabError
from labctl.faults import Fault, Target
from labctl.faults.kinds import fill
from tests.unit.faults_world import World
from tests.unit.labs import desired

STORE, CONTAINER, KEEPER = Target("c1", "store"), "small-c1-store", "small-c1-store-disk"


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fill, "_FULL", 0.0)
    monkeypatch.setattr(fill, "_PACE", 1 << 40)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(desired(tmp_path, disk="256M"))


def inject(world: World) -> Fault:
    fault = faults.filled(world, world.lab, [STORE])
    faults.inject(world, fault, guard=lambda *_: None)
    return fault


def test_it_says_what_is_free(world: World) -> None:
    fault = faults.filled(world, world.lab, [STORE])
    evidence = faults.inject(world, fault, guard=lambda *_: None)
    assert evidence.said == "fill c1/store: in effect"
    assert evidence.seen["c1/store"] == "0 of 256 MiB free"
    assert list(evidence.seen["moments"]) == ["c1/store"]
    healed = faults.heal(world, fault)
    assert healed.seen == {"c1/store": "running", "c1/store disk": "200 of 256 MiB free"}


def test_two_fill_and_the_last_gives_all_back(world: World) -> None:
    before = world.state()
    one, other = inject(world), inject(world)
    faults.heal(world, one)
    assert world.full == {KEEPER}
    faults.heal(world, other)
    assert world.state() == before


def test_whom_it_ends_runs_again_when_healed(world: World) -> None:
    before = world.state()
    fault = inject(world)
    world.end(CONTAINER, 14)
    faults.heal(world, fault)
    assert world.state() == before


def test_whom_another_fault_keeps_off_is_left_to_that(world: World) -> None:
    before = world.state()
    fault = inject(world)
    kill = faults.halt(world, world.lab, "kill", [STORE])
    faults.inject(world, kill, guard=lambda *_: None)
    faults.heal(world, fault)
    assert (world.full, world.status(CONTAINER)) == (set(), "exited")
    faults.heal(world, kill)
    assert world.state() == before


def test_a_disk_that_nobody_keeps_is_full_no_more(world: World) -> None:
    fault = inject(world)
    world.end(KEEPER)
    assert faults.heal(world, fault).seen == {"c1/store": "running"}


def test_a_filler_that_goes_on_is_found_out(world: World) -> None:
    fault = inject(world)
    world.broken = {"free"}
    with pytest.raises(LabError) as caught:
        faults.heal(world, fault)
    assert str(caught.value) == ("fill c1/store is healed, but something still fills c1/store")


def test_a_service_on_the_machines_disk_is_refused(tmp_path: Path) -> None:
    world = World(desired(tmp_path))
    with pytest.raises(InputError) as caught:
        faults.filled(world, world.lab, [STORE])
    assert str(caught.value) == (
        "store has the machine's disk in lab 'small'; bring up a topology that says disk: 256M "
        "under services.store"
    )
    with pytest.raises(InputError) as caught:
        faults.filled(world, world.lab, [Target("c1", "api")])
    assert str(caught.value) == "the disk of api cannot be filled; it can for store"


def test_what_is_not_the_disk_that_is_expected_is_never_filled(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["sh", "-c", fill._FILL, "fill", "4096", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{tmp_path} is on ")
    assert ran.stderr.endswith(", not on tmpfs 4096\n")
    assert list(tmp_path.iterdir()) == []
