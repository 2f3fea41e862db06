"""Positions in a document, so that an error can name file, line and place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from labctl.errors import InputError

Place = tuple[str | int, ...]
"""Keys and list indices from the top of a document down to a value."""


def printable(text: str, limit: int = 60) -> str:
    """``text`` on one line, cut to ``limit`` characters, for use in a sentence."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else repr(cut)[1:-1]


def dotted(place: Place) -> str:
    """``nodes.c1.roles[0]`` for ``("nodes", "c1", "roles", 0)``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{printable(part)}"
    return text.removeprefix(".")


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or the allowed names when none is similar."""
    names = list(known)
    near = get_close_matches(wrong, names, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"allowed: {', '.join(names)}" if names else "none is allowed here"


@dataclass(frozen=True)
class Source:
    """A document's name and the lines of its places (1-based), as far as they are known."""

    name: str
    lines: Mapping[Place, int] = field(default_factory=dict)
    written: Mapping[Place, str] = field(default_factory=dict, repr=False)
    """Place → source text of a value that YAML does not read as text (numbers, yes/no)."""

    def line(self, place: Place) -> int | None:
        """The line of a place, or of the nearest enclosing place in the document."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return None

    def error(self, place: Place, problem: str) -> InputError:
        """``file:line: place: problem`` as the error to raise."""
        line = self.line(place)
        where = [self.name if line is None else f"{self.name}:{line}", dotted(place), problem]
        return InputError(": ".join(part for part in where if part))
