"""What starts after libvirt: it waits as long as libvirt is silent, and no longer."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from labctl.documents.shipped import data_dir

SCRIPT = data_dir("compose") / "libvirt" / "when-it-answers.sh"
PROGRAM = ["echo", "started", "a b"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A virsh that is counted, and answers when there is a file; a sleep that makes that file."""
    for name, text in {
        "virsh": f'#!/bin/sh\necho asked >>"{tmp_path}/asked"\n[ -e "{tmp_path}/answers" ]\n',
        "sleep": f'#!/bin/sh\necho slept >>"{tmp_path}/asked"\n: >"{tmp_path}/answers"\n',
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def run(environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), *PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout


def test_where_libvirt_answers_nobody_waits(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "answers").touch()
    assert run(environment) == "started a b\n"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_it_asks_until_libvirt_answers(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run(environment) == "started a b\n"
    assert (tmp_path / "asked").read_text() == "asked\nslept\nasked\n"


def test_it_heeds_a_signal_while_it_waits(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "sleep").write_text(f'#!/bin/sh\n: >"{tmp_path}/waits"\nexec /bin/sleep 0.01\n')
    process = subprocess.Popen(["/bin/sh", str(SCRIPT), *PROGRAM], env=environment)
    while not (tmp_path / "waits").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
