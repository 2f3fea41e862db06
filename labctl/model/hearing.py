"""Which nodes do not hear which others in a partition. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def deaf(
    groups: Sequence[Sequence[str]], direction: str, pairs: Sequence[Sequence[str]]
) -> Mapping[str, tuple[str, ...]]:
    """Node → the nodes that it does not hear; nodes that hear all others are left out.

    Groups do not hear each other: with ``direction`` ``in`` the first does not hear the others but
    is heard, with ``out`` it is not heard but hears them, with ``both`` neither. ``pairs`` are
    further nodes that do not hear each other. A node in no group and no pair hears all others.
    """
    rows: dict[str, tuple[str, ...]] = {}
    for index, group in enumerate(groups):
        severed = direction == "both" or (direction == "in") == (index == 0)
        unheard = tuple(
            node
            for other, nodes in enumerate(groups)
            if other != index and severed
            for node in nodes
        )
        if unheard:
            rows |= dict.fromkeys(group, unheard)
    for one, other in pairs:
        for listener, speaker in ((one, other), (other, one)):
            rows[listener] = (*rows.get(listener, ()), speaker)
    return rows
