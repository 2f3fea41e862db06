"""The model of topology documents: nodes, roles, services and overrides."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from labctl.model.document import Document, Name
from labctl.model.service import Profile

NodeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,14}$")]
RoleName = Name


class NodeDoc(Document):
    """A failure domain: its roles, and its address unless labctl chooses it."""

    roles: Annotated[tuple[RoleName, ...], Field(min_length=1)]
    address: IPv4Address | None = None


HostServices = Literal["blocked", "reachable"]
"""Whether the lab may open connections to its engine's host."""


class NetworkDoc(Document):
    """The lab's network; labctl chooses what is left out, from 198.18.0.0/15 (RFC 2544)."""

    subnet: IPv4Network | None = None
    vip: IPv4Address | None = None
    host: IPv4Address | None = None
    """The address of the engine's host in the lab."""
    host_services: HostServices = "blocked"
    """``blocked``: the lab can be reached from the engine's host, but nothing in the lab reaches
    the host's own services or the networks behind it. ``reachable``: nothing is filtered."""


class TopologyDoc(Document):
    """A lab as the user describes it."""

    name: Name
    description: str
    release: Literal["zed"] = "zed"
    network: NetworkDoc = NetworkDoc()
    nodes: Annotated[dict[NodeName, NodeDoc], Field(min_length=1)]
    roles: Annotated[dict[RoleName, tuple[Name, ...]], Field(min_length=1)]
    """role → services that its nodes run."""
    services: Annotated[dict[Name, dict[str, Any]], Field(default_factory=dict)]
    """service → settings that override those of the catalogue."""
    profile: Profile = "full"
    """How much of it comes up by default: services of this profile and of those that it contains
    (support is part of core, core of full)."""
    add: dict[RoleName, tuple[Name, ...]] = Field(default_factory=dict)
    """role → further services, whatever the profile; what they need is added, too."""
    drop: tuple[Name, ...] = ()
    """Services to leave out, whichever role lists them."""


class OverrideDoc(Document):
    """What is different in a topology from another one."""

    network: NetworkDoc | None = None
    nodes: dict[NodeName, NodeDoc] = Field(default_factory=dict)
    """Further nodes, or the other's nodes with other roles."""
    roles: dict[RoleName, tuple[Name, ...]] = Field(default_factory=dict)
    """Further roles, or the other's roles with other services."""
    services: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    """service → settings that override those of the catalogue and of the other topology."""
    profile: Profile | None = None
    """As in a topology."""
    add: dict[RoleName, tuple[Name, ...]] = Field(default_factory=dict)
    """role → further services, whatever the profile; what they need is added, too."""
    drop: tuple[Name, ...] = ()
    """Services to leave out, whichever role lists them."""


class ExtensionDoc(OverrideDoc):
    """A topology that extends another one and overrides part of it."""

    name: Name
    description: str
    extends: str
    """The name of a shipped topology, or the path of a file, relative to this one."""


class Choice(Document):
    """What the user chose of a topology on the command line; recorded with the lab."""

    profile: Profile | None = None
    """The topology's own when left out."""
    add: dict[str, str | None] = Field(default_factory=dict)
    """service → the role that gets it; None: it is implied by what the service needs."""
    drop: tuple[str, ...] = ()

    def updated_by(self, later: Choice) -> Choice:
        """The choice changed by ``later``; what ``later`` does not mention stays."""
        add = {name: role for name, role in self.add.items() if name not in later.drop}
        drop = tuple(n for n in self.drop if n not in later.add and n not in later.drop)
        return Choice(
            profile=later.profile or self.profile,
            add={**add, **later.add},
            drop=(*drop, *later.drop),
        )
