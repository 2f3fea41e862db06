"""labctl whose cuts do nothing: their rules are never put in, and all the rest is as it is."""

from __future__ import annotations

from labctl.cli.main import run
from labctl.faults import partition


def nothing(*_: object, **__: object) -> None:
    """In the place of ``partition.install``."""


if __name__ == "__main__":
    partition.install = nothing
    run()
