"""The whole table, as much of it as the machine can take, on three controllers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from labctl.engine.choose import connect
from labctl.engine.port import Engine
from labctl.running import lifecycle
from labctl.state import store
from tests.chaos.ground import Ground
from tests.full.membership import Membership
from tests.lab.command import Labctl
from tests.lab.remains import remains

NAME = os.environ.get("LABCTL_TEST_LAB", "full-test")
"""$LABCTL_TEST_LAB names a lab that stands already, in the user's own state: it is used and left
as it is. Bringing the whole table up takes minutes."""


@pytest.fixture(scope="session")
def driver() -> Engine:
    """The engine; none there is a failure."""
    return connect(None)


@pytest.fixture(scope="session")
def labctl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labctl]:
    """The program, with a state directory of its own, in which these tests look as well."""
    from labctl.state import paths

    mine = "LABCTL_TEST_LAB" in os.environ
    home = paths.home() if mine else tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABCTL_HOME", str(home))
        yield Labctl(home)


@pytest.fixture(scope="package")
def lab(labctl: Labctl, driver: Engine) -> Iterator[str]:
    """A healthy lab; it is gone before the next package's tests begin."""
    if "LABCTL_TEST_LAB" in os.environ:
        yield NAME
        return
    labctl.clear(NAME)
    labctl("up", "three-controller", "--name", NAME, "--profile", "auto", timeout=1800)
    yield NAME
    labctl("down", "--lab", NAME)
    assert remains(driver, NAME) == []


@pytest.fixture(scope="module")
def ground(lab: str, driver: Engine) -> Ground:
    """The same lab, worked on from inside: read anew, for another module moved a service."""
    return Ground(driver, lifecycle.prepare(store.load(lab)))


@pytest.fixture(scope="module")
def membership(ground: Ground, driver: Engine) -> Membership:
    """Asks who takes part."""
    clouds = ground.prepared.record.directory / "clouds.yaml"
    return Membership(driver, ground.prepared, str(clouds))
