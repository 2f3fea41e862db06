"""Faults on a lab in memory: proved, composed, undone, whenever labctl is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from labctl import faults
from labctl.errors import EngineError, InputError, LabError
from labctl.faults import Fault, Target, journal, kinds, outage, verbs
from labctl.faults.kind import Request
from labctl.faults.kinds import fill
from labctl.model.lab import Lab
from tests.unit.faults_world import KilledError, World
from tests.unit.labs import desired

CHANCE = Random(1)  # noqa: S311 - to repeat it
Build = Callable[[World], Fault]

KINDS: dict[str, Build] = {
    "kill instance": lambda w: faults.halt(w, w.lab, "kill", [Target("c1", "store")]),
    "stop instance": lambda w: faults.halt(w, w.lab, "stop", [Target("c1", "store")]),
    "pause instance": lambda w: faults.halt(w, w.lab, "pause", [Target("c1", "store")]),
    "kill node": lambda w: faults.halt(w, w.lab, "kill", [Target("c1"), Target("c2")]),
    "stop node": lambda w: faults.halt(w, w.lab, "stop", [Target("c1")]),
    "pause node": lambda w: faults.halt(w, w.lab, "pause", [Target("c1")]),
    "cut": lambda w: faults.cut(w.lab, [["c1"]]),
    "cut in": lambda w: faults.cut(w.lab, [["c1"]], direction="in"),
    "cut out": lambda w: faults.cut(w.lab, [["c1", "c2"]], direction="out"),
    "cut groups": lambda w: faults.cut(w.lab, [["c1"], ["c2"], ["c3"]]),
    "cut ring": lambda w: faults.shaped(w.lab, "ring", ["c1", "c2", "c3", "client"], CHANCE),
    "cut port": lambda w: faults.cut(w.lab, [["c1"]], only=3306),
    "blink": lambda w: faults.cut(w.lab, [["c1"]], lease=0.04),
    "loss": lambda w: faults.lossy(w.lab, [["c1"]], percent=20),
    "reject": lambda w: kinds.registered()["reject"].build(
        Request(w, w.lab, (Target("c1", "store"),), terms={"port": 3306}, lasts=60.0)
    ),
    "bandwidth": lambda w: faults.throttled(w.lab, [["c1"]], rate=10_000),
    "term": lambda w: faults.halt(w, w.lab, "term", [Target("c1", "store")]),
    "crash loop": lambda w: faults.halt(w, w.lab, "crash-loop", [Target("c1", "store")]),
    "delay": lambda w: faults.delayed(w, w.lab, ["c1", "c2"], by=0.1, jitter=0.02),
    "limit": lambda w: faults.limited(w, w.lab, [Target("c1", "store")], cpus=0.2, memory=9 << 20),
    "clock": lambda w: faults.clocked(w, w.lab, [Target("c1", "store")], by=-90),
    "fill": lambda w: faults.filled(w, w.lab, [Target("c1", "store"), Target("c2", "store")]),
    "action": lambda w: faults.act(w, w.lab, "doze", [Target("c1", "store")]),
}

OVER: dict[str, Build] = {
    "restart": lambda w: faults.halt(w, w.lab, "restart", [Target("c1", "store")]),
    "reboot": lambda w: faults.halt(w, w.lab, "reboot", [Target("c1")]),
}
"""Faults that leave the lab as it was when they are made."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_NOTICE", 0.2)
    monkeypatch.setattr(fill, "_FULL", 0.2)
    monkeypatch.setattr(fill, "_PACE", 1 << 40)
    monkeypatch.setattr("labctl.faults.degrade._PATIENCE", 0.2)
    monkeypatch.setattr("labctl.faults.kinds.clock.CACHED", 0.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(desired(tmp_path, fake_clock=True, disk="256M"))


@pytest.fixture
def lab(world: World) -> Lab:
    return world.lab


def inject(world: World, fault: Fault) -> Fault:
    faults.inject(world, fault, guard=lambda *_: None)
    return fault


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_changes_the_lab_and_healing_twice_restores_it(world: World, kind: str) -> None:
    before = world.state()
    fault = inject(world, KINDS[kind](world))
    assert world.state() != before
    assert [entry.state for entry in journal.entries(world.lab.name)] == ["active"]
    for healed_by in ("", "another command"):
        evidence = faults.heal(world, fault)
        assert (evidence.healed_by, evidence.overtaken) == (healed_by, {})
        assert evidence.said.endswith("nothing is left")
        assert world.state() == before
        assert faults.active(world.lab) == []


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("kill instance", {"c1/store"}),
        ("pause node", {"c1"}),
        ("kill node", {"c1", "c2"}),
        ("cut groups", {"c1", "c2", "c3"}),
        ("loss", {"c1", "c2", "c3", "client"}),
    ],
)
def test_evidence_says_when_each_target_was_hit(world: World, kind: str, targets: set[str]) -> None:
    seen = faults.inject(world, KINDS[kind](world), guard=lambda *_: None).seen
    moments = seen["moments"]
    assert moments.keys() == targets
    assert all(0 <= seconds < 10 for seconds in moments.values())


