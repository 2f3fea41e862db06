"""What is remembered of the steps, and what the options of a choice come to."""

from __future__ import annotations

import pytest

from labctl.cli.options import chosen
from labctl.cli.progress import Lines, Timed
from labctl.errors import InputError
from labctl.model.topology import Choice
from labctl.planning.steps import Plan, RunJob


def test_steps_are_remembered_with_their_end(capsys: pytest.CaptureFixture[str]) -> None:
    step = RunJob("job:store/databases", service="store", job="databases")
    report = Timed(Lines())
    report.planned(Plan({step.id: step}))
    report.started(step)
    report.note("something")
    report.done(step, 1.25)
    (told,) = report.steps
    assert (told["id"], told["title"]) == ("job:store/databases", "run store/databases")
    assert told["seconds"] == 1.25
    assert 0 <= told["ended"] < 60
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("1 steps")
    assert said[-1].endswith("[1/1] run store/databases (1.2 s)")


def test_options_of_a_choice() -> None:
    assert chosen(None, None, None) == Choice()
    assert chosen("auto", None, None) == Choice()
    assert chosen("core", ["a", "b:compute"], ["c"]) == Choice(
        profile="core", add={"a": None, "b": "compute"}, drop=("c",)
    )
    with pytest.raises(InputError, match="one of: support, core, full, auto"):
        chosen("huge", None, None)
