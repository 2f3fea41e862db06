"""What the adapter asks of the Docker SDK, where that is not seen on every machine."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from labctl.engine.docker import DockerEngine


class Api:
    """The SDK's low-level client, as far as a pull goes; it has no image."""

    api_version = "1.41"

    def __init__(self, **_: Any) -> None:
        self.pulled: list[tuple[str, str]] = []

    def pull(self, name: str, tag: str, **_: Any) -> list[dict[str, Any]]:
        self.pulled.append((name, tag))
        return [{"status": "done"}]

    def inspect_image(self, _: str) -> dict[str, Any]:
        raise docker.errors.ImageNotFound("no such image")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()
    monkeypatch.setattr(docker, "APIClient", lambda **_: made)
    return made


def test_a_digest_and_a_port_are_no_tag(api: Api) -> None:
    engine, digest = DockerEngine("unix:///nonexistent"), "sha256:" + "0" * 64
    for tag in ("debian", "localhost:5000/debian:bookworm", f"debian:bookworm@{digest}"):
        assert engine.pull(tag) is False
    assert api.pulled == [
        ("debian", "latest"),
        ("localhost:5000/debian", "bookworm"),
        ("debian", digest),
    ]
