"""The loop of the workloads on a store in memory, and what is sent to the client node."""

from __future__ import annotations

import inspect
import io
import json
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from random import Random
from typing import Any

import pytest

from labctl.chaos.checks import checker
from labctl.documents.catalog import load_catalog
from labctl.documents.reader import load as load_document
from labctl.documents.shipped import data_dir
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.model.topology import TopologyDoc
from labctl.resolve.resolution import resolve
from labctl.state import secrets
from labctl.workloads import client, labs, load, loop, registry
from labctl.workloads.model import Done, Operation, RefusedError
from labctl.workloads.registry import KINDS

CONFIG = {"name": "numbers", "rate": 200, "workers": 4, "seed": 1}
ALIKE = (None, "answers", "vip")
"""Checks by which every operation is judged alike, whatever it is called."""
EVERY = [(kind, way) for kind, ways in KINDS.items() for way in ways]


class Memory:
    """Refuses every fifth write and loses the answer of every seventh; read after every third."""

    def __init__(self, broken: str = "") -> None:
        self.kept: list[int] = []
        self.closed = 0
        self._broken = broken

    def prepare(self) -> Mapping[str, Any]:
        if self._broken:
            raise OSError(self._broken)
        return {"member": "c1"}

    def session(self, worker: int, random: Random) -> Memory:
        return self

    def helpers(self) -> list[Callable[..., None]]:
        def listen(record: Callable[..., None], stop: Callable[[], bool]) -> None:
            while not stop():
                time.sleep(0.01)
            record(type="invoke", p=9, f="dequeue", value=None)
            record(type="ok", p=9, f="dequeue", value=0)

        return [listen]

    def steps(self, number: int) -> Iterator[Operation]:
        yield Operation("add", number)
        if number % 3 == 0:
            yield Operation("read", None, at="c2", harmless=True)

    def apply(self, operation: Operation) -> Done:
        if operation.f == "read":
            raise TimeoutError("no answer")
        if operation.value % 5 == 0:
            raise RefusedError("no")
        self.kept.append(operation.value)
        if operation.value % 7 == 0:
            raise TimeoutError("no answer")
        return Done(operation.value, at="c3")

    def close(self) -> None:
        self.closed += 1

    def final(self) -> Mapping[str, Any]:
        return {"here": self.kept}

    def clean(self) -> None:
        raise OSError("not cleaned")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    store = Memory()
    monkeypatch.setattr(client, "load", lambda _: store)
    return store


def history(seconds: float = 0.25, limit: float = 1e6, **stop: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    document = {"seconds": seconds, "limit": limit}
    halted = stop.get("stop", lambda: False)
    assert client.begin(document, {"numbers": CONFIG}, out, halted) == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_operation_is_recorded_with_its_end(memory: Memory) -> None:
    events = history()
    hellos = [e for e in events if e["type"] == "hello"]
    ready = events[len(hellos)]
    assert ready["type"] == "ready" and ready["value"] == {"numbers": {"member": "c1"}}
    own = [e for e in events if e["w"] == "numbers"]
    running: dict[int, dict[str, Any]] = {}
    for event in own:
        if event["type"] == "invoke":
            assert event["p"] not in running
            running[event["p"]] = event
        else:
            assert running.pop(event["p"])["f"] == event["f"]
    assert not running
    ends = {e["value"]: e for e in own if e["type"] != "invoke" and e["f"] == "add"}
    # The rate is bounded.
    assert 20 <= len(ends) <= 60
    for value, event in ends.items():
        wanted = "fail" if value % 5 == 0 else "info" if value % 7 == 0 else "ok"
        assert event["type"] == wanted
    assert ends[7]["error"] == "TimeoutError: no answer"
    assert ends[1]["at"] == "c3"
    # What changes nothing did not happen, whatever became of it.
    reads = [e for e in own if e["f"] == "read" and e["type"] != "invoke"]
    assert {(e["type"], e["at"]) for e in reads} == {("fail", "c2")}
    assert own[-1]["p"] == 9
    assert memory.closed == sum(e["type"] in ("fail", "info") for e in own)


def test_it_stops_when_told_to_and_when_it_has_said_enough(memory: Memory) -> None:
    began = time.monotonic()
    history(3600, stop=lambda: True)
    assert any(e["type"] == "full" for e in history(3600, limit=4000))
    assert time.monotonic() < began + 600


def test_a_workload_that_cannot_be_prepared_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "load", lambda _: Memory("no such host"))
    out = io.StringIO()
    document = {"seconds": 1, "limit": 1000}
    assert client.begin(document, {"numbers": CONFIG}, out, lambda: False) == 1
    last = json.loads(out.getvalue().splitlines()[-1])
    assert (last["w"], last["type"], last["error"]) == (
        "numbers",
        "broken",
        "OSError: no such host",
    )


