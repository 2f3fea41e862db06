"""The loop of the workloads, on a store in memory, and what is sent to the client node."""

from __future__ import annotations

import io
import json
import sys
import threading
import zipfile
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, get_args

import pytest

from labctl import paths, secrets
from labctl.catalog import load_catalog
from labctl.checkers import Promise, judge, parse
from labctl.documents import load as load_document
from labctl.model.topology import TopologyDoc
from labctl.resolve import resolve
from labctl.workloads import client, load

CONFIG = {"kind": "memory", "seconds": 0.2, "rate": 200, "workers": 4}


class Memory:
    """A store that refuses every fifth write and loses the answer of every seventh."""

    kept: list[int] = []  # noqa: RUF012 - one store for all connections
    closed = 0
    lock = threading.Lock()

    def prepare(self) -> Mapping[str, Any]:
        return {"member": "c1"}

    def write(self, value: int) -> None:
        if value % 5 == 0:
            raise client.RefusedError("no")
        with self.lock:
            self.kept.append(value)
        if value % 7 == 0:
            raise TimeoutError("no answer")

    def read(self) -> Mapping[str, list[int]]:
        return {"here": self.kept}

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> type[Memory]:
    monkeypatch.setattr(Memory, "kept", [])
    monkeypatch.setitem(
        sys.modules,
        "labctl.workloads.memory",
        type("module", (), {"connect": staticmethod(lambda _: Memory())})(),
    )
    return Memory


def test_every_operation_is_recorded_with_its_end(
    memory: type[Memory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    assert client.main([str(path), "write"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert json.loads(first)["member"] == "c1"
    events = parse(lines)
    ends = {e.value: e for e in events if e.type != "invoke"}
    # The rate is bounded, and every operation that began has one end.
    assert 20 <= len(ends) <= 40
    assert sorted(ends) == sorted(e.value for e in events if e.type == "invoke")
    for value, event in ends.items():
        wanted = "fail" if value % 5 == 0 else "info" if value % 7 == 0 else "ok"
        assert event.type == wanted
    assert ends[7].error == "TimeoutError: no answer"
    assert client.main([str(path), "read"]) == 0
    final = json.loads(capsys.readouterr().out)["here"]
    assert judge(events, final, Promise("all")).outcome == "VALID"
    assert judge(events, final[1:], Promise("all")).outcome == "INVALID"


def test_a_file_stops_it(
    memory: type[Memory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, "seconds": 3600}))
    path.with_suffix(".stop").touch()
    assert client.main([str(path), "write"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_archive_holds_every_workload_and_runs_by_itself() -> None:
    packed = zipfile.ZipFile(io.BytesIO(load.archive()))
    there = set(packed.namelist())
    assert {"__main__.py", "labctl/__init__.py", "labctl/workloads/__init__.py"} < there
    sent = {Path(name).stem for name in there if name.startswith("labctl/workloads/")}
    modules = {path.stem for path in Path(load.__file__).parent.glob("*.py")}
    assert sent == modules - {"load"}
    compile(packed.read("__main__.py"), "__main__.py", "exec")


@pytest.mark.parametrize("kind", get_args(load.Kind))
def test_every_store_is_found_in_the_shipped_lab(kind: load.Kind) -> None:
    topology = load_document(paths.data_dir("topologies") / "three-controller.yml", TopologyDoc)
    catalogue = load_catalog(paths.data_dir("compose"))
    lab = resolve(topology, catalogue, subnet=IPv4Network("198.18.9.0/24"))
    known = {name: f"<{name}>" for name in secrets.wanted(lab)}
    found = load.settings(lab, known, kind)
    assert found["password"] in known.values()
    if kind == "identity":
        assert (found["host"], found["port"]) == (lab.vip, 5000)
    else:
        assert list(found["members"]) == ["c1", "c2", "c3"]
