"""labctl as a process with streams of every kind; only what a test in this process cannot show."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

EMPTY = "standard input: is empty; it needs the keys name, description, nodes, roles"
FULL = "standard output cannot be written: No space left on device"
SCENARIO = """name: mine
description: What comes → is shown
workloads: [{name: galera-bank, kind: galera, as: bank}]
timeline: [{at: 10s, fault: pause, target: galera-writer, for: 20s}]
limit: 5m
"""
PROGRAM = [sys.executable, "-m", "labctl"]
SHELL = f'l() {{ {sys.executable} -m labctl "$@"; }}; '


def shell(script: str, home: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A script for bash in which ``l`` is labctl, without an engine."""
    return subprocess.run(
        ["bash", "-c", SHELL + script],
        env={
            **os.environ,
            "LABCTL_HOME": str(home),
            "LABCTL_ENGINE": "unix:///nonexistent/engine.sock",
            "LC_ALL": "C.UTF-8",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("l topologies >&-", 3, "standard output cannot be written: Bad file descriptor"),
        ("l topologies >/dev/full", 3, FULL),
        ("l schema service | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("l topologies 2>&- | grep ^single >/dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        ("l status 2>&-", 2, ""),
        ("l plan - <&-", 2, EMPTY),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path: Path, script: str, code: int, said: str) -> None:
    done = shell(script, tmp_path)
    assert (done.returncode, done.stderr.decode()) == (code, f"labctl: {said}\n" if said else "")


def test_a_terminal_of_few_characters(tmp_path: Path) -> None:
    """Escaped, not an error."""
    (tmp_path / "mine.yml").write_text(SCENARIO, encoding="utf-8")
    script = f"l chaos show {tmp_path}/mine.yml"
    done = shell(script, tmp_path, PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"What comes \\u2192 is shown\n" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_does_not_block(tmp_path: Path, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    environment = {**os.environ, "LABCTL_HOME": str(tmp_path), "PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen([*PROGRAM, "schema", "service"], stdout=writer, env=environment)
    os.close(writer)
    found = b""
    while data := os.read(reader, 1000):
        found += data
    os.close(reader)
    assert process.wait() == 0
    assert found.endswith(b"\n}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_waits_for_the_engine(tmp_path: Path, number: signal.Signals) -> None:
    """An engine that takes the question and never answers."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen(
            [*PROGRAM, "down", "--lab", "x", "--engine", f"unix://{path}"],
            env={**os.environ, "LABCTL_HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        asked, _ = listener.accept()
        with asked:
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, b"labctl: interrupted\n")
