"""An engine reached through SSH: its URL, and a tunnel that ends with whoever uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine import ssh
from labctl.engine.refusals import unreachable
from labctl.errors import EngineError, InputError


@pytest.mark.parametrize(
    ("url", "destination", "socket"),
    [
        ("ssh://far", ("--", "far"), "/var/run/docker.sock"),
        ("ssh://me@far:2222", ("-l", "me", "-p", "2222", "--", "far"), "/var/run/docker.sock"),
        ("ssh://me@[::1]:22/", ("-l", "me", "-p", "22", "--", "::1"), "/var/run/docker.sock"),
        ("ssh://far/run/podman/podman.sock", ("--", "far"), "/run/podman/podman.sock"),
    ],
)
def test_where_ssh_goes(url: str, destination: tuple[str, ...], socket: str) -> None:
    place = ssh.place(url)
    assert (place.destination, place.socket) == (destination, socket)


@pytest.mark.parametrize("url", ["ssh://", "ssh:///run/x", "ssh://far:x", "ssh://me:secret@far"])
def test_what_is_no_place(url: str) -> None:
    with pytest.raises(InputError) as refused:
        ssh.place(url)
    assert str(refused.value) == (
        "an engine on another machine should be given as ssh://[user@]host[:port][/socket], "
        "without a password"
    )


def program(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An ``ssh`` of our own."""
    path = directory / "ssh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_a_tunnel_ends_with_whoever_uses_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/said; exec cat')
    tunnel = ssh.Tunnel("ssh://me@far")
    assert tunnel.url.startswith("unix:///")
    said = (tmp_path / "said").read_text()
    assert said.endswith(
        f"-L {tunnel.url.removeprefix('unix://')}:/var/run/docker.sock -l me -- far cat\n"
    )
    process = tunnel._ssh._process
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()  # as when labctl is killed
    assert process.wait(5) == 0


def test_what_ssh_says_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(
        tmp_path, monkeypatch, "echo debug >&2; echo 'me@far: Permission denied.' >&2; exit 255"
    )
    with pytest.raises(EngineError) as refused:
        ssh.Tunnel("ssh://me@far")
    assert str(refused.value) == (
        "cannot reach the container engine at ssh://me@far: me@far: Permission denied; "
        "check that `ssh -l me -- far true` works without a prompt"
    )


def test_a_host_that_is_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ssh, "_CONNECT_SECONDS", 0.2)
    program(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(EngineError, match=r": no answer within 0\.2 seconds; check that "):
        ssh.Tunnel("ssh://far")


def test_an_engine_elsewhere_is_not_ours_to_start() -> None:
    assert unreachable("unix:///s").endswith("run `labctl doctor --fix`")
    assert unreachable("ssh://far") == (
        "the container engine at ssh://far does not answer: check that it is running and that "
        "you have permission to use it"
    )
