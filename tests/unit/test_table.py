"""The design's table out of the catalogue: rows, nodes, and who does the job of the retired."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from labctl.model.service import ServiceDoc
from labctl.model.topology import TopologyDoc
from labctl.resolve import request, table
from labctl.resolve.resolution import resolve
from labctl.state import store
from tests.unit.labs import service

ROW = {"system": "Volumes", "process": "volume-api", "mode": "A/A", "strategy": "HAProxy"}
OLD = {"process": "volume-registry", "successor": "volume-api reads the database itself"}


def catalogue() -> dict[str, ServiceDoc]:
    return {
        "toolbox": service(image="client", user="lab", profile="support"),
        "volume-api": service(row=ROW, retired=[OLD], profile="core"),
        "volume": service(
            row={**ROW, "process": "volume", "mode": "A/P", "strategy": "none"},
            active="one",
            profile="core",
        ),
        "identity": service(row={**ROW, "system": "Identity"}, profile="support"),
        "more": service(retired=[{**OLD, "system": "Other", "mode": "-", "strategy": "-"}]),
    }


def topology() -> TopologyDoc:
    nodes = {name: {"roles": ["controller"]} for name in ("c1", "c2", "c3")}
    data: dict[str, Any] = {
        "name": "small",
        "description": "d",
        "nodes": {**nodes, "client": {"roles": ["client"]}},
        "roles": {"controller": ["volume-api", "volume", "identity"], "client": ["toolbox"]},
    }
    return TopologyDoc.model_validate(data)


def test_small_profiles_come_first_and_what_has_no_row_last() -> None:
    rows = [(row["system"], row["process"]) for row in table.of_catalog(catalogue())]
    assert rows == [
        ("Identity", "volume-api"),
        ("Volumes", "volume-api"),
        ("Volumes", "volume-registry"),
        ("Volumes", "volume"),
        ("Other", "volume-registry"),
        ("-", "toolbox"),
        ("-", "more"),
    ]


def test_a_retired_process_keeps_its_row() -> None:
    rows = {(r["service"], r["process"]): r for r in table.of_catalog(catalogue())}
    old = rows["volume-api", "volume-registry"]
    assert old["retired"]
    assert old["successor"] == "volume-api reads the database itself"
    assert (old["system"], old["mode"], old["strategy"]) == ("Volumes", "A/A", "HAProxy")
    assert rows["more", "volume-registry"]["mode"] == "-"


@pytest.mark.parametrize(
    ("placed", "node"), [({}, "c1"), ({"volume": "c3"}, "c3"), ({"volume": "gone"}, "c1")]
)
def test_one_active_instance_is_where_it_was_moved(placed: dict[str, str], node: str) -> None:
    made = resolve(topology(), catalogue(), subnet=IPv4Network("198.18.9.0/24"), placed={**placed})
    assert [each.name for each in made.services["volume"].nodes] == [node]
    assert [i.name for i in made.instances if i.service.name == "volume"] == [f"{node}/volume"]
    assert made.services["volume"].job_node.name == "c1"
    row = next(row for row in table.of_lab(made) if row["service"] == "volume")
    assert (row["nodes"], row["candidates"]) == ([node], ["c1", "c2", "c3"])


def test_the_record_remembers_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path))
    record = request.request_record(request.Request("single"), list)
    moved = store.Record(
        record.name, record.subnet, record.topology, record.source, {"volume": "c2"}
    )
    store.save(moved)
    assert store.load(record.name).placed == {"volume": "c2"}
    assert request.request_record(request.Request("single"), list).placed == {"volume": "c2"}
