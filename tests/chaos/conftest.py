"""One three-controller lab for all chaos tests, healed and healthy before and after each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from labctl import faults
from labctl.engine.choose import connect
from labctl.planning.steps import Plan, Step
from labctl.resolve.request import Request, request_record
from labctl.running import lifecycle
from labctl.running.probe import Answer
from tests.chaos.ground import Ground

NAME = f"chaos-{os.getpid()}"
"""Of this run only: a lab of the user's is never touched."""
TOPOLOGY = """
name: chaos
description: The support tier on three controllers, with disks that can be filled
extends: three-controller
profile: support
services: {redis: {disk: 64M}}
"""


class Quiet:
    """Nobody watches the lab come up."""

    def planned(self, plan: Plan) -> None: ...

    def started(self, step: Step) -> None: ...

    def done(self, step: Step, seconds: float) -> None: ...

    def note(self, text: str) -> None: ...

    def answer(self, name: str, answer: Answer) -> None: ...


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A lab of its own, taken down in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABCTL_HOME", str(tmp_path_factory.mktemp("home")))
        topology = tmp_path_factory.mktemp("topology") / "chaos.yml"
        topology.write_text(TOPOLOGY)
        engine = connect()
        record = request_record(Request(str(topology), name=NAME), engine.subnets)
        prepared = lifecycle.prepare(record)
        try:
            lifecycle.up(engine, prepared, Quiet())
            yield Ground(engine, prepared)
        finally:
            lifecycle.down(engine, NAME)


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    """The lab, healthy; whatever a test leaves is healed and must not hurt the next one."""
    standing.until_healthy()
    yield standing
    faults.heal_all(standing.engine, standing.lab, sweep=True).check()
    standing.until_healthy()
