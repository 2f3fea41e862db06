"""The workloads seen from outside, with a client that says what a test lets it say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labctl.chaos.folder.layout import Lines
from labctl.engine.port import ExecResult, FileEntry
from labctl.errors import EngineError, LabError
from labctl.workloads.labs import Wanted
from labctl.workloads.load import Counts, Loads
from tests.unit.test_workloads import KNOWN, LAB


class Client:
    """An engine whose client node prints ``lines`` and answers ``result`` to everything else.

    A client that is ready goes on until it is told to stop, or ``dies``: so, or with an error.
    """

    def __init__(
        self,
        *lines: dict[str, Any],
        result: ExecResult | Exception | None = None,
        dies: bool | EngineError = False,
    ) -> None:
        self.lines, self.result, self.dies = lines, result, dies
        self.stopped = threading.Event()
        self.files: list[FileEntry] = []
        self.commands: list[Sequence[str]] = []

    def put_files(self, _: str, files: Sequence[FileEntry]) -> None:
        self.files += files
        if any(file.path.endswith(".stop") for file in files):
            self.stopped.set()

    def exec_stream(self, _: str, command: Sequence[str]) -> Iterator[str]:
        self.commands.append(command)
        yield from map(json.dumps, self.lines)
        if isinstance(self.dies, EngineError):
            raise self.dies
        if not self.dies and any(line["type"] == "ready" for line in self.lines):
            assert self.stopped.wait(20)
        yield '{"t": 1, "w": "cut sh'

    def exec(self, _: str, command: Sequence[str], *, timeout: float) -> ExecResult:
        self.commands.append(command)
        if isinstance(self.result, Exception):
            raise self.result
        assert self.result is not None
        return self.result


def desired() -> Any:
    toolbox = SimpleNamespace(spec=SimpleNamespace(user="908:908"))
    return SimpleNamespace(lab=LAB, instances={LAB.toolbox.name: toolbox})


def line(kind: str, t: float, w: str = "adds", **more: Any) -> dict[str, Any]:
    return {"t": t, "w": w, "type": kind, **more}


def loads(client: Client, write: Any, began: float = 0.0) -> Loads:
    wanted = [Wanted("adds", "redis", "set"), Wanted("bank", "galera", "bank")]
    return Loads(client, desired(), KNOWN, wanted, write, began=began, seconds=9)  # type: ignore[arg-type]


READY = line("ready", 0, "client", value={"adds": {"member": "c1"}, "bank": {}})


def test_a_history_is_timed_from_the_run_and_counted(tmp_path: Path) -> None:
    # The client's clock is 1000 s behind, and the first line took long.
    clock = time.monotonic() - 1000
    client = Client(
        line("hello", clock - 3, "client"),
        line("hello", clock, "client"),
        READY,
        line("invoke", clock + 1, p=0, f="add", value=1),
        line("ok", clock + 2, p=0, f="add", value=1, at="c1"),
        line("fail", clock + 3, p=1, f="add", value=2, error="no"),
        line("info", clock + 3, "bank", p=0, f="transfer", value={}, error="late"),
        line("lag", clock + 4, "client", seconds=0.3),
        line("full", clock + 5, "client"),
    )
    path = tmp_path / "history.jsonl"
    file = Lines(path)
    run = loads(client, file.add, began=time.monotonic() - 10)
    assert run.start() == {"adds": {"member": "c1"}, "bank": {}}
    run.stop()
    run.stop()  # once is enough
    file.close()
    assert (file.written, file.missed) == (5, 0)
    events = [json.loads(text) for text in path.read_text().splitlines()]
    assert [event["type"] for event in events] == ["invoke", "ok", "fail", "info", "lag"]
    assert 11 <= events[0]["t"] < 13
    assert events[1]["t"] - events[0]["t"] == pytest.approx(1)
    assert run.counts() == {"adds": Counts(1, 1, 0), "bank": Counts(0, 0, 1)}
    assert run.full
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("lines", "dies", "why"),
    [
        ((), True, "its time was over, or it was killed"),
        ((line("full", 5, "client"),), True, "its history reached its limit"),
        ((), EngineError("the engine has gone"), "the engine has gone"),
    ],
)
def test_clients_that_end_by_themselves_are_said(
    lines: tuple[dict[str, Any], ...], dies: bool | EngineError, why: str
) -> None:
    run = loads(Client(READY, *lines, dies=dies), lambda _: None)
    run.start()
    while run.running:
        time.sleep(0.01)
    with pytest.raises(LabError) as ended:
        run.stop()
    assert str(ended.value) == f"the workloads ended before the run did: {why}"


def test_secrets_are_in_a_file_of_the_clients_own_only() -> None:
    client = Client(READY, result=ExecResult(0, '{"finals": {}, "errors": {}}', ""))
    run = loads(client, lambda _: None)
    run.start()
    run.stop()
    run.finals()
    document = next(entry for entry in client.files if entry.path.endswith(".json"))
    assert (document.mode, document.uid, document.gid) == (0o400, 908, 908)
    assert KNOWN["redis.password"] in document.data.decode()
    assert not any(KNOWN["redis.password"] in word for words in client.commands for word in words)


def test_what_cannot_start_is_said() -> None:
    broken = Client(line("broken", 1, "bank", error="OSError: no"))
    with pytest.raises(LabError) as failed:
        loads(broken, lambda _: None).start()
    assert str(failed.value) == "the workloads did not start: bank: OSError: no"
    with pytest.raises(LabError) as silent:
        loads(Client(), lambda _: None).start()
    assert str(silent.value) == "the workloads did not start: the client reported nothing"
    with pytest.raises(LabError) as gone:
        loads(Client(dies=EngineError("c is not running")), lambda _: None).start()
    assert str(gone.value) == "the workloads did not start: c is not running"


def test_finals_that_cannot_be_read_say_why() -> None:
    answer = {"finals": {"adds": {"master": [1]}}, "errors": {"bank": "OSError: no"}}
    run = loads(Client(READY, result=ExecResult(0, json.dumps(answer), "")), lambda _: None)
    assert run.finals() == {"adds": {"master": [1]}, "bank": {"error": "OSError: no"}}
    run = loads(Client(result=ExecResult(1, "", "Traceback\nKeyError: 1\n")), lambda _: None)
    assert run.finals()["adds"] == {"error": "KeyError: 1"}
    run = loads(Client(result=EngineError("it is gone")), lambda _: None)
    assert run.finals()["bank"] == {"error": "it is gone"}
    run = loads(Client(result=ExecResult(1, "", "adds is not gone\n")), lambda _: None)
    assert run.clean() == ["adds is not gone"]
