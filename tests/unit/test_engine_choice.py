"""Which engine is taken, and what is said when there is none or it goes away."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from labctl.engine import choose
from labctl.errors import EngineError


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both engines' sockets, in a directory of ours; nothing answers there."""
    for kind in ("docker", "podman"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / kind))
        monkeypatch.setattr(choose, f"_{kind.upper()}", str(tmp_path / kind))
    for name in ("LABCTL_ENGINE", "DOCKER_HOST", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("choice", "environment", "expected"),
    [
        (None, {}, ["unix://{}/docker", "unix://{}/podman"]),
        ("docker", {}, ["unix://{}/docker"]),
        ("podman", {}, ["unix://{}/podman"]),
        (None, {"LABCTL_ENGINE": "podman"}, ["unix://{}/podman"]),
        ("docker", {"LABCTL_ENGINE": "podman"}, ["unix://{}/docker"]),
        (None, {"DOCKER_HOST": "tcp://h:1"}, ["tcp://h:1"]),
        ("podman", {"DOCKER_HOST": "tcp://h:1"}, ["unix://{}/podman"]),
        ("tcp://other:2", {"DOCKER_HOST": "tcp://h:1"}, ["tcp://other:2"]),
        ("/some/socket", {}, ["unix:///some/socket"]),
    ],
)
def test_where_to_look(
    sockets: Path, choice: str | None, environment: dict[str, str], expected: list[str]
) -> None:
    assert list(choose.urls(choice, environment)) == [url.format(sockets) for url in expected]


def test_an_engine_that_is_no_engine(sockets: Path) -> None:
    with pytest.raises(EngineError) as refused:
        choose.connect("lxc")
    assert str(refused.value) == (
        f"there is no engine 'lxc': write docker, podman, or a URL such as unix://{sockets}/docker"
    )


def test_no_engine_at_all(sockets: Path) -> None:
    for kind in ("docker", "podman"):
        (sockets / kind).unlink()
    with pytest.raises(EngineError) as refused:
        choose.connect()
    assert str(refused.value) == (
        "no container engine answers on this machine; run `labctl doctor --fix`"
    )
    assert refused.value.exit_code == 3
    with pytest.raises(EngineError) as refused:
        choose.connect("podman")
    assert str(refused.value) == (
        "no Podman service answers; run `labctl doctor --fix --engine podman`"
    )


def test_a_socket_that_nobody_listens_on(sockets: Path) -> None:
    with pytest.raises(EngineError) as refused:
        choose.connect("docker")
    assert str(refused.value) == (
        f"the container engine at unix://{sockets}/docker does not answer;"
        " run `labctl doctor --fix`"
    )


def test_an_engine_that_goes_away(sockets: Path) -> None:
    """It takes the question and hangs up."""
    (sockets / "docker").unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(sockets / "docker"))
    listener.listen()

    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(EngineError, match=r"does not answer; run `labctl doctor --fix`$"):
        choose.connect("docker")
    listener.close()


def test_a_socket_that_may_not_be_used(sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(EngineError) as refused:
        choose.connect("docker")
    assert str(refused.value) == (
        f"you may not use Docker's socket {sockets}/docker:"
        " join its group (`sudo usermod -aG docker $USER`), log in again and run again"
    )
    assert choose.forbidden("docker", {})


@pytest.mark.parametrize(
    ("choice", "environment", "expected"),
    [
        (None, {}, "docker"),
        ("podman", {"DOCKER_HOST": "tcp://h:1"}, "podman"),
        (None, {"DOCKER_HOST": "tcp://h:1"}, None),
        (None, {"DOCKER_HOST": "unix://{}/docker"}, "docker"),
        ("tcp://h:1", {}, None),
    ],
)
def test_which_engine_may_be_installed_here(
    sockets: Path, choice: str | None, environment: dict[str, str], expected: str | None
) -> None:
    filled = {name: value.format(sockets) for name, value in environment.items()}
    assert choose.local_kind(choice, filled) == expected


@pytest.mark.parametrize("url", ["tcp://[::1", "http://h:port", "\udcf4\x10] "])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(EngineError) as caught:
        choose.connect(url if "://" in url else f"tcp://{url}")
    assert str(caught.value).endswith("that is no URL such as unix:///var/run/docker.sock")
