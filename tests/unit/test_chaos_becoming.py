"""What a scenario's changes make of a lab, and those refused before anything is touched."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos.document.library import load_scenario
from labctl.chaos.run import becoming, changes
from labctl.documents.reader import dump
from labctl.documents.source import Source
from labctl.documents.topologies import load_topology, shipped
from labctl.errors import InputError, LabError
from labctl.model.topology import Choice
from labctl.planning.desired import DISK, FIXED
from labctl.planning.steps import Plan, Remove
from labctl.running.lifecycle import Prepared, prepare
from labctl.state.store import Record
from tests.fakes.engine import FakeEngine

BASE = {
    "name": "tried",
    "description": "The lab is changed",
    "workloads": [{"name": "g", "kind": "galera", "as": "set"}],
}


@pytest.fixture
def support(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    topology, source = load_topology(shipped()["three-controller"])
    choice = Choice(profile="support")
    return prepare(Record("demo", IPv4Network("198.18.0.0/24"), topology, source, {}, choice))


def foreseen(prepared: Prepared, *steps: dict[str, Any]) -> list[becoming.Step]:
    timeline = [{"at": f"{5 * number}s", **step} for number, step in enumerate(steps, 1)]
    dump(Path("tried.yml"), {**BASE, "timeline": timeline}, 0o600)
    doc, source = load_scenario(Path("tried.yml"))
    planned = changes.planned(doc, 1, 0)
    changes.check(planned, prepared.lab, source)
    return becoming.foresee(prepared, planned, source)


def setting(service: str, **settings: Any) -> dict[str, Any]:
    return {"change": {"services": {service: settings}}}


def test_each_change_is_made_of_the_lab_that_the_one_before_it_made(support: Prepared) -> None:
    steps = foreseen(
        support,
        setting("mariadb", max_connections=400),
        {"add": ["c4", "c5"], "like": "c1"},
        {"replace": "vip-holder"},
        {"remove": ["c4", "c5"]},
        {"rebuild": ["database", "node"]},
    )
    last = steps[-1].prepared
    assert [step.change.said for step in steps] == [
        "change mariadb max_connections to 400",
        "add c4, c5 like c1",
        "replace vip-holder",
        "remove c4, c5",
        "rebuild image database, node",
    ]
    assert [len(step.prepared.lab.services["mariadb"].nodes) for step in steps] == [3, 5, 5, 3, 3]
    assert last.lab.services["mariadb"].settings["max_connections"] == 400
    assert steps[2].prepared is steps[1].prepared
    assert [step.leaving for step in steps] == [(), (), (), ("c4", "c5"), ()]
    assert support.lab.services["mariadb"].settings["max_connections"] == 500
    assert last.record.source is support.record.source


def test_secrets_that_are_only_in_memory_stay_the_same(support: Prepared) -> None:
    first, second = foreseen(
        support,
        {"change": {"add": {"controller": ["zaqar"]}}},
        setting("mariadb", max_connections=400),
    )
    new = first.prepared.secrets.keys() - support.secrets.keys()
    assert "zaqar.mongodb" in new
    assert all(first.prepared.secrets[n] == second.prepared.secrets[n] for n in new)
    assert all(support.secrets[n] == second.prepared.secrets[n] for n in support.secrets)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            setting("mariadb", synk_wait=1),
            "tried.yml:12: services.mariadb.synk_wait: mariadb has no such setting; did you mean "
            "'sync_wait'?",
        ),
        (
            setting("mariadb", max_connections=500),
            "tried.yml:9: timeline[0].change: changes nothing: lab 'demo' is so already",
        ),
        (
            {"change": {"network": {"vip": "198.18.0.77"}}},
            "tried.yml:9: timeline[0].change: would replace client/toolbox, in which the workloads "
            "run",
        ),
        (
            {"remove": ["c2", "c3"]},
            "tried.yml:9: timeline[0].remove: without c2 and c3 rabbitmq keeps 1 of its 3 members, "
            "which is no majority: remove fewer nodes at a time",
        ),
        (
            {"change": {"nodes": {"c4": {"roles": ["controler"]}}}},
            "tried.yml:13: nodes.c4.roles[0]: no role 'controler'; did you mean 'controller'?",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(support: Prepared, step: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        foreseen(support, step)
    assert str(caught.value) == said


def test_what_is_made_with_the_data_is_refused_before_anything_is_touched(
    support: Prepared,
) -> None:
    steps = foreseen(support, setting("mongodb", replica_set="other"))
    engine = FakeEngine()
    for tag in support.desired.images.values():
        engine.add_image(tag)
    for unit in (*support.desired.holders.values(), *support.desired.instances.values()):
        engine.create(unit.spec)
    assert {FIXED, DISK} & {k for c in engine.containers("demo") for k in c.labels}
    before = list(engine.calls)
    with pytest.raises(InputError) as caught:
        becoming.check_there(engine, support, steps, load_scenario(Path("tried.yml"))[1])
    assert str(caught.value) == (
        "tried.yml:9: timeline[0].change: services.mongodb.replica_set is \"rs0\" in lab 'demo' "
        'and should be "other": it is made with the lab\'s data, so take the lab down first, with '
        "`labctl down --lab demo`"
    )
    assert engine.calls == before


def test_a_lab_that_is_not_what_its_document_says_is_not_changed_under_load(
    support: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = foreseen(support, setting("mariadb", max_connections=400))
    still = {f"remove:{n}": Remove(f"remove:{n}", container=f"demo-c{n}-mariadb") for n in range(4)}
    monkeypatch.setattr(becoming.lifecycle, "plan", lambda *_: Plan(still))
    monkeypatch.setattr(becoming.fit, "check", lambda *_: None)
    with pytest.raises(LabError) as caught:
        becoming.check_there(FakeEngine(), support, steps, Source("tried.yml"))
    assert str(caught.value) == (
        "lab 'demo' is not what its document says (remove demo-c0-mariadb, remove demo-c1-mariadb, "
        "remove demo-c2-mariadb, ...): run `labctl up --name demo` before it is changed under load"
    )
    monkeypatch.setattr(becoming.lifecycle, "plan", lambda *_: Plan({}))
    becoming.check_there(FakeEngine(), support, steps, Source("tried.yml"))
