"""Whatever has become of a lab and its journal of faults, every command works.

The invariant, for any sequence of {a fault is made, the engine is restarted, a node is switched
off or on by hand, a container is removed by others, a lease ends, a file of the journal is
damaged}:

* every command that looks succeeds and changes nothing,
* ``heal`` leaves an empty journal, or says one sentence for each fault that is still there,
* ``up`` makes the lab what it should be,
* ``down`` leaves nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command
from typer.testing import CliRunner, Result

from labctl import faults
from labctl.cli.commands import _app as app
from labctl.documents.source import Source
from labctl.engine import choose
from labctl.engine.link import link_names
from labctl.engine.port import ContainerSpec, ExecResult
from labctl.errors import EngineError, LabctlError
from labctl.faults import Target, journal, outage
from labctl.faults.kinds import fill
from labctl.model.topology import TopologyDoc
from labctl.planning.desired import Desired
from labctl.planning.plan import make_plan
from labctl.running import lifecycle, records
from labctl.running.lifecycle import Prepared
from labctl.running.observe import observe
from labctl.running.probe import PROBER
from labctl.state import store
from tests.fakes import programs
from tests.fakes.engine import FakeEngine
from tests.unit.faults_world import World
from tests.unit.labs import desired
from tests.unit.test_execute import Prober

Act = Callable[["Place"], None]


class Place(World):
    """The small lab as a person meets it: with jobs done, a link, a prober, and a record."""

    def __init__(self, wanted: Desired) -> None:
        super().__init__(wanted)
        self._main = self._main_of
        for role, tag in wanted.images.items():
            self.add_image(tag, {"labctl.image": role})
        self.create_network(wanted.network)
        parent, host_end = wanted.link
        self.links |= dict.fromkeys((parent, host_end), "labctl:small")
        for unit in wanted.jobs.values():
            self.create(unit.spec)
            super().start(unit.spec.name)
        self.remove_volume(wanted.lab.records_volume)
        self.create_volume(wanted.lab.records_volume, {"labctl.lab": "small"})
        for job in wanted.jobs:
            records.add(self, wanted, job)
        for instance in wanted.instances.values():
            for mount in instance.spec.volumes:
                self.remove_volume(mount.volume)
                self.create_volume(mount.volume, {"labctl.lab": "small"})
        self.wanted, self.now = wanted, 1_700_000_000.0
        topology = {"name": "small", "description": "d", "nodes": {"c1": {"roles": ["r"]}}}
        topology |= {"roles": {"r": ["store"]}}
        doc = TopologyDoc.model_validate(topology)
        record = store.Record("small", IPv4Network("198.18.9.0/24"), doc, Source("small", {}))
        self.prepared = Prepared(record, wanted, {})
        store.save(record)

    def _main_of(self, engine: FakeEngine, spec: ContainerSpec) -> programs.Main:
        if spec.labels.get("labctl.kind") == "job":
            return programs.Main(0)
        if spec.command == ("position",):
            return programs.Main(0, "one:7\n")
        return programs.main(engine, spec)

    def exec_stream(self, name: str, command: Sequence[str], **_: Any) -> Prober:  # type: ignore[override]
        return Prober(self, name)  # type: ignore[arg-type]

    def answers(self, probe: str) -> bool:
        node, _, service = probe.partition("/")
        names = [f"small-{node}-{service}"]
        if node == "vip":
            names = [f"small-c{n}-{service}" for n in (1, 2, 3)]
        return any(c.name in names and c.status == "running" for c in self.containers("small"))

    def _act(self, container: str, command: Sequence[str]) -> ExecResult:
        if command[0] != PROBER:
            return super()._act(container, command)
        spec = json.loads(self.read_file(container, command[1]) or b"{}")
        names = [probe["id"] for probe in spec["probes"]]
        probes = {name: {"ready": self.answers(name), "detail": "asked"} for name in names}
        return ExecResult(0, json.dumps({"probes": probes, "clusters": {}, "vip": {}}), "")

    def journalled(self) -> dict[str, bytes]:
        """Every file beside the locks: what no command that looks may change."""
        folder = journal.directory("small")
        return {p.name: p.read_bytes() for p in folder.glob("*") if "lock" not in p.name}

    def say(self, *words: str) -> Result:
        """What a command about the only lab comes to; a defect of labctl is raised."""
        result = CliRunner().invoke(app, words)
        error = result.exception
        if error is not None and not isinstance(error, SystemExit | LabctlError):
            raise error
        return result


# what may happen


def make(build: Callable[[Place], faults.Fault]) -> Act:
    """A fault is made, if it can be now."""

    def act(place: Place) -> None:
        try:
            faults.inject(place, build(place), guard=lambda *_: None)
        except LabctlError:
            return  # its target does not run, or nobody is there to see it

    return act


def engine_restarted(place: Place) -> None:
    for container in place.containers("small"):
        place.end(container.name, 255)


def off(node: str) -> Act:
    """The holder ends: its tenants go on, in a network that is no more."""

    def act(place: Place) -> None:
        if f"small-{node}" in place._boxes:
            place.end(f"small-{node}", 137)

    return act


def on(name: str) -> Act:
    """A container is started by hand, if it is there and what it stands on runs."""

    def act(place: Place) -> None:
        if name in place._boxes:
            with suppress(LabctlError):
                place.start(name)

    return act


def removed(name: str) -> Act:
    return lambda place: place.remove(name)


def later(place: Place) -> None:
    place.now += 400


def damaged(how: Callable[[bytes], bytes]) -> Act:
    def act(place: Place) -> None:
        for path in sorted(journal.directory("small").glob("*.json"))[:1]:
            path.write_bytes(how(path.read_bytes()))

    return act


def _newer(text: bytes) -> bytes:
    return text.replace(b'"version": 1', b'"version": 2')


def _altered(text: bytes) -> bytes:
    return text.replace(b"small-c1", b"small-c9").replace(b'"state": "active"', b'"state": 7')


STORES = [Target("c1", "store"), Target("c2", "store")]
KINDS: dict[str, Callable[[Place], faults.Fault]] = {
    "kill instance": lambda w: faults.halt(w, w.lab, "kill", STORES[:1], lease=300),
    "kill two": lambda w: faults.halt(w, w.lab, "kill", STORES, lease=300),
    "term": lambda w: faults.halt(w, w.lab, "term", STORES[1:], lease=300),
    "pause": lambda w: faults.halt(w, w.lab, "pause", STORES[:1], lease=300),
    "crash loop": lambda w: faults.halt(w, w.lab, "crash-loop", [Target("c1", "api")], lease=300),
    "kill node": lambda w: faults.halt(w, w.lab, "kill", [Target("c1")], lease=300),
    "pause node": lambda w: faults.halt(w, w.lab, "pause", [Target("c2")], lease=300),
    "cut": lambda w: faults.cut(w.lab, [["c1"]], lease=300),
    "loss": lambda w: faults.lossy(w.lab, [["c2"]], percent=20, lease=300),
    "delay": lambda w: faults.delayed(w, w.lab, ["c1"], by=0.1, jitter=0.02, lease=300),
    "limit": lambda w: faults.limited(w, w.lab, STORES, cpus=0.2, memory=9 << 20, lease=300),
    "clock": lambda w: faults.clocked(w, w.lab, STORES[:1], by=-90, lease=300),
    "fill": lambda w: faults.filled(w, w.lab, STORES[:1], lease=300),
    "action": lambda w: faults.act(w, w.lab, "doze", STORES[1:], lease=300),
}
ACTS: dict[str, Act] = {
    **{name: make(build) for name, build in KINDS.items()},
    "engine restarted": engine_restarted,
    **{f"{node} off": off(node) for node in ("c1", "c2", "client")},
    **{f"{node} on": on(f"small-{node}") for node in ("c1", "c2", "client")},
    "c1/store started": on("small-c1-store"),
    "c1/store removed": removed("small-c1-store"),
    "c1 removed": removed("small-c1"),
    "lease over": later,
    "file empty": damaged(lambda _: b""),
    "file cut short": damaged(lambda text: text[: len(text) // 2]),
    "file altered": damaged(_altered),
    "file of a newer version": damaged(_newer),
}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desired]:
    """What the lab should be, with nobody patient about it."""
    command = get_command(app)
    with pytest.MonkeyPatch.context() as patch:
        # Made anew for each invocation, the whole tree of commands takes longer than all the rest.
        patch.setattr("typer.testing._get_command", lambda _: command)
        patch.setattr(outage, "_NOTICE", 0.05)
        patch.setattr(fill, "_FULL", 0.05)
        patch.setattr(fill, "_PACE", 1 << 40)
        patch.setattr("labctl.faults.degrade._PATIENCE", 0.05)
        patch.setattr("labctl.faults.kinds.clock.CACHED", 0.0)
        patch.setattr("labctl.running.observe._REJOIN_SECONDS", 0.0)
        lab = desired(tmp_path_factory.mktemp("small"), fake_clock=True, disk="256M")
        yield replace(lab, link=link_names("small"))


def at_work(wanted: Desired, acts: Sequence[str], check: Callable[[Place], None]) -> None:
    """Let things happen to a lab, then check."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABCTL_HOME", f"{folder}/home")
        place = Place(wanted)
        patch.setattr(time, "time", lambda: place.now)
        patch.setattr(choose, "connect", lambda _: place)
        patch.setattr(lifecycle, "prepare", lambda *_: place.prepared)
        patch.setattr("labctl.benchmark.metering.weigh", lambda *_: None)
        for act in acts:
            ACTS[act](place)
        check(place)


