"""Live display of a run: the timeline as it happens, counts, what is broken now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from labctl.cli.live import Live

_QUIET = 15.0
"""Seconds between lines of counts in a pipe."""
_ENDS = {"ok": ("ok", "green"), "fail": ("failed", "red"), "info": ("unknown", "yellow")}
"""How an operation ended → what is displayed for it, and its colour."""

Counts = Mapping[str, Mapping[str, int]]


class Progress(Live):
    """A line for each event; counts live on a terminal, every few seconds in a pipe."""

    def __init__(self, *, to_stderr: bool) -> None:
        super().__init__(Console(stderr=to_stderr, highlight=False))
        self._told = self._began

    def note(self, text: str) -> None:
        """Print a line with the time since the start."""
        self.line(text)

    def now(self, broken: Sequence[str], counts: Counts) -> None:
        """Show what is broken now, and each workload's operations by how they ended."""
        if self._status:
            at = f"{time.monotonic() - self._began:.0f} s, "
            self._status.update(Group(Text(at).append(_broken(broken)), _grid(counts)))
        elif time.monotonic() - self._told >= _QUIET:
            self._told = time.monotonic()
            said = [f"{name}: {_counted(ends)}" for name, ends in counts.items()]
            self.note("; ".join([_broken(broken).plain, *said]))


def _broken(broken: Sequence[str]) -> Text:
    if not broken:
        return Text("nothing is broken now")
    return Text(f"broken now: {', '.join(broken)}", style="bold red")


def _grid(counts: Counts) -> Table:
    """A line for each workload, with aligned columns of figures."""
    grid = Table.grid(padding=(0, 2))
    for name, ends in counts.items():
        figures = [
            Text(f"{ends.get(end, 0)} {word}", style=colour if ends.get(end) else "dim")
            for end, (word, colour) in _ENDS.items()
        ]
        grid.add_row(name, *figures)
    for column in grid.columns[1:]:
        column.justify = "right"
    return grid


def _counted(ends: Mapping[str, int]) -> str:
    parts = [f"{ends[end]} {word}" for end, (word, _) in _ENDS.items() if ends.get(end)]
    return ", ".join(parts) or "nothing yet"
