"""What a topology document may say: nodes, roles, services and overrides."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from labctl.model.service import Document, Name

NodeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,14}$")]
RoleName = Name


class NodeDoc(Document):
    """A failure domain: its roles and, if not chosen by labctl, its address."""

    roles: Annotated[tuple[RoleName, ...], Field(min_length=1)]
    address: IPv4Address | None = None


class NetworkDoc(Document):
    """The lab's network; what is left out labctl chooses from 198.18.0.0/15 (RFC 2544)."""

    subnet: IPv4Network | None = None
    vip: IPv4Address | None = None
    host: IPv4Address | None = None
    """The address of the engine's host in the lab."""


class TopologyDoc(Document):
    """A lab, as a person writes it."""

    name: Name
    description: str
    release: Literal["zed"] = "zed"
    network: NetworkDoc = NetworkDoc()
    nodes: Annotated[dict[NodeName, NodeDoc], Field(min_length=1)]
    roles: Annotated[dict[RoleName, tuple[Name, ...]], Field(min_length=1)]
    """role → services that its nodes run."""
    services: Annotated[dict[Name, dict[str, Any]], Field(default_factory=dict)]
    """service → settings that override those of the catalogue."""