sequences = st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=6)
LOOKS = [
    ("status",),
    ("status", "--json"),
    ("plan", "--json"),
    ("logs", "c3/api"),
    ("exec", "c3", "--", "ip", "-j", "-4", "address", "show", "dev", "eth0"),
]


def looking_changes_nothing(place: Place) -> None:
    before, files = place.state(), place.journalled()
    alive = place.state()["small-c3"] == "running"
    for words in LOOKS:
        # An engine refuses to look into what does not run; a lab that is degraded says 1.
        result = place.say(*words)
        assert result.exit_code == 0 or words[0] == "status" or not alive, (words, result)
        assert (place.state(), place.journalled()) == (before, files), words
    entries, unread = journal.read("small")
    said = json.loads(place.say("status", "--json").stdout)
    assert [(f["fault"], f["overdue"]) for f in said["faults"]] == [
        (entry.fault.title, entry.fault.due <= place.now) for entry in entries
    ]
    assert len(said["journal"]) == len(unread)


def healing_closes_or_says(place: Place) -> None:
    count = len(journal.entries("small"))
    result = place.say("heal", "--json")
    left = journal.entries("small")
    healed = json.loads(result.stdout)
    assert len(healed) + len(left) == count
    for entry in left:
        assert entry.fault.title in result.stderr
    assert result.exit_code == (1 if left else 0), result.stderr
    assert not left, result.stderr  # nothing of the fake engine's refuses to be undone


