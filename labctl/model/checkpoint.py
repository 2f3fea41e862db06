"""The model of a checkpoint's manifest: what it is a copy of, and what it consists of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from labctl.model.document import Document, Name
from labctl.model.topology import Choice, TopologyDoc

FORMAT: Literal[1] = 1
PartName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,200}$")]
"""A volume's name without the lab's, or ``store-data`` for one that all instances get."""


class Part(Document):
    """An archive of a volume, and the volumes that get what is in it."""

    name: PartName
    volumes: Annotated[tuple[PartName, ...], Field(min_length=1)]
    """Without the lab's name, with which they begin in a lab."""
    size: Annotated[int, Field(ge=0)]
    """Bytes, compressed."""

    @property
    def file(self) -> str:
        """The archive's name in the checkpoint's directory."""
        return f"{self.name}.tar.gz"


class Manifest(Document):
    """All that is known about a checkpoint but its data."""

    format: Literal[1] = FORMAT
    created: str
    """UTC, ISO 8601."""
    lab: Name
    """The lab that it is of."""
    source: str
    """The document that the topology comes from, for messages."""
    topology: TopologyDoc
    choice: Choice
    placed: dict[str, str]
    """Active/passive service → the node to which it was moved."""
    identity: dict[str, str]
    """What a lab must have in common with it (``labctl.planning.identity``)."""
    jobs: tuple[str, ...]
    """``service/job`` of the one-shot jobs whose results are in the data."""
    secrets: dict[str, str]
    """Those without which the data cannot be read."""
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)
