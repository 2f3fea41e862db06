"""An active/passive service moved: one instance at a time, and nothing else is touched."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from labctl.documents.source import Source
from labctl.errors import InputError, LabError
from labctl.model.topology import TopologyDoc
from labctl.planning.desired import build_desired
from labctl.planning.plan import make_plan
from labctl.planning.render import Renderer
from labctl.planning.steps import Observed
from labctl.resolve.resolution import resolve
from labctl.running import lifecycle, moving
from labctl.running.execute import Executor
from labctl.running.observe import observe
from labctl.state import store
from tests.unit.labs import IMAGES, USERS, service
from tests.unit.test_execute import LabEngine, Recorder

CATALOGUE = {
    "api": service(ready={"tcp": {"port": 80}}),
    "volume": service(
        active="one",
        needs=["api"],
        jobs=[{"name": "schema", "description": "d", "when": "before", "command": ["make"]}],
    ),
    "toolbox": service(image="client", user="lab"),
}
TOPOLOGY = TopologyDoc.model_validate(
    {
        "name": "small",
        "description": "d",
        "nodes": {n: {"roles": ["controller"]} for n in ("c1", "c2", "c3")}
        | {"client": {"roles": ["client"]}},
        "roles": {"controller": ["api", "volume"], "client": ["toolbox"]},
    }
)
SUBNET = IPv4Network("198.18.9.0/24")


def prepare(record: store.Record, *_: object) -> lifecycle.Prepared:
    made = resolve(record.topology, CATALOGUE, subnet=record.subnet, placed=record.placed)
    wanted = build_desired(made, Renderer(made, {}, USERS, Path()), IMAGES, ("lp", "lh"))
    return lifecycle.Prepared(record, wanted, {})


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabEngine:
    """An engine on which the lab is up."""
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    monkeypatch.setattr(moving, "prepare", prepare)
    engine = LabEngine()
    record = store.Record("small", SUBNET, TOPOLOGY, Source("x.yml", {}))
    store.save(record)
    up(engine)
    engine.calls.clear()
    return engine


def up(engine: LabEngine) -> None:
    wanted = prepare(store.load("small")).desired
    plan = make_plan(wanted, observe(engine, wanted))
    Executor(engine, wanted, plan, (), Recorder()).run()


def move(engine: LabEngine, name: str, node: str) -> bool:
    return moving.move(engine, prepare(store.load("small")), name, node, Recorder())


def status(engine: LabEngine) -> dict[str, str]:
    return {c.name: c.status for c in engine.containers("small") if "volume" in c.name}


SCHEMA = {"small-c1-volume-schema": "exited"}


def test_it_stops_before_it_starts_elsewhere(fake: LabEngine) -> None:
    assert status(fake) == {"small-c1-volume": "running", **SCHEMA}
    assert move(fake, "volume", "c2")
    assert status(fake) == {"small-c2-volume": "running", **SCHEMA}
    done = [call for call in fake.calls if call[0] in ("stop", "remove", "start")]
    assert done == [
        ("stop", "small-c1-volume"),
        ("remove", "small-c1-volume"),
        ("start", "small-c2-volume"),
    ]
    up(fake)
    assert status(fake) == {"small-c2-volume": "running", **SCHEMA}


def test_there_already_is_nothing_to_do(fake: LabEngine) -> None:
    assert not move(fake, "volume", "c1")
    assert move(fake, "volume", "c3")
    fake.calls.clear()
    assert not move(fake, "volume", "c3")
    assert {call for call, _ in fake.calls} <= {"put_files", "exec"}  # it is asked, not touched


def test_a_dead_node_is_no_obstacle_and_stays_dead(fake: LabEngine) -> None:
    for container in fake.containers("small"):
        if container.name.startswith("small-c1"):
            fake.kill(container.name)
    assert move(fake, "volume", "c2")
    assert status(fake) == {"small-c2-volume": "running", **SCHEMA}
    there = {c.name: c.status for c in fake.containers("small")}
    assert there["small-c1"] == there["small-c1-api"] == "exited"


def test_what_was_cut_short_is_finished(fake: LabEngine) -> None:
    assert move(fake, "volume", "c2")
    fake.remove("small-c2-volume")
    assert move(fake, "volume", "c2")
    assert status(fake) == {"small-c2-volume": "running", **SCHEMA}


@pytest.mark.parametrize(
    ("name", "node", "said"),
    [
        (
            "volumes",
            "c2",
            "there is no service 'volumes' in lab 'small'; did you mean 'volume'?",
        ),
        (
            "api",
            "c2",
            "api is active on every node that has it; only what is active on one can be moved "
            "(in this lab: volume)",
        ),
        ("volume", "client", "volume may not run on 'client'; choose from c1, c2, c3"),
    ],
)
def test_what_cannot_be_moved(fake: LabEngine, name: str, node: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        move(fake, name, node)
    assert str(raised.value) == said
    assert not fake.calls


def test_a_node_that_is_off_takes_nothing(fake: LabEngine) -> None:
    fake.kill("small-c2")
    fake.calls.clear()
    with pytest.raises(LabError) as raised:
        move(fake, "volume", "c2")
    assert str(raised.value) == "c2 is off, so volume cannot run there: 'labctl node on c2' first"
    assert not fake.calls
    assert store.load("small").placed == {}


def test_up_never_has_two(fake: LabEngine) -> None:
    record = store.load("small")
    wanted = prepare(store.Record(record.name, SUBNET, TOPOLOGY, record.source, {"volume": "c3"}))
    plan = make_plan(wanted.desired, observe(fake, wanted.desired))
    assert "remove:small-c1-volume" in plan.steps["start:c3/volume"].needs
    assert "job:volume/schema" not in plan.steps
    assert "remove:small-c1-volume" not in make_plan(wanted.desired, Observed()).steps
