"""The lab as a whole: names, addresses and room are checked before anything is touched."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from labctl.engine.port import LABEL, Network
from labctl.errors import EngineError, InputError, LabError, SubnetTakenError
from labctl.planning import fit
from labctl.planning.steps import Plan, Step
from labctl.resolve import request
from labctl.running import lifecycle
from labctl.running.probe import Answer
from labctl.state import store
from tests.fakes.engine import INFO, FakeEngine


class Quiet:
    def planned(self, plan: Plan) -> None: ...
    def started(self, step: Step) -> None: ...
    def done(self, step: Step, seconds: float) -> None: ...
    def note(self, text: str) -> None: ...
    def answer(self, name: str, answer: Answer) -> None: ...


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    return tmp_path


def record(topology: str = "single", **asked: object) -> store.Record:
    return request.request_record(request.Request(topology, **asked), list)  # type: ignore[arg-type]


def test_the_first_free_subnet() -> None:
    taken = ["198.18.0.0/24", "198.18.1.0/30", "172.17.0.0/16"]
    assert request.free_subnet(taken, "mine") == IPv4Network("198.18.2.0/24")


def test_recorded_labs_keep_their_subnet() -> None:
    store.save(record())
    assert request.free_subnet([], "mine") == IPv4Network("198.18.1.0/24")
    assert request.free_subnet([], "single") == IPv4Network("198.18.0.0/24")
    again = request.request_record(request.Request("single"), lambda: ["198.18.0.0/24"])
    assert again.subnet == IPv4Network("198.18.0.0/24")


def test_the_subnet_asked_for_wins() -> None:
    made = record(subnet=IPv4Network("198.19.3.0/24"))
    assert lifecycle.prepare(made).lab.vip == "198.19.3.250"


def test_a_name_of_another_topology_is_taken() -> None:
    store.save(record(name="mine"))
    with pytest.raises(InputError, match="the name 'mine' is taken by a lab of topology 'single'"):
        record("three-controller", name="mine")


def test_a_record_comes_back_as_it_was() -> None:
    made = record(name="mine")
    store.save(made)
    back = store.load("mine")
    assert (back.name, back.subnet, back.topology) == (made.name, made.subnet, made.topology)


def refused(
    engine: FakeEngine, kind: type[Exception], home: Path, subnet: IPv4Network | None = None
) -> str:
    """What ``up`` says, and that it has touched nothing."""
    prepared = lifecycle.prepare(record(subnet=subnet))
    with pytest.raises(kind) as raised:
        lifecycle.up(engine, prepared, Quiet())
    assert not engine.calls
    assert not (home / "labs").exists()
    return str(raised.value)


REMAPS = (
    "Docker 28.2 remaps users (userns-remap), so no container can create a lab's link: "
    "run labs on an engine without userns-remap (see /etc/docker/daemon.json)"
)


def test_an_engine_on_which_no_lab_can_run(home: Path) -> None:
    engine = FakeEngine(info=replace(INFO, version="28.2", remapped=True))
    assert refused(engine, EngineError, home) == REMAPS
    old = FakeEngine(info=replace(INFO, version="19.03"))
    assert refused(old, EngineError, home) == "Docker 19.03 is too old: install 20.10 or later"


def test_too_little_memory(home: Path) -> None:
    said = refused(FakeEngine(info=replace(INFO, memory=100 << 20)), EngineError, home)
    assert said.startswith("topology 'single', profile support, needs ")
    assert said.endswith(" GiB of memory and 0.1 GiB is available: no profile of it fits")


def test_too_little_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "DISK_SPARE", 1 << 60)
    said = refused(FakeEngine(info=replace(INFO, root_dir=str(home))), EngineError, home)
    assert f" GiB is free in {home}: no profile of it fits" in said


def test_a_subnet_that_the_engine_uses(home: Path) -> None:
    engine = FakeEngine()
    engine.create_network(Network("other", "198.18.0.0/23", "x", {LABEL: "other"}))
    engine.calls.clear()
    said = refused(engine, SubnetTakenError, home, IPv4Network("198.18.0.0/24"))
    assert said == (
        "the subnet 198.18.0.0/24 is taken on this engine (by 198.18.0.0/23): "
        "choose another with --subnet"
    )


def test_somebody_elses_lab_of_that_name(home: Path) -> None:
    engine = FakeEngine()
    engine.create_network(Network("single-net", "198.18.0.0/24", "x", {LABEL: "single"}))
    engine.calls.clear()
    assert "but its secrets are not in" in refused(engine, EngineError, home)


def _hold(name: str, ready: object, go: object) -> None:
    with store.lock(name):
        ready.set()  # type: ignore[attr-defined]
        go.wait()  # type: ignore[attr-defined]


def test_the_lock_names_who_has_it() -> None:
    context = multiprocessing.get_context("fork")
    ready, go = context.Event(), context.Event()
    other = context.Process(target=_hold, args=("x", ready, go))
    other.start()
    ready.wait()
    try:
        with pytest.raises(LabError) as raised, store.lock("x"):
            pass
    finally:
        go.set()
        other.join()
    assert str(raised.value) == (
        f"another labctl (process {other.pid}) is working on lab 'x': wait until it ends"
    )
    with store.lock("x"):
        pass


def test_what_is_forgotten_and_what_stays(home: Path) -> None:
    made = record(name="mine")
    store.save(made)
    store.write_user_files(made, {"clouds.yaml": b"x"})
    assert (made.directory / "clouds.yaml").stat().st_mode & 0o777 == 0o600
    (made.directory / store.REPORTS).mkdir()
    (made.directory / store.REPORTS / "one.json").write_text("{}")
    store.forget("mine")
    assert [p.name for p in made.directory.iterdir()] == ["reports"]
