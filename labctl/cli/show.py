"""Tables and colours on a terminal, plain lines in a pipe, JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from labctl.planning.steps import Plan
    from labctl.running.differences import Difference
    from labctl.running.status import InstanceStatus, NodeStatus, Status

COLOURS = {"healthy": "green", "degraded": "yellow", "down": "red"}


def out() -> Console:
    """Standard output, without colour or wrapping when it is not a terminal."""
    terminal = sys.stdout.isatty()
    return Console(soft_wrap=not terminal, highlight=False, no_color=None if terminal else True)


def as_json(data: Any) -> None:
    """Print a document as JSON."""
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table on a terminal, tab-separated lines in a pipe."""
    console = out()
    if not console.is_terminal:
        for row in rows:
            sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def status(document: Status) -> None:
    """Print a lab's state, virtual IP, instances and clusters."""
    console = out()
    state = document["state"]
    holders = ", ".join(document["vip"]["holders"]) or "nobody"
    console.print(
        Text.assemble(
            f"lab {document['lab']} ({document['topology']}, {document['profile']}): ",
            (state, COLOURS[state]),
            f"; virtual IP {document['vip']['address']} on {holders}",
        )
    )
    _matrix(document) if console.is_terminal else _lines(document)
    for name, cluster in document["clusters"].items():
        console.print(_cluster(name, cluster))
    for job, succeeded in document["jobs"].items():
        if not succeeded:
            console.print(Text(f"job {job}: has not succeeded", style="yellow"))
    for fault in document["faults"]:
        until = f"until {fault['due']}"
        if fault["overdue"]:
            until = f"overdue since {fault['due']}; `labctl heal` undoes it"
        console.print(Text(f"fault: {fault['fault']}, {until}", style="yellow"))
    for sentence in document["journal"]:
        console.print(Text(f"journal: {sentence}", style="yellow"))
    for line in _reasons(document["nodes"]):
        console.print(line)


def _reasons(nodes: Sequence[NodeStatus]) -> Iterator[str]:
    """A line for each node that is off, and for each instance elsewhere that is not ready."""
    for node in nodes:
        if node["state"] == "off":
            yield f"{node['name']} is off; `labctl node on {node['name']}` starts it"
            continue
        for instance in node["instances"]:
            if not instance["ready"]:
                yield f"{node['name']}/{instance['service']}: {instance['detail']}"


def _lines(document: Status) -> None:
    """Print a line for each instance."""
    for node in document["nodes"]:
        for instance in node["instances"]:
            sys.stdout.write(f"{node['name']}/{instance['service']}\t{_cell(instance)}\n")


def _matrix(document: Status) -> None:
    """Print a table with a row for each service and a column for each node."""
    nodes = document["nodes"]
    services = dict.fromkeys(i["service"] for node in nodes for i in node["instances"])
    rows: list[list[str | Text]] = [["", *(Text(n["address"], style="dim") for n in nodes)]]
    rows.append(["node", *(_node_state(node["state"]) for node in nodes)])
    by_node = [{i["service"]: i for i in node["instances"]} for node in nodes]
    rows += [[s, *(_cell(instances.get(s)) for instances in by_node)] for s in services]
    table(["", *(node["name"] for node in nodes)], rows)


def _node_state(state: str) -> Text:
    return Text(state, style="green" if state == "running" else "red")


def _cell(instance: InstanceStatus | None) -> Text:
    if instance is None:
        return Text("-", style="dim")
    if instance["ready"]:
        return Text("ready", style="green")
    if instance["state"] == "running":
        return Text("unknown" if instance["ready"] is None else "not ready", style="yellow")
    return Text(instance["state"], style="red")


def _cluster(name: str, cluster: Mapping[str, Any]) -> Text:
    size, expected = cluster.get("size"), cluster.get("expected")
    leads = [
        f"{role} {cluster[role]}"
        for role in ("writer", "primary", "master", "leader")
        if isinstance(cluster.get(role), str)
    ]
    text = f"{name}: {size} of {expected} members" + "".join(f", {lead}" for lead in leads)
    return Text(text, style="green" if size == expected else "yellow")


def plan(made: Plan) -> None:
    """Print the steps in order, with what each waits for."""
    table(
        ["step", "what", "after"],
        [
            (str(number), step.title, ", ".join(sorted(step.needs)))
            for number, step in enumerate(made.steps.values(), 1)
        ],
    )


def differences(found: Sequence[Difference]) -> None:
    """Print why each container is replaced."""
    if not found:
        out().print("nothing is replaced")
    for each in found:
        out().print(f"[bold]{escape(each.container)}[/]: {escape('; '.join(each.reasons))}")
        for line in each.diff:
            style = {"+": "green", "-": "red"}.get(line[:1], "dim")
            out().print(f"  {line}", style=style, markup=False, soft_wrap=True, highlight=False)


def plan_document(made: Plan, found: Sequence[Difference] | None = None) -> dict[str, Any]:
    """The plan as data for JSON; costs are in CPU-seconds."""
    replaced = {} if found is None else {"replaced": [asdict(each) for each in found]}
    return {
        **replaced,
        "longest_chain": round(made.longest_chain, 2),
        "steps": [
            {
                "id": step.id,
                "kind": type(step).__name__,
                "title": step.title,
                "needs": sorted(step.needs),
                "cost": step.cost,
            }
            for step in made.steps.values()
        ],
    }
