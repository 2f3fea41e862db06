"""What a run records of a kind of fault."""

from __future__ import annotations

from typing import Any

from labctl.faults.kinds import registered


def traits(word: str) -> dict[str, Any]:
    """As it is in timeline.json."""
    return registered()[word].traits
