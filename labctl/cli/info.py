"""Commands that list what labctl ships: topologies, services, schema."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.options import JsonOption

if TYPE_CHECKING:
    from pydantic import BaseModel

    from labctl.resolve import table


class Document(StrEnum):
    """Kinds of documents that have a schema."""

    TOPOLOGY = "topology"
    EXTENSION = "extension"
    SERVICE = "service"
    SCENARIO = "scenario"
    SABOTAGE = "sabotage"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl topologies --json")(topologies)
    app.command(epilog="Example: labctl services")(services)
    app.command(epilog="Example: labctl schema topology > topology.schema.json")(schema)


def topologies(as_json: JsonOption = False) -> None:
    """List the shipped topologies."""
    from labctl.cli import show
    from labctl.documents.topologies import load_topology, shipped

    found = {name: load_topology(path)[0] for name, path in shipped().items()}
    if as_json:
        show.as_json(
            [
                {"name": n, "description": d.description, "nodes": list(d.nodes)}
                for n, d in found.items()
            ]
        )
        return
    show.table(
        ["topology", "nodes", "what"],
        [(n, ", ".join(d.nodes), d.description) for n, d in found.items()],
    )


def services(
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="[LAB|TOPOLOGY]",
            help="A lab, a shipped topology or a file; by default the only existing lab, "
            "else the whole catalogue.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the design's table: each service, its HA strategy, the nodes that run it.

    A retired process keeps its row, with the successor that does its job.
    """
    from labctl.cli import show
    from labctl.documents.catalog import load_catalog
    from labctl.resolve import request, table

    resolved = request.described(which)
    rows = table.of_lab(resolved) if resolved else table.of_catalog(load_catalog())
    if as_json:
        show.as_json(rows)
        return
    show.table(
        ["system", "process", "mode", "strategy", "service", "nodes"],
        [
            (
                row["system"],
                row["process"],
                row["mode"],
                row["strategy"],
                row["service"],
                f"retired: {row['successor']}" if row["retired"] else _where(row),
            )
            for row in rows
        ],
    )


def _where(row: table.Row) -> str:
    """``c1, c2, c3``; ``c1 (of c1, c2, c3)`` when one is active; ``-`` without a lab."""
    nodes = ", ".join(row["nodes"]) or "-"
    others = row["candidates"] != row["nodes"]
    return f"{nodes} (of {', '.join(row['candidates'])})" if others else nodes


def schema(
    kind: Annotated[Document, typer.Argument(help="Which kind of document.")] = Document.TOPOLOGY,
) -> None:
    """Print the JSON Schema of a kind of document, such as topology or scenario."""
    from labctl.cli import show
    from labctl.documents.schema import json_schema

    show.as_json(json_schema(kind.value, models()[kind]))


def models() -> dict[Document, type[BaseModel]]:
    """Kind of document → its model."""
    from labctl.chaos.document.sabotages import SabotageDoc
    from labctl.chaos.document.scenario import ScenarioDoc
    from labctl.model.service import ServiceDoc
    from labctl.model.topology import ExtensionDoc, TopologyDoc

    return {
        Document.TOPOLOGY: TopologyDoc,
        Document.EXTENSION: ExtensionDoc,
        Document.SERVICE: ServiceDoc,
        Document.SCENARIO: ScenarioDoc,
        Document.SABOTAGE: SabotageDoc,
    }
