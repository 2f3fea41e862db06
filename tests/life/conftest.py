"""A support tier that is lost and recovered, grown and copied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl.engine.choose import connect
from labctl.engine.port import Engine
from labctl.running import lifecycle
from tests.chaos.ground import Ground
from tests.lab.command import Labctl
from tests.lab.remains import remains

NAME = "life-test"


@pytest.fixture(scope="session")
def driver() -> Engine:
    """The engine, to break what labctl would not."""
    return connect(None)


@pytest.fixture(scope="session")
def labctl(tmp_path_factory: pytest.TempPathFactory) -> Labctl:
    """The program, with a state directory of its own."""
    return Labctl(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def lab(labctl: Labctl, driver: Engine) -> Iterator[str]:
    """Three controllers of the support tier; nothing of them is left in the end."""
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


@pytest.fixture
def ground(labctl: Labctl, lab: str, driver: Engine) -> Iterator[Ground]:
    """The lab, healthy when a test begins, and clients for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABCTL_HOME", str(labctl.home))
        standing = Ground(driver, lifecycle.current(lab))
        if standing.status()["state"] != "healthy":
            labctl("up", "--name", lab)
        standing.until_healthy()
        yield standing
