"""The documents in ``images/``: releases, image roles, and the users that services run as."""

from __future__ import annotations

from pathlib import Path

from labctl.documents import shipped
from labctl.documents.reader import load, load_with_source, read_yaml
from labctl.errors import InputError
from labctl.model.image import ImageDoc, ReleaseDoc, ReleasesDoc

BASE = "base"
"""The directory of the image that all others are built on; it is not a role."""
TEMPLATE = "Dockerfile.j2"
DOCUMENT = "image.yml"


def release_doc(release: str) -> ReleaseDoc:
    """What a release is built on. InputError when there is no such release."""
    path = shipped.data_dir("images") / "releases.yml"
    releases = load(path, ReleasesDoc).root
    if release not in releases:
        raise InputError(f"unknown release '{release}'; {path} has: {', '.join(sorted(releases))}")
    return releases[release]


def roles() -> list[str]:
    """Every image role, sorted."""
    found = shipped.data_dir("images").glob(f"*/{TEMPLATE}")
    return sorted(path.parent.name for path in found if path.parent.name != BASE)


def user_ids(images: Path | None = None) -> dict[str, int]:
    """Every user that services run as → its id, whether in all images or in one.

    ``images`` is the directory of images; the default is the shipped one. InputError when two
    users share an id, or one user has two.
    """
    directory = images or shipped.data_dir("images")
    found: dict[str, int] = dict(read_yaml(directory / "users.yml"))
    for path in sorted(directory.glob(f"*/{DOCUMENT}")):
        doc, source = load_with_source(path, ImageDoc)
        for name, number in doc.users.items():
            taken = next((n for n, other in found.items() if other == number and n != name), None)
            if taken is not None or found.setdefault(name, number) != number:
                problem = (
                    f"the id {number} is taken by {taken}" if taken else "has another id elsewhere"
                )
                raise source.error(("users", name), f"{problem}; see {directory / 'users.yml'}")
    return found
