"""Image references as engines and registries parse them: ``[host[:port]/]name[:tag][@digest]``.

The grammar is that of the Docker registry's library ``distribution/reference``. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_NAME = rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"

PATTERN = rf"^{_NAME}(?::{_TAG})?(?:@{_DIGEST})?$"

_REFERENCE = re.compile(rf"({_NAME})(?::({_TAG}))?(?:@({_DIGEST}))?")


@dataclass(frozen=True)
class Reference:
    """An image's name with its registry, and its tag or digest."""

    name: str
    tag: str | None = None
    digest: str | None = None

    @property
    def version(self) -> str:
        """What to ask a registry for: the digest, as it is more specific, else the tag."""
        return self.digest or self.tag or "latest"


def parse(text: str) -> Reference:
    """Split a reference into its parts. ValueError when it is not a reference."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an image reference such as debian:bookworm")
    return Reference(*found.groups())
