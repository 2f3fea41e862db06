"""The small lab that every contract test gets, and the image it runs in."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from labctl.engine.port import Engine
from tests.contract.world import World
from tests.fakes.engine import FakeEngine


@pytest.fixture(scope="session")
def node_image(engine: Engine) -> str:
    """An image with a shell, iproute2 and nftables."""
    if isinstance(engine, FakeEngine):
        engine.add_image("node:1")
        return "node:1"
    from labctl.images import build

    return build.build(engine, "zed", "node")


@pytest.fixture
def world(engine: Engine, node_image: str) -> Iterator[World]:
    """An empty lab; its name and subnet differ between test runs beside each other."""
    made = World(engine, node_image, f"contract-{os.getpid()}", 100 + os.getpid() % 100)
    made.clear()
    yield made
    made.clear()
