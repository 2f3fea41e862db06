"""labctl's own troubles: killed, run twice, refused, cut off from its engine."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from labctl.engine.port import Engine
from tests.lab.command import Labctl
from tests.lab.remains import remains

SHIPPED = Path(__file__).parents[2] / "topologies"


def kill_after(process: subprocess.Popen[str], lines: int) -> None:
    """SIGKILL labctl when it has said so many lines of its progress."""
    assert process.stdout is not None
    for _ in range(lines):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("lines", [1, 4, 9, 15, 22])
def test_a_killed_up_is_finished_by_the_next(labctl: Labctl, small: str, lines: int) -> None:
    kill_after(labctl.begin("up", "single", "--name", small), lines)
    labctl("up", "single", "--name", small)
    assert labctl.status(small)["state"] == "healthy"


@pytest.mark.parametrize("lines", [2, 7, 12])
def test_a_killed_up_is_undone_by_down(
    labctl: Labctl, small: str, driver: Engine, lines: int
) -> None:
    kill_after(labctl.begin("up", "single", "--name", small), lines)
    labctl("down", "--lab", small)
    assert remains(driver, small) == []
    assert not (labctl.home / "labs" / small).exists()


def test_two_at_once_on_one_lab(labctl: Labctl, small: str) -> None:
    first = labctl.begin("up", "single", "--name", small)
    assert first.stdout is not None
    first.stdout.readline()
    second = labctl("up", "single", "--name", small, code=1)
    assert second.err == (
        f"labctl: another labctl (process {first.pid}) is working on lab '{small}': "
        "wait until it ends\n"
    )
    first.communicate()
    assert first.returncode == 0


def test_an_address_that_is_taken(labctl: Labctl, small: str, driver: Engine) -> None:
    other = f"{small}-foreign"
    subprocess.run(
        ["docker", "network", "create", "--internal", "--subnet", "198.19.76.0/23", other],
        check=True,
        capture_output=True,
    )
    try:
        said = labctl("up", "single", "--name", small, "--subnet", "198.19.77.0/24", code=3)
    finally:
        subprocess.run(["docker", "network", "rm", other], check=True, capture_output=True)
    assert said.err == (
        "labctl: the subnet 198.19.77.0/24 is taken on this engine (by 198.19.76.0/23): "
        "choose another with --subnet\n"
    )
    assert remains(driver, small) == []
    assert not (labctl.home / "labs" / small).exists()


def test_a_lab_name_that_is_taken_by_another_topology(
    labctl: Labctl, lab: str, driver: Engine
) -> None:
    said = labctl("up", "single", "--name", lab, code=2)
    assert said.err == (
        f"labctl: the name '{lab}' is taken by a lab of topology 'three-controller': choose "
        f"another with --name, or run 'labctl down --lab {lab}' first\n"
    )


def test_a_container_name_that_is_taken(labctl: Labctl, small: str, driver: Engine) -> None:
    image = next(image for image in driver.images("labctl.image=node") if image.tags).tags[0]
    name = f"{small}-c1-memcached"
    subprocess.run(["docker", "create", "--name", name, image], check=True, capture_output=True)
    try:
        said = labctl("up", "single", "--name", small, code=3)
        assert name in said.err.splitlines()[-2] or name in said.err
    finally:
        subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


def test_a_service_that_dies_is_named_with_its_log(
    labctl: Labctl, small: str, tmp_path: Path
) -> None:
    topology = yaml.safe_load((SHIPPED / "single.yml").read_text())
    topology["services"] = {"mariadb": {"buffer_pool": "plenty"}}
    path = tmp_path / "broken.yml"
    path.write_text(yaml.safe_dump(topology))
    said = labctl("up", str(path), "--name", small, code=1)
    assert "labctl: c1/mariadb ended with exit code" in said.err
    assert "its log ends:" in said.err
    assert "requires innodb_buffer_pool_size" in said.err
    assert "not started, because it waits for this: " in said.err


def test_no_engine(labctl: Labctl) -> None:
    said = labctl("--help")
    assert "Usage" in said.out
    said = labctl("status", "--engine", "unix:///nonexistent/engine.sock", code=3)
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("labctl: ")


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[str, threading.Event]]:
    """A socket in front of the engine's that goes away when the event is set."""
    path, gone = tmp_path / "engine.sock", threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    listener.settimeout(0.05)
    pipes: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def serve() -> None:
        while not gone.is_set():
            try:
                near, _ = listener.accept()
            except TimeoutError:
                continue
            near.settimeout(None)
            far = socket.socket(socket.AF_UNIX)
            far.connect("/var/run/docker.sock")
            pipes.extend((near, far))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()
        listener.close()
        path.unlink()
        for pipe in pipes:
            with closing(pipe):
                pipe.shutdown(socket.SHUT_RDWR)

    server = threading.Thread(target=serve)
    server.start()
    yield f"unix://{path}", gone
    gone.set()
    server.join()


def test_an_engine_that_goes_away(
    labctl: Labctl, small: str, relay: tuple[str, threading.Event]
) -> None:
    url, gone = relay
    process = labctl.begin("up", "single", "--name", small, "--engine", url)
    assert process.stdout is not None
    for _ in range(8):
        process.stdout.readline()
    gone.set()
    begun = time.monotonic()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 3, said
    last = [line for line in said.splitlines() if line.startswith("labctl: ")]
    assert len(last) == 1, said
    assert "Traceback" not in said
    assert time.monotonic() - begun < 100  # it ends by itself; how soon is not the point
    labctl("up", "single", "--name", small)
    assert labctl.status(small)["state"] == "healthy"


def test_a_foreign_lab_of_the_same_name(labctl: Labctl, small: str, driver: Engine) -> None:
    """Somebody else's lab on this engine, whose secrets are not ours."""
    other = Labctl(labctl.home.parent / "other-home")
    labctl("up", "single", "--name", small)
    said = other("up", "single", "--name", small, code=3)
    assert "but its secrets are not in" in said.err
    assert labctl.status(small)["state"] == "healthy"
