"""What is not labctl's is never listed and never touched; an independent client watches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl.engine.docker import DockerEngine
from tests.contract.world import World

pytestmark = pytest.mark.kernel


@pytest.fixture
def foreign(
    engine: DockerEngine, world: World, monkeypatch: pytest.MonkeyPatch
) -> Iterator[object]:
    """A container started by testcontainers, which knows nothing of labctl."""
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    with DockerContainer(world.image).with_command("sleep 1000") as container:
        yield container


def test_a_foreign_container_survives_the_removal_of_a_lab(world: World, foreign: object) -> None:
    wrapped = foreign.get_wrapped_container()  # type: ignore[attr-defined]
    world.node("n1", 11)
    world.run("n1-a", join=world.name("n1"))
    listed = world.engine.containers()
    assert {world.name("n1"), world.name("n1-a")} <= {c.name for c in listed}
    assert wrapped.id not in {c.id for c in listed}
    world.clear()
    assert world.engine.containers(world.lab) == []
    wrapped.reload()
    assert wrapped.status == "running"