def killed_at_every_call(
    tmp_path: Path, make: Callable[[World], Fault], mend: Callable[[World, bool], None]
) -> None:
    """Make a fault again and again, labctl dying one call later each time; all is mended."""
    world = World(desired(tmp_path, fake_clock=True, disk="256M"))
    before, moment, died = world.state(), 0, True
    while died:
        fault = make(world)
        world.deaths, died = moment, False
        try:
            inject(world, fault)
        except KilledError:
            died = True
        world.deaths = None
        mend(world, died)
        assert world.state() == before, f"killed at call {moment}"
        moment += 1
    assert moment > 1


@pytest.mark.parametrize("kind", KINDS)
def test_labctl_killed_at_any_moment_leaves_nothing(tmp_path: Path, kind: str) -> None:
    def mend(world: World, died: bool) -> None:
        if died:
            faults.expire(world, world.lab)
        else:
            faults.heal_all(world, world.lab)
        assert faults.active(world.lab) == []

    killed_at_every_call(tmp_path, KINDS[kind], mend)


@pytest.mark.parametrize("kind", OVER)
def test_what_is_restarted_ended_first(world: World, kind: str) -> None:
    before = world.state()
    fault = OVER[kind](world)
    evidence = faults.inject(world, fault, guard=lambda *_: None)
    assert "exited" in [evidence.seen.get(f"{name} was") for name in ("c1", "c1/store")]
    assert world.state() == before
    faults.heal(world, fault)
    assert world.state() == before


@pytest.mark.parametrize("kind", OVER)
def test_a_restart_killed_at_any_moment_leaves_all_running(tmp_path: Path, kind: str) -> None:
    def mend(world: World, _: bool) -> None:
        faults.heal_all(world, world.lab)

    killed_at_every_call(tmp_path, OVER[kind], mend)


def test_a_crash_loop_goes_on_until_it_is_healed(world: World, lab: Lab) -> None:
    before = world.state()
    fault = inject(world, KINDS["crash loop"](world))
    seen = []
    for _ in range(4):
        verbs.next_turns(world, lab.name)
        seen.append(world.status("small-c1-store"))
    assert seen == ["running", "exited", "running", "exited"]
    assert faults.heal(world, fault).seen["kills"] == 4
    verbs.next_turns(world, lab.name)
    assert world.state() == before


def test_killed_between_journal_and_guardian(world: World, lab: Lab) -> None:
    def die(lab: str, url: str) -> None:
        raise KilledError

    before = world.state()
    with pytest.raises(KilledError):
        faults.inject(world, KINDS["kill node"](world), guard=die)
    assert [entry.state for entry in journal.entries(lab.name)] == ["injecting"]
    faults.expire(world, lab)
    assert world.state() == before
    assert faults.active(lab) == []


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_healing_the_next_one_finishes(tmp_path: Path, kind: str) -> None:
    world = World(desired(tmp_path, fake_clock=True, disk="256M"))
    before, moment, died = world.state(), 0, True
    while died:
        fault = inject(world, KINDS[kind](world))
        world.deaths, died = moment, False
        try:
            faults.heal(world, fault)
        except KilledError:
            died = True
        world.deaths = None
        faults.heal_all(world, world.lab)
        assert world.state() == before, f"killed at call {moment}"
        moment += 1
    assert moment > 1


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("kill instance", "kill"),
        ("kill node", "kill"),
        ("pause instance", "pause"),
        ("pause node", "pause"),
        ("crash loop", "kill"),
        ("term", "kill"),
        ("action", "doze"),
        ("limit", "limit"),
        ("delay", "tc"),
        ("clock", "date"),
        ("fill", "fill"),
        ("blink", "blink"),
        ("loss", "pings"),
        ("bandwidth", "pings"),
        ("cut port", "knock"),
    ],
)
def test_a_fault_that_does_nothing_is_found_out(world: World, kind: str, broken: str) -> None:
    before = world.state()
    world.broken = {broken}
    with pytest.raises(LabError, match="had no effect"):
        inject(world, KINDS[kind](world))
    assert world.state() == before
    assert faults.active(world.lab) == []


