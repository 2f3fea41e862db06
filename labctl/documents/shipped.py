"""Where the data that labctl ships is: images, services and topologies."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def data_dir(kind: str) -> Path:
    """The directory of shipped data: ``images``, ``compose`` or ``topologies``.

    In a checkout these are at the top level; an installed wheel has them inside the package.
    """
    installed = _PACKAGE / "data" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
