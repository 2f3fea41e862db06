"""Commands that tell what there is: topologies, services, schema."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from labctl.cli.options import JsonOption


class Document(StrEnum):
    """Kinds of documents that have a schema."""

    TOPOLOGY = "topology"
    SERVICE = "service"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl topologies --json")(topologies)
    app.command(epilog="Example: labctl services")(services)
    app.command(epilog="Example: labctl schema topology > topology.schema.json")(schema)


def topologies(as_json: JsonOption = False) -> None:
    """List the shipped topologies."""
    from labctl import lab
    from labctl.cli import show
    from labctl.documents import load
    from labctl.model.topology import TopologyDoc

    found = {name: load(path, TopologyDoc) for name, path in lab.topologies().items()}
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


def services(as_json: JsonOption = False) -> None:
    """Print the catalogue as the design's table: what each service is and how it survives."""
    from labctl.catalog import load_catalog
    from labctl.cli import show

    rows = [(name, doc, doc.row) for name, doc in load_catalog().items()]
    if as_json:
        show.as_json(
            [
                {
                    "service": name,
                    "description": doc.description,
                    "image": doc.image,
                    "row": row.model_dump() if row else None,
                    "needs": list(doc.needs),
                    "memory": doc.memory,
                    "cost": doc.cost,
                }
                for name, doc, row in rows
            ]
        )
        return
    show.table(
        ["service", "system", "process", "mode", "strategy"],
        [
            (name, row.system, row.process, row.mode, row.strategy)
            if row
            else (name, "-", doc.description, "-", "-")
            for name, doc, row in rows
        ],
    )


def schema(
    kind: Annotated[Document, typer.Argument(help="Which kind of document.")] = Document.TOPOLOGY,
) -> None:
    """Print the JSON Schema of topologies or of the catalogue's services."""
    from labctl.cli import show
    from labctl.schema import json_schema

    show.as_json(json_schema(kind.value))
