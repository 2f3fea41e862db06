"""A three-controller lab that stands for all tests here, and labctl to work on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl.engine.choose import connect
from labctl.engine.port import Engine
from tests.lab.command import Labctl
from tests.lab.remains import remains

NAME = "lab-test"


@pytest.fixture(scope="session")
def driver() -> Engine:
    """The engine, to look at what labctl made; none there is a failure."""
    return connect(None)


@pytest.fixture(scope="session")
def labctl(tmp_path_factory: pytest.TempPathFactory) -> Labctl:
    """The program, with a state directory of its own."""
    return Labctl(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def lab(labctl: Labctl, driver: Engine) -> Iterator[str]:
    """A healthy three-controller lab with the support tier; nothing of it is left in the end."""
    labctl.clear(NAME)
    labctl("up", "three-controller", "--name", NAME, "--profile", "support")
    yield NAME
    labctl("down", "--lab", NAME)
    assert remains(driver, NAME) == []


@pytest.fixture
def small(labctl: Labctl, driver: Engine) -> Iterator[str]:
    """The name of a lab for one test, which is taken down after it."""
    name = f"{NAME}-small"
    labctl.clear(name)
    yield name
    labctl("down", "--lab", name)
    assert remains(driver, name) == []
