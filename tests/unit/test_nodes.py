"""Which nodes a lab may get, lose or replace."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from labctl.documents.topologies import load_topology, shipped
from labctl.errors import InputError
from labctl.model.topology import Choice
from labctl.running import nodes
from labctl.state.store import Record
from tests.fakes.engine import FakeEngine
from tests.unit.labs import desired


@pytest.fixture
def record() -> Record:
    topology, source = load_topology(shipped()["three-controller"])
    return Record("demo", IPv4Network("198.18.0.0/24"), topology, source, {}, Choice())


def test_nodes_like_another_have_its_roles_and_no_address(record: Record) -> None:
    added = nodes.added(record, ["c4", "c5"], "c1").topology.nodes
    assert list(added)[-2:] == ["c4", "c5"]
    assert added["c4"] == added["c5"] == record.topology.nodes["c1"]
    assert "c4" not in record.topology.nodes


def test_a_node_that_leaves_is_gone_and_the_rest_is_as_it_was(record: Record) -> None:
    left = nodes.removed(record, ["cmp2"]).topology
    assert left == record.topology.model_copy(
        update={"nodes": {n: doc for n, doc in record.topology.nodes.items() if n != "cmp2"}}
    )


def test_unknown_nodes_are_refused(record: Record) -> None:
    with pytest.raises(InputError) as caught:
        nodes.known(record, ["c1", "c9"])
    assert str(caught.value).startswith("lab 'demo' has no node 'c9'; ")
    with pytest.raises(InputError, match=r"^lab 'demo' has no node 'c9'; "):
        nodes.removed(record, ["c9"])
    with pytest.raises(InputError, match=r"^lab 'demo' has no node 'c9'; "):
        nodes.added(record, ["c4"], "c9")


def test_a_node_is_added_once(record: Record) -> None:
    with pytest.raises(InputError) as caught:
        nodes.added(record, ["c2"], "c1")
    assert str(caught.value) == "lab 'demo' has a node 'c2' already"


def test_volumes_of_nodes_that_have_left_go_and_no_others(tmp_path: Path) -> None:
    wanted = desired(tmp_path)
    engine = FakeEngine()
    used = {m.volume for u in wanted.instances.values() for m in u.spec.volumes}
    for volume in (*used, "small-c4-store-data", "small-c4-shared-run", "small-records"):
        engine.create_volume(volume, {"labctl.lab": "small"})
    assert nodes.drop_volumes(engine, wanted, ["c4", "c1"]) == [
        "small-c4-shared-run",
        "small-c4-store-data",
    ]
    assert set(engine.volumes("small")) == {*used, "small-records"}


@pytest.mark.parametrize("name", ["", "C4", "c4/x", "x" * 300])
def test_a_name_that_no_document_may_have_is_refused(record: Record, name: str) -> None:
    with pytest.raises(InputError):
        nodes.added(record, [name], "c1")