def up_reaches_the_desired_state(place: Place) -> None:
    result = place.say("up")
    assert result.exit_code == 0, (result.output, result.exception)
    assert make_plan(place.wanted, observe(place, place.wanted)).steps == {}
    assert journal.entries("small") == []
    said = json.loads(place.say("status", "--json").stdout)
    assert said["faults"] == []
    assert all(each["ready"] for node in said["nodes"] for each in node["instances"])
    assert all(said["jobs"].values())


def down_leaves_nothing(place: Place) -> None:
    assert place.say("down").exit_code == 0
    assert not (place.containers("small") or place.networks("small") or place.volumes("small"))
    assert not place.links
    assert not store.names()


CHECKS = [
    looking_changes_nothing,
    healing_closes_or_says,
    up_reaches_the_desired_state,
    down_leaves_nothing,
]


@pytest.mark.parametrize("check", CHECKS)
@settings(max_examples=25, deadline=None)
@given(acts=sequences)
def test_every_command_works_with_any_journal(
    wanted: Desired, check: Callable[[Place], None], acts: list[str]
) -> None:
    at_work(wanted, acts, check)


def test_what_is_overdue_is_said_apart_from_what_was_asked_for(wanted: Desired) -> None:
    said = "labctl: kill c1/store is overdue: `labctl heal` undoes it\n"

    def check(place: Place) -> None:
        for words in (("logs", "c3/api"), ("exec", "c3", "--", "nft", "-f", "-"), ("plan",)):
            assert place.say(*words).stderr == said, words
        assert place.say("status").stderr == ""
        seen = json.loads(place.say("status", "--json").stdout)["faults"]
        assert seen == [
            {"fault": "kill c1/store", "due": "2023-11-14T22:18:20+00:00", "overdue": True}
        ]
        lines = place.say("status").stdout.splitlines()
        since = "overdue since 2023-11-14T22:18:20+00:00; `labctl heal` undoes it"
        assert f"fault: kill c1/store, {since}" in lines

    at_work(wanted, ["kill instance", "lease over"], check)


def test_who_makes_a_fault_has_what_is_overdue_undone(wanted: Desired) -> None:
    def check(place: Place) -> None:
        result = place.say("pause", "c3/store", "--for", "60s")
        assert result.exit_code == 0
        assert result.stderr == "labctl: kill c1/store: healed, nothing is left\n"
        assert [f.title for f in faults.active(place.lab)] == ["pause c3/store"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labctl.faults.lease.spawn_detached", lambda *_, **__: None)
        at_work(wanted, ["kill instance", "lease over"], check)


@pytest.mark.parametrize("damage", ["file empty", "file of a newer version"])
@pytest.mark.parametrize("command", ["heal", "up"])
def test_a_cut_that_nobody_can_read_is_in_no_ones_way(
    wanted: Desired, damage: str, command: str
) -> None:
    def check(place: Place) -> None:
        assert place.say(command).exit_code == 0
        assert journal.entries("small") == []
        assert not any(space.tables for space in place.spaces.values())

    at_work(wanted, ["cut", damage, "loss", "delay"], check)


def test_heal_says_what_is_left_and_undoes_the_rest(wanted: Desired) -> None:
    def check(place: Place) -> None:
        place.failures["start", "small-c1-store"] = EngineError("cannot start it")
        result = place.say("heal")
        assert result.exit_code == 1
        assert result.stdout == "cut c1 | c2 c3 client: healed, nothing is left\n"
        assert result.stderr == "labctl: kill c1/store is not undone: cannot start it\n"

    at_work(wanted, ["kill instance", "cut"], check)


def test_up_says_what_was_overtaken(wanted: Desired) -> None:
    def check(place: Place) -> None:
        said = "kill c1/store: healed, nothing is left (overtaken: c1/store: c1 is off)"
        assert said in place.say("up").output

    at_work(wanted, ["kill instance", "engine restarted"], check)
