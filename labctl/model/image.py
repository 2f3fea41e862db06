"""The models of ``images/releases.yml`` and ``images/<role>/image.yml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, RootModel, StringConstraints

from labctl.model import reference
from labctl.model.document import Document, Name

UserName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class ReleaseDoc(Document):
    """What a release is built on: a Debian suite, and a ready-made base image of it."""

    suite: Name
    base: Annotated[str, StringConstraints(pattern=reference.PATTERN)]
    """Such as ``debian:bookworm-slim``, with its registry and port if it has one;
    ``debian@sha256:...`` pins it, and it is never updated then."""


class ReleasesDoc(RootModel[dict[Name, ReleaseDoc]]):
    """Every release, by name."""


class FetchDoc(Document):
    """A file that no Debian package has: a member of a wheel, pinned by the wheel's hash."""

    name: str
    """File name in the build context."""
    wheel: str
    """Requirement with its exact version, such as ``package==1.0``."""
    sha256: Annotated[str, Field(min_length=64, max_length=64)]
    """Hash of the wheel."""
    member: str
    """Path of the file in the wheel."""
    python: Annotated[str, StringConstraints(pattern=r"^3\.\d+$")] | None = None
    """Version of the image's Python, for a wheel that depends on it: labctl's own may differ."""
    instead: str
    """Environment variable with the path of a file (or of its directory) to use instead: the
    file itself or a Debian package that contains it."""


class ImageDoc(Document):
    """What an image needs in addition to its Dockerfile and the files beside it."""

    base: Name = "base"
    """The directory of the image that it is built on, for layers that several images share."""
    users: dict[UserName, Annotated[int, Field(ge=900, le=999)]] = Field(default_factory=dict)
    """user → id, created first in the build: for services that run in this image only. The users
    of all images are in ``images/users.yml``."""
    fetch: tuple[FetchDoc, ...] = ()
