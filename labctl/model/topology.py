"""What a topology document may say: nodes, roles, services and overrides."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from labctl.model.document import Document, Name
from labctl.model.service import Profile

NodeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,14}$")]
RoleName = Name


class NodeDoc(Document):
    """A failure domain: its roles and, if not chosen by labctl, its address."""

    roles: Annotated[tuple[RoleName, ...], Field(min_length=1)]
    address: IPv4Address | None = None


HostServices = Literal["blocked", "reachable"]
"""Whether the lab may open connections to its engine's host."""


class NetworkDoc(Document):
    """The lab's network; what is left out labctl chooses from 198.18.0.0/15 (RFC 2544)."""

    subnet: IPv4Network | None = None
    vip: IPv4Address | None = None
    host: IPv4Address | None = None
    """The address of the engine's host in the lab."""
    host_services: HostServices = "blocked"
    """``blocked``: people reach the lab from the engine's host, and nothing in the lab reaches what
    that host listens on or the networks behind it. ``reachable``: nothing is filtered there."""


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
    profile: Profile = "full"
    """How much of it comes up when nothing else is asked for: services of this profile and of
    those that it holds (support is part of core, core of full)."""
    add: dict[RoleName, tuple[Name, ...]] = Field(default_factory=dict)
    """role → further services, whatever the profile; what they need comes along."""
    drop: tuple[Name, ...] = ()
    """Services to leave out, whichever role lists them."""


class ExtensionDoc(Document):
    """A topology that differs from another one in what is said here."""

    name: Name
    description: str
    extends: str
    """A shipped topology, or the path of a file, seen from this one."""
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
    """role → further services, whatever the profile; what they need comes along."""
    drop: tuple[Name, ...] = ()
    """Services to leave out, whichever role lists them."""


class Choice(Document):
    """What a person chose of a topology on the command line; kept with the lab."""

    profile: Profile | None = None
    """The topology's own when left out."""
    add: dict[str, str | None] = Field(default_factory=dict)
    """service → the role that gets it; None where it is evident."""
    drop: tuple[str, ...] = ()

    def then(self, later: Choice) -> Choice:
        """What is chosen when ``later`` changes some of it: what it does not speak of stays."""
        add = {name: role for name, role in self.add.items() if name not in later.drop}
        drop = tuple(n for n in self.drop if n not in later.add and n not in later.drop)
        return Choice(
            profile=later.profile or self.profile,
            add={**add, **later.add},
            drop=(*drop, *later.drop),
        )
