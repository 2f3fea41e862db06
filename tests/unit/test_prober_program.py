"""The prober as a program: what it says, when it ends."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.prober import DIRECTORY, http_answer, redis_answer, server


@pytest.fixture
def port() -> Iterator[int]:
    with server(http_answer(200)) as listening:
        yield listening


def probe(name: str, port: int) -> dict[str, Any]:
    return {"id": name, "host": "127.0.0.1", "http": {"port": port}, "timeout": 5}


def write(path: Path, *probes: dict[str, Any], final: bool, **more: object) -> str:
    """Write a specification as the engine does: in one piece."""
    spec = {"vip": "127.0.0.1", "final": final, "probes": probes, "clusters": [], **more}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(spec))
    # Archives carry whole seconds: two specifications may have the same time of modification.
    os.utime(fresh, (1, 1))
    fresh.replace(path)
    return str(path)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", str(DIRECTORY), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    if not select.select([process.stdout], [], [], 10)[0]:
        process.kill()
        pytest.fail("it said nothing")
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def test_it_ends_when_everything_is_ready(tmp_path: Path, port: int) -> None:
    path = write(tmp_path / "s.json", probe("c1/a", port), probe("c2/a", port), final=True)
    with start(path) as process:
        assert process.stdout
        lines = sorted(map(json.loads, process.stdout), key=lambda line: str(line["id"]))
    assert lines == [{"id": name, "ready": True, "detail": "HTTP 200"} for name in ("c1/a", "c2/a")]
    assert process.returncode == 0


def test_it_says_changes_and_takes_in_new_probes(tmp_path: Path, port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        late = free.getsockname()[1]
    path = write(tmp_path / "s.json", probe("c1/late", late), final=False)
    with start(path) as process:
        assert heard(process) == {"id": "c1/late", "ready": False, "detail": "connection refused"}
        write(tmp_path / "s.json", probe("c1/late", late), probe("c2/a", port), final=False)
        assert heard(process)["id"] == "c2/a"
        write(tmp_path / "s.json", probe("c2/a", port), probe("c3/a", port), final=False)
        assert heard(process)["id"] == "c3/a"
        assert process.poll() is None
        process.communicate("", timeout=10)


def test_it_ends_when_nobody_is_there_any_more(tmp_path: Path) -> None:
    path = write(tmp_path / "s.json", final=False)
    with start(path) as process:
        process.communicate("", timeout=10)
    assert process.returncode == 0


def test_once_answers_for_everything(tmp_path: Path, port: int) -> None:
    reply = "*1\r\n*6\r\n$4\r\nname\r\n$3\r\nlab\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
    reply += "$5\r\nflags\r\n$6\r\nmaster\r\n"
    with server(redis_answer(MASTERS=reply, REPLICAS="*0\r\n")) as sentinel:
        cluster = {
            "service": "sentinel",
            "kind": "redis",
            "members": [{"name": "c1", "address": "127.0.0.1"}],
            "port": sentinel,
        }
        path = write(tmp_path / "s.json", probe("c1/a", port), final=True, clusters=[cluster])
        with start(path, "--once") as process:
            out, _ = process.communicate(timeout=10)
    answer = json.loads(out)
    assert answer["probes"] == {"c1/a": {"ready": True, "detail": "HTTP 200"}}
    assert answer["clusters"]["redis"]["master"] == "c1"
    assert answer["clusters"]["redis"]["size"] == answer["clusters"]["redis"]["expected"] == 1
    assert "answers" in answer["vip"]
    assert process.returncode == 0


def test_once_without_a_specification_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(DIRECTORY), "--once"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "usage: labctl-prober SPEC.json [--once]\n")
