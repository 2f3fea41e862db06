"""The base class of all documents, and the types that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from labctl.model import sizes

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/.+$")]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Mode = Annotated[str, StringConstraints(pattern=r"^0[0-7]{3}$")]
Size = Annotated[str, StringConstraints(pattern=sizes.PATTERN)]


class Document(BaseModel):
    """Base of all documents: closed (an unknown key is an error) and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
