"""Labs for the library of scenarios: sound ones, and such as a scenario or a sabotage asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from labctl.engine.port import Engine
from tests.lab.command import Labctl
from tests.lab.conftest import driver, labctl
from tests.lab.remains import remains

__all__ = ["driver", "labctl", "standing"]

NAME = "library-test"

Standing = Callable[..., AbstractContextManager[str]]
"""``with standing(TOPOLOGY, *OPTIONS) as lab``: its name."""


@pytest.fixture(scope="session")
def standing(labctl: Labctl, driver: Engine) -> Standing:
    """Brings labs up, one at a time; nothing of one is left in the end."""

    @contextmanager
    def lab(topology: str, *options: str, code: int | None = 0) -> Iterator[str]:
        labctl.clear(NAME)
        labctl("up", topology, "--name", NAME, *options, timeout=1800, code=code)
        try:
            yield NAME
        finally:
            labctl("down", "--lab", NAME)
        assert remains(driver, NAME) == []

    return lab