@pytest.mark.parametrize("kind", ["cut", "cut in", "cut out", "cut groups"])
def test_a_cut_on_fewer_nodes_than_asked_is_found_out(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = World._transaction

    def only_c1(self: World, space: object, text: str) -> None:
        if space is self.spaces["small-c1"] or text.count("\n") == 2:
            real(self, space, text)  # type: ignore[arg-type]

    monkeypatch.setattr(World, "_transaction", only_c1)
    with pytest.raises(LabError, match=r"had no effect|is not proved"):
        inject(world, KINDS[kind](world))
    assert faults.active(world.lab) == []


def test_a_healing_that_does_nothing_is_found_out(world: World, lab: Lab) -> None:
    fault = inject(world, KINDS["kill instance"](world))
    world.broken = {"start"}
    with pytest.raises(LabError) as caught:
        faults.heal(world, fault)
    assert str(caught.value) == (
        "kill c1/store is healed, but c1/store is exited with exit code 137; "
        "see `labctl logs c1/store`"
    )
    assert faults.active(lab)


def test_what_does_not_run_cannot_be_killed_again(world: World, lab: Lab) -> None:
    inject(world, KINDS["kill instance"](world))
    with pytest.raises(LabError) as caught:
        KINDS["kill instance"](world)
    assert str(caught.value) == "c1/store is not running, so there is nothing to kill"


def test_only_what_ran_is_started_again(world: World, lab: Lab) -> None:
    world.kill("small-c1-api")
    before = world.state()
    faults.heal(world, inject(world, KINDS["kill node"](world)))
    assert world.state() == before


def test_overlapping_cuts_are_healed_one_by_one(world: World, lab: Lab) -> None:
    before = world.state()
    first = inject(world, faults.cut(lab, [["c1"]]))
    second = inject(world, faults.cut(lab, [["c1", "c2"]]))
    faults.heal(world, first)
    assert [fault.id for fault in faults.active(lab)] == [second.id]
    assert list(world.spaces["small-c1"].tables) == [f"labctl_cut_{second.id}"]
    faults.heal(world, second)
    assert world.state() == before


def test_a_node_that_powers_on_during_a_cut_is_cut(world: World, lab: Lab) -> None:
    off = inject(world, faults.halt(world, lab, "kill", [Target("c1")]))
    cut = inject(world, faults.cut(lab, [["client"]]))
    faults.heal(world, off)
    assert list(world.spaces["small-c1"].tables) == [f"labctl_cut_{cut.id}"]


def test_an_instance_of_a_dead_node_comes_back_with_it(world: World, lab: Lab) -> None:
    before = world.state()
    instance = inject(world, KINDS["kill instance"](world))
    node = inject(world, faults.halt(world, lab, "kill", [Target("c1")]))
    faults.heal(world, instance)
    assert world.status("small-c1-store") == "exited"
    faults.heal(world, node)
    assert world.state() == before


def test_start_frees_what_it_starts_from_its_fault(world: World, lab: Lab) -> None:
    before = world.state()
    targets = [Target("c1", "store"), Target("c2", "store")]
    fault = inject(world, faults.halt(world, lab, "kill", targets))
    faults.start(world, lab, [Target("c1", "store")])
    assert [f.title for f in faults.active(lab)] == ["kill c2/store"]
    faults.heal(world, fault)
    assert world.state() == before


def test_start_of_an_instance_whose_node_is_off(world: World, lab: Lab) -> None:
    inject(world, faults.halt(world, lab, "kill", [Target("c1")]))
    with pytest.raises(LabError) as caught:
        faults.start(world, lab, [Target("c1", "api")])
    assert str(caught.value) == "c1/api cannot run while c1 is off"


def test_unpause_ends_the_freeze(world: World, lab: Lab) -> None:
    before = world.state()
    inject(world, KINDS["pause node"](world))
    faults.unpause(world, lab, [Target("c1")])
    assert world.state() == before
    assert faults.active(lab) == []


def test_only_lapsed_faults_expire(world: World, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    short = inject(world, faults.halt(world, lab, "kill", [Target("c1", "api")], lease=60))
    long = inject(world, faults.halt(world, lab, "kill", [Target("c2", "api")], lease=600))
    assert faults.expire(world, lab).done == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert [evidence.fault for evidence in faults.expire(world, lab).done] == [short.id]
    assert [fault.id for fault in faults.active(lab)] == [long.id]


def test_expire_asks_the_engine_nothing_when_there_is_no_fault(world: World, lab: Lab) -> None:
    world.calls.clear()
    assert faults.expire(world, lab).done == []
    assert faults.heal_all(world, lab).done == []
    assert world.calls == []


def test_expire_keeps_out_of_the_way_of_another_process(world: World, lab: Lab) -> None:
    inject(world, faults.halt(world, lab, "kill", [Target("c1", "api")], lease=1))
    with journal.exclusive(lab.name):
        assert faults.expire(world, lab).done == []


def test_heal_all_sweeps_what_no_journal_knows(world: World, lab: Lab) -> None:
    inject(world, KINDS["cut"](world))
    faults.forget(lab.name)
    faults.heal_all(world, lab)
    assert world.spaces["small-c1"].tables
    faults.heal_all(world, lab, sweep=True)
    assert not any(space.tables for space in world.spaces.values())


def test_what_faults_have_ended_can_be_left_to_who_starts_it_in_order(
    world: World, lab: Lab
) -> None:
    """A crash loop is undone all the same: it would end again what is started."""
    inject(world, faults.halt(world, lab, "crash-loop", [Target("c2", "store")]))
    for name in ("kill instance", "cut"):
        inject(world, KINDS[name](world))
    healed = verbs.heal_all(world, lab, ended=False)
    assert len(healed.done) == 2
    assert [entry.fault.kind for entry in journal.entries(lab.name)] == ["kill"]


def test_heal_all_tries_everything_before_it_fails(world: World, lab: Lab) -> None:
    inject(world, faults.halt(world, lab, "kill", [Target("c1", "api")]))
    inject(world, faults.halt(world, lab, "kill", [Target("c2", "api")]))
    world.failures["start", "small-c1-api"] = EngineError("no")
    healing = faults.heal_all(world, lab)
    assert [*healing.left.values()] == ["kill c1/api is not undone: no"]
    with pytest.raises(LabError, match="kill c1/api is not undone: no"):
        healing.check()
    assert world.status("small-c2-api") == "running"
    assert [fault.title for fault in faults.active(lab)] == ["kill c1/api"]


def test_a_lab_that_is_gone_needs_no_healing(world: World, lab: Lab) -> None:
    inject(world, KINDS["kill node"](world))
    for container in world.containers():
        world.remove(container.name)
    faults.heal_all(world, lab)
    assert faults.active(lab) == []


@pytest.mark.parametrize(
    ("groups", "direction", "message"),
    [
        ([], "both", "a cut needs nodes on both sides: name some of them, but not all"),
        (
            [["c1", "c2", "c3", "client"]],
            "both",
            "a cut needs nodes on both sides: name some of them, but not all",
        ),
        ([["c1"], ["c1"]], "both", "node c1 is in two groups of the cut: name it once"),
        (
            [["c9"]],
            "both",
            "there is no node 'c9' in lab 'small': c1, c2, c3 and client",
        ),
        (
            [["c1"], ["c2"], ["c3"]],
            "in",
            "a one-way cut is between two groups: name one group or two",
        ),
    ],
)
def test_cuts_that_make_no_sense(lab: Lab, groups: object, direction: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        faults.cut(lab, groups, direction=direction)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_only_whole_nodes_are_rebooted(world: World, lab: Lab) -> None:
    with pytest.raises(InputError) as caught:
        faults.halt(world, lab, "reboot", [Target("c1", "store")])
    assert str(caught.value) == (
        "only a whole node can be rebooted: name a node, or restart the instance"
    )


def test_an_action_that_nobody_declares(world: World, lab: Lab) -> None:
    with pytest.raises(InputError) as caught:
        faults.act(world, lab, "sing", [Target("c1", "store")])
    assert str(caught.value) == "c1/store has no action 'sing': it has doze"
    with pytest.raises(InputError) as caught:
        faults.act(world, lab, "sing", [Target("c1", "api")])
    assert str(caught.value) == "c1/api has no action 'sing': it has none"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda lab: faults.cut(lab, [["c1"]], only=0),
            "a cut is of all traffic, of vrrp or of a port, not of '0'",
        ),
        (
            lambda lab: faults.cut(lab, [["c1"]], only=53, lease=0.1),
            "a cut of less than a second is of all traffic, not of one port",
        ),
        (
            lambda lab: faults.lossy(lab, [["c1"]], percent=100),
            "a loss is between 1 and 99 percent of the frames, not 100",
        ),
        (
            lambda lab: faults.throttled(lab, [["c1"]], rate=10),
            "a bandwidth is between 1000 and 10000000 bytes per second",
        ),
        (
            lambda lab: faults.shaped(lab, "ring", ["c1", "c2", "c3"], CHANCE),
            "a ring needs 4 nodes, but there are only c1, c2 and c3",
        ),
        (
            lambda lab: faults.shaped(lab, "star", ["c1", "c2"], CHANCE),
            "there is no shape 'star' of a cut: majority, minority, bridge, ring",
        ),
    ],
)
def test_faults_on_the_wire_that_make_no_sense(
    lab: Lab, make: Callable[[Lab], Fault], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        make(lab)
    assert str(caught.value) == message


def test_nodes_and_instances_do_not_mix(world: World, lab: Lab) -> None:
    with pytest.raises(InputError, match="name nodes or instances to kill, not both at once"):
        faults.halt(world, lab, "kill", [Target("c1"), Target("c2", "api")])


def test_a_lease_has_limits(lab: Lab) -> None:
    with pytest.raises(InputError, match=r"a fault lasts between 0\.001 s and 7 days, not 0 s"):
        faults.cut(lab, [["c1"]], lease=0)
