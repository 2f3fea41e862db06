"""Clocks of instances on a lab in memory: set, composed, proved, right again; and who has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl import faults
from labctl.errors import InputError, LabError
from labctl.faults import Fault, Target
from labctl.model.clock import FILE
from labctl.planning.desired import Desired
from labctl.planning.plan import make_plan
from labctl.planning.steps import Observed
from tests.unit.faults_world import World
from tests.unit.labs import desired

STORE, CONTAINER = Target("c1", "store"), "small-c1-store"


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("labctl.faults.kinds.clock.CACHED", 0.0)


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path, fake_clock=True)


@pytest.fixture
def world(wanted: Desired) -> World:
    return World(wanted)


def inject(world: World, by: float) -> Fault:
    fault = faults.clocked(world, world.lab, [STORE], by=by)
    faults.inject(world, fault, guard=lambda *_: None)
    return fault


def test_the_time_is_asked_for_where_it_was_set(world: World) -> None:
    fault = faults.clocked(world, world.lab, [STORE], by=90)
    evidence = faults.inject(world, fault, guard=lambda *_: None)
    assert evidence.said == "clock c1/store (+90 s): in effect"
    assert evidence.seen == {"c1/store": "off by +90.0 s"}
    assert world.read_file(CONTAINER, FILE) == b"+90\n"
    assert faults.heal(world, fault).seen == {"c1/store": "off by +0.0 s"}
    assert world.read_file(CONTAINER, FILE) == b"+0\n"


def test_the_newest_counts(world: World) -> None:
    before = world.state()
    ahead, behind = inject(world, 90), inject(world, -3600)
    assert world.offset(CONTAINER) == -3600
    faults.heal(world, ahead)
    assert world.offset(CONTAINER) == -3600
    faults.heal(world, behind)
    assert world.state() == before


def test_who_died_meanwhile_has_the_right_time_when_it_starts(world: World) -> None:
    before = world.state()
    fault = inject(world, 90)
    kill = faults.halt(world, world.lab, "kill", [STORE])
    faults.inject(world, kill, guard=lambda *_: None)
    assert faults.heal(world, fault).seen == {}
    faults.heal(world, kill)
    assert world.state() == before


def test_a_process_without_the_library_is_found_out(world: World) -> None:
    world.preloaded = 0
    with pytest.raises(LabError) as caught:
        inject(world, 90)
    assert str(caught.value) == "clock c1/store (+90 s): c1/store does not run under libfaketime"


def test_a_clock_that_stays_off_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = inject(world, 90)
    monkeypatch.setattr(world, "put_files", lambda *_: None)
    with pytest.raises(LabError) as caught:
        faults.heal(world, fault)
    assert str(caught.value) == (
        "clock c1/store (+90 s) is healed, but /etc/labctl/clock in c1/store is not that of +0 s"
    )
    monkeypatch.undo()
    monkeypatch.setattr(World, "offset", lambda *_: 90.0)
    assert world.read_file(CONTAINER, FILE) == b"+90\n"


@pytest.mark.parametrize(
    ("target", "by", "message"),
    [
        (STORE, 1, "a clock is off by between 5 s and 366 days, not by +1 s"),
        (
            Target("c1", "api"),
            90,
            "the clock of api cannot be changed; it can for store",
        ),
        (Target("c1"), 90, "c1 is a node: name instances of it, as NODE/SERVICE"),
    ],
)
def test_clocks_that_cannot_be_set(world: World, target: Target, by: float, message: str) -> None:
    with pytest.raises(InputError) as caught:
        faults.clocked(world, world.lab, [target], by=by)
    assert str(caught.value) == message


def test_a_lab_that_did_not_ask_for_it_has_no_library(tmp_path: Path) -> None:
    world = World(desired(tmp_path))
    unit = desired(tmp_path).instances["c1/store"]
    assert (unit.spec.image, dict(unit.spec.environment)) == ("database:1", {})
    assert FILE not in [file.path for file in unit.files]
    with pytest.raises(InputError) as caught:
        faults.clocked(world, world.lab, [STORE], by=90)
    assert str(caught.value) == (
        "store has the machine's clock in lab 'small'; bring up a topology that says fake_clock: "
        "true under services.store"
    )


def test_a_lab_that_asked_for_it_runs_in_the_image_with_the_library(wanted: Desired) -> None:
    unit = wanted.instances["c1/store"]
    assert unit.spec.image == "database-clock:1"
    assert unit.spec.environment["LD_PRELOAD"] == "/usr/$LIB/faketime/libfaketimeMT.so.1"
    assert [file.data for file in unit.files if file.path == FILE] == [b"+0\n"]
    made = make_plan(wanted, Observed())
    assert "image:database-clock" in made.steps["start:c1/store"].needs
