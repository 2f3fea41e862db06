"""A run that changes its lab, and one that repeats it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labctl.chaos.document.changes import ChangeKeys
from labctl.chaos.folder import layout as files
from labctl.chaos.run import plan as plans
from labctl.chaos.run import runner
from labctl.chaos.run.becoming import Step
from labctl.chaos.run.changes import Change
from labctl.planning.desired import Desired
from labctl.planning.steps import Plan, StartInstance
from labctl.running import lifecycle, nodes
from labctl.running.lifecycle import Prepared
from tests.unit.labs import desired
from tests.unit.test_chaos_run import Stage, act, plan, stage
from tests.unit.test_chaos_timeline import lab

__all__ = ["stage"]

CHANGED = Change(1, 0.05, ChangeKeys.model_validate({"change": {"services": {"store": {"a": 4}}}}))


def known(wanted: Desired) -> Prepared:
    topology = SimpleNamespace(nodes=dict.fromkeys(node.name for node in wanted.lab.nodes))
    return Prepared(cast(Any, SimpleNamespace(topology=topology)), wanted, {})


def test_the_lab_is_changed_under_load_and_changed_back_when_all_is_recorded(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = known(desired(tmp_path)), known(desired(tmp_path, size=4))
    made: list[tuple[Prepared, bool]] = []

    def carry_out(_: object, prepared: Prepared, *rest: Any, **more: Any) -> Plan:
        made.append((prepared, stage.loads[0].stopped))
        steps = {"start": StartInstance("start", instance="c1/store")}
        rest[1].planned(Plan(steps))
        return Plan(steps)

    monkeypatch.setattr(lifecycle, "carry_out", carry_out)
    monkeypatch.setattr(lifecycle, "plan", lambda *_: Plan({}))
    monkeypatch.setattr(nodes, "drop_volumes", lambda *_: [])
    steps = [Step(CHANGED, other)]
    context = replace(stage.context, prepared=first, steps=steps)
    folder = runner.run(context, plan(act(0, "kill", "c1/store"), changes=[CHANGED]))
    row, back = files.read_json(folder, files.CHANGES)
    assert made == [(other, False), (first, True)]
    assert (row["said"], row["error"], row["left"]) == ("change store a to 4", None, [])
    assert row["asked"] <= row["began"] <= row["ended"] <= back["began"] <= back["ended"]
    said = files.read_json(folder, files.RUN)
    assert said["cut_short"] is None
    # The change back comes after all else, and is part of what the run recorded.
    assert said["sealed"] == files.seal(folder)
    assert files.read_json(folder, files.TIMELINE)[0]["healed"]


ROW = {
    "index": 0,
    "step": 0,
    "said": "replace galera-writer",
    "spec": {"replace": ["galera-writer"]},
    "asked": 13.5,
    "began": 13.5,
    "ended": 50.0,
    "nodes": ["c3"],
    "back": False,
}
TEXT = """name: tried
description: The node of the writer is replaced
workloads: [{name: w, kind: galera, as: set}]
timeline: [{at: 1s, replace: galera-writer}]
keep: true
"""


def test_a_run_is_repeated_with_the_nodes_that_its_parts_meant(tmp_path: Path) -> None:
    files.write(tmp_path, files.SCENARIO, TEXT)
    files.write_json(tmp_path, files.RUN, {"run": "r", "seed": 1, "workloads_began": 12.5})
    files.write_json(tmp_path, files.TIMELINE, [])
    files.write_json(tmp_path, files.CHANGES, [ROW, {**ROW, "index": 1, "back": True}])
    again = plans.from_run(tmp_path, lab("support"))
    (change,) = again.changes
    assert (change.at, change.verb, change.names) == (1.0, "replace", ("c3",))
    assert change.said == "replace c3"
    assert (again.keep, again.replayed) == (True, "r")
    assert {"mariadb", "rabbitmq", "mongodb", "sentinel"} <= set(again.services)