def test_finals_and_leftovers_are_told_apart_from_errors(
    memory: Memory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"workloads": [CONFIG]}))
    memory.kept = [3]
    assert client.main([str(path), "final"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "finals": {"numbers": {"here": [3]}},
        "errors": {},
    }
    assert client.main([str(path), "clean"]) == 1
    assert capsys.readouterr().err == "not cleaned\n"
    monkeypatch.setattr(client.time, "sleep", lambda _: None)
    monkeypatch.setattr(memory, "final", lambda: 1 / 0)
    assert client.main([str(path), "final"]) == 0
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert errors == {"numbers": "ZeroDivisionError: division by zero"}


def test_what_was_missed_is_not_made_up_for() -> None:
    pacer = loop.Pacer(100, time.monotonic() - 60)
    now = time.monotonic()
    dues = [pacer.take()[1] for _ in range(40)]
    # A quarter of a second's worth may be late, and no more.
    assert sum(due <= now for due in dues) <= 27


def test_a_late_thread_tells_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    out, halted = io.StringIO(), threading.Event()
    record = loop.Recorder(out)

    class Slow(threading.Event):
        turns = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.turns += 1
            time.sleep((timeout or 0) + 0.08)
            if self.turns == 2:
                self.set()
            return False

    halted = Slow()
    pacer = loop.Pacer(20, time.monotonic() + 0.05)
    loop._work(Memory(), pacer, lambda **_: None, record, halted)
    lags = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {(lag["w"], lag["type"]) for lag in lags} == {("client", "lag")}
    assert all(lag["seconds"] > 0.05 for lag in lags)


def test_a_line_is_bounded() -> None:
    out = io.StringIO()
    loop.Recorder(out)(w="x", p=0, type="ok", f="read", value="y" * 20000)
    event = json.loads(out.getvalue())
    assert event["value"] is None and event["error"].startswith("a value of 20")


def test_the_archive_holds_every_workload_and_runs_by_itself() -> None:
    packed = zipfile.ZipFile(io.BytesIO(load.archive()))
    there = set(packed.namelist())
    assert {"__main__.py", "labctl/__init__.py", "labctl/workloads/__init__.py"} < there
    sent = {Path(name).stem for name in there if name.startswith("labctl/workloads/")}
    assert not sent & {"load", "labs"}
    compile(packed.read("__main__.py"), "__main__.py", "exec")


def test_the_archive_finds_every_workload_without_the_rest_of_labctl(tmp_path: Path) -> None:
    packed = tmp_path / "load.zip"
    packed.write_bytes(load.archive())
    program = (
        "import json, sys; from labctl.workloads.registry import KINDS;"
        "print(json.dumps([[[k, *w] for k, w in KINDS.items()],"
        " [m for m in sys.modules if m.startswith('labctl.') and 'workloads' not in m]]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(packed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout) == [[[kind, *ways] for kind, ways in KINDS.items()], []]


@pytest.mark.parametrize(("kind", "way"), EVERY)
def test_a_workload_says_all_of_itself(kind: str, way: str) -> None:
    entry = KINDS[kind][way]
    assert callable(entry.make) and "``" in entry.operations
    assert 0 < entry.rate <= entry.most and entry.workers >= 1
    check = checker(kind, way)
    assert check is not None
    path = Path(inspect.getsourcefile(check) or "")
    assert path.stem == ("__init__" if entry.check is None else entry.check), "another's check"
    if entry.check not in ALIKE:
        made = set(re.findall(r"``([a-z]+)``(?: by [a-z]+)?:", entry.operations))
        text = path.read_text(encoding="utf-8")
        shared = re.findall(r"from labctl\.chaos\.checks\.(\w+) import", text)
        texts = [text, *(path.with_stem(name).read_text(encoding="utf-8") for name in shared)]
        known = {word for each in texts for word in re.findall(r'"([a-z]+)"', each)}
        assert made and made <= known, "operations that its check does not know"


def test_two_workloads_cannot_have_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.workloads.kinds.vip.ENTRIES", (KINDS["redis"]["set"],))
    with pytest.raises(ValueError, match="two modules define the workload redis/set"):
        registry._registered()


def shipped() -> tuple[Lab, dict[str, str]]:
    topology = load_document(data_dir("topologies") / "three-controller.yml", TopologyDoc)
    catalogue = load_catalog(data_dir("compose"))
    lab = resolve(topology, catalogue, subnet=IPv4Network("198.18.9.0/24"))
    return lab, {name: f"<{name}>" for name in secrets.wanted(lab)}


LAB, KNOWN = shipped()


@pytest.mark.parametrize(("kind", "way"), EVERY)
def test_every_workload_is_found_in_the_shipped_lab(kind: str, way: str) -> None:
    wanted = labs.Wanted("my-load", kind, way, settings={"timeout": 2})
    found = labs.config(wanted, LAB, KNOWN, "run_1", 7)
    assert found["timeout"] == 2
    assert found["id"] == ("run-1-my-load" if kind in ("api", "tenant") else "run_1_my_load")
    assert found.get("host") == LAB.vip or list(found["members"]) == ["c1", "c2", "c3"]
    if kind == "vip":
        assert found["macs"][LAB.nodes[0].mac] == "c1"
    else:
        assert found["password"] in KNOWN.values()


def without(name: str) -> Lab:
    services = {each: service for each, service in LAB.services.items() if each != name}
    return replace(LAB, services=services)


@pytest.mark.parametrize(
    ("wanted", "lab", "says"),
    [
        (
            labs.Wanted("a", "etcd", "set"),
            LAB,
            "workload a: no kind 'etcd'; there are api, galera, memcached, mongodb, rabbitmq,"
            " redis, tenant, vip",
        ),
        (
            labs.Wanted("a", "redis", "bank"),
            LAB,
            "workload a: redis cannot be used as 'bank', but as counter, set",
        ),
        (
            labs.Wanted("a", "redis", "set"),
            without("sentinel"),
            "workload a: lab three-controller has no sentinel; give it a larger profile",
        ),
        (
            labs.Wanted("a", "redis", "set", rate=1000),
            LAB,
            "workload a: rate 1000 should be above 0 and at most 200 a second: a faster client"
            " would measure itself",
        ),
    ],
)
def test_what_cannot_be_is_refused(wanted: labs.Wanted, lab: Lab, says: str) -> None:
    with pytest.raises(InputError) as refused:
        labs.config(wanted, lab, KNOWN, "run_1", 7)
    assert str(refused.value) == says
