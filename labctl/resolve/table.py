"""The design's table, from the catalogue: which service implements which row. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypedDict

from labctl.model.lab import Lab
from labctl.model.service import PROFILES, Profile, ServiceDoc

_NONE = "-"
"""Shown where the design's table says nothing."""


class Row(TypedDict):
    """A row. ``process`` is the design's name; the job of a retired one is done by ``service``.

    ``nodes`` run the service, ``candidates`` may run it (the same unless only one is active); both
    are empty without a lab. ``in_design`` is false for what the design's table does not name.
    """

    system: str
    process: str
    mode: str
    strategy: str
    service: str
    description: str
    profile: Profile
    active: str
    nodes: list[str]
    candidates: list[str]
    in_design: bool
    retired: bool
    successor: str | None
    image: str
    needs: list[str]
    memory: str
    cost: float


def of_catalog(catalog: Mapping[str, ServiceDoc]) -> list[Row]:
    """Every row of the catalogue, without nodes."""
    return _sorted(row for name, doc in catalog.items() for row in _rows(name, doc, [], []))


def of_lab(lab: Lab) -> list[Row]:
    """The rows of a lab, with the nodes that run each service."""
    return _sorted(
        row
        for service in lab.services.values()
        for row in _rows(
            service.name,
            service.doc,
            [node.name for node in service.nodes],
            [node.name for node in service.candidates],
        )
    )


def _sorted(rows: Iterator[Row]) -> list[Row]:
    """Sorted by profile, smallest first, then by system; what the design does not name is last."""
    ranks = {profile: rank for rank, profile in enumerate(PROFILES)}
    return sorted(
        rows, key=lambda row: (not row["in_design"], ranks[row["profile"]], row["system"].lower())
    )


def _rows(name: str, doc: ServiceDoc, nodes: list[str], candidates: list[str]) -> Iterator[Row]:
    row = doc.row
    own = Row(
        system=row.system if row else _NONE,
        process=row.process if row else name,
        mode=row.mode if row else _NONE,
        strategy=row.strategy if row else _NONE,
        service=name,
        description=doc.description,
        profile=doc.profile,
        active=doc.active,
        nodes=nodes,
        candidates=candidates,
        in_design=row is not None,
        retired=False,
        successor=None,
        image=doc.image,
        needs=list(doc.needs),
        memory=doc.memory,
        cost=doc.cost,
    )
    yield own
    for old in doc.retired:
        yield {
            **own,
            "system": old.system or own["system"],
            "process": old.process,
            "mode": old.mode or own["mode"],
            "strategy": old.strategy or own["strategy"],
            "in_design": True,
            "retired": True,
            "successor": old.successor,
        }
