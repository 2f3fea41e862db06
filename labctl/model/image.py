"""What ``images/releases.yml`` and ``images/<role>/image.yml`` may say."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, RootModel, StringConstraints

from labctl.model import reference
from labctl.model.document import Document, Name

UserName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class ReleaseDoc(Document):
    """What a release is built on: a Debian suite, and the image that holds it ready-made."""

    suite: Name
    base: Annotated[str, StringConstraints(pattern=reference.PATTERN)]
    """Such as ``debian:bookworm-slim``, with its registry and port where it has one; pinned, and
    never renewed by itself, with ``debian@sha256:...``."""


class ReleasesDoc(RootModel[dict[Name, ReleaseDoc]]):
    """Every release, by name."""


class FetchDoc(Document):
    """A file that is in no Debian package: a member of a wheel, pinned by the wheel's hash."""

    name: str
    """Of the file in the build context."""
    wheel: str
    """Requirement with its exact version, such as ``package==1.0``."""
    sha256: Annotated[str, Field(min_length=64, max_length=64)]
    """Of the wheel."""
    member: str
    """Path of the file in the wheel."""
    python: Annotated[str, StringConstraints(pattern=r"^3\.\d+$")] | None = None
    """Version of the image's Python, where the wheel is built for one: labctl's own may differ."""
    instead: str
    """Environment variable that names a file (or the directory it is in) to use instead: the
    file itself or a Debian package of it."""


class ImageDoc(Document):
    """What an image needs besides its Dockerfile and the files beside it."""

    base: Name = "base"
    """The directory of the image that it is built on: layers that several images share."""
    users: dict[UserName, Annotated[int, Field(ge=900, le=999)]] = Field(default_factory=dict)
    """user → id, made before anything else of it: for what runs in this image only. Those that
    all images have are in ``images/users.yml``, which they are all built on."""
    fetch: tuple[FetchDoc, ...] = ()
