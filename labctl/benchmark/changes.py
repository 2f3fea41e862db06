"""Measures changes of a lab: a node that comes back, and the scenarios that change it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.benchmark.chaos import Document, Row
from labctl.benchmark.phases import Commands
from labctl.chaos.document.changes import VERBS
from labctl.chaos.document.library import load_scenario, scenarios
from labctl.chaos.folder import layout as files
from labctl.chaos.run import plan as plans
from labctl.errors import InputError, LabError
from labctl.model.lab import Lab


def measure(commands: Commands, lab: Lab, say: Callable[[str], None]) -> Document:
    """Take every figure on a healthy lab; a scenario that is not VALID leaves its reason."""
    return {
        "on": _on(commands, lab, say),
        "scenarios": {name: _run(commands, lab, name, say) for name in fitting(lab)},
    }


def fitting(lab: Lab) -> list[str]:
    """The scenarios of the library that change a lab, and that fit this one."""
    found = []
    for name, path in scenarios().items():
        if not any(step.verb in VERBS for step in load_scenario(path)[0].timeline):
            continue
        try:
            plans.from_scenario(name, lab, 0)
        except InputError:
            continue
        found.append(name)
    return found


def _on(commands: Commands, lab: Lab, say: Callable[[str], None]) -> Document | None:
    """Seconds until a node that was off is on, ready and counted by its clusters."""
    clustered = [service for service in lab.services.values() if service.doc.cluster is not None]
    nodes = [node.name for service in clustered for node in service.nodes if node != lab.client]
    if not nodes:
        return None
    say(f"node {nodes[-1]} off and on")
    commands.labctl("node", "off", nodes[-1], "--lab", lab.name)
    seconds = commands.labctl("node", "on", nodes[-1], "--lab", lab.name).cost.wall
    return {"node": nodes[-1], "seconds": round(seconds, 2)}


def _run(commands: Commands, lab: Lab, name: str, say: Callable[[str], None]) -> Document:
    say(f"scenario {name}")
    try:
        out = commands.labctl("chaos", "run", name, "--lab", lab.name, "--json").out
    except LabError as error:
        commands.labctl("up", "--name", lab.name)
        return {"error": str(error), "changes": []}
    verdict = json.loads(out)
    rows = files.read_json(Path(verdict["folder"]), files.CHANGES)
    return {"error": None, "changes": changes(rows, verdict["budgets"])}


def changes(
    rows: Sequence[Mapping[str, Any]], budgets: Sequence[Mapping[str, Any]]
) -> list[Document]:
    """Each change with its length, and how long each kind of client was without an answer."""
    return [
        {
            "said": row["said"],
            "seconds": round(row["ended"] - row["began"], 2),
            "away": {b["name"]: b["measured"] for b in budgets if b["fault"] == row["index"]},
        }
        for row in rows
        if not row["back"]
    ]


def rows(document: Document, start: float) -> Iterator[Row]:
    """The figures as rows of the benchmark's table; ``start`` is the first start's, in seconds."""
    on = document["on"]
    if on is not None:
        remark = f"{on['node']}, until its clusters count it; {_beside(on['seconds'], start)}"
        yield "node on", f"{on['seconds']:.1f} s", remark
    for name, run in document["scenarios"].items():
        if run["error"]:
            yield name, "-", f"WRONG: {run['error'].splitlines()[0]}"
        for change in run["changes"]:
            yield change["said"], f"{change['seconds']:.1f} s", _beside(change["seconds"], start)
            for kind, seconds in change["away"].items():
                said = "-" if seconds is None else f"{seconds:.2f} s"
                yield f"  clients of {kind}", said, "the longest without an answer meanwhile"


def _beside(seconds: float, start: float) -> str:
    return f"{seconds / start:.2f} of the first start"
