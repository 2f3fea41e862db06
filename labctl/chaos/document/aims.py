"""Targets as a scenario names them: read and checked, not yet looked up in a lab."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from labctl.chaos.document.words import PARTS, PARTS_OF, SHARES, Share
from labctl.documents.source import printable, suggestion

OTHERS = "others"
"""In a cut's groups: every node that no group names."""

_NAME = re.compile(r"[a-z][a-z0-9-]*(:[^\s/:]+)?(/[a-z][a-z0-9-]*)?")

SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                **{share: {"type": "string"} for share in SHARES},
                "is": {"type": "string"},
                "not": {"type": ["string", "array"], "items": {"type": "string"}},
            },
            "additionalProperties": False,
        },
        {"type": "array", "minItems": 1},
    ]
}
"""JSON Schema of a target."""


@dataclass(frozen=True)
class Aim:
    """A target: ``who`` (a node or a part, either with ``/service``), or a share of a service.

    ``unless`` excludes targets that are, at the moment of the fault, one of these or on its node.
    """

    who: str = ""
    share: Share | None = None
    service: str = ""
    unless: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """For people: ``one mariadb but not galera-writer``."""
        name = self.who or f"{self.share} {self.service}"
        return f"{name} but not {' or '.join(self.unless)}" if self.unless else name

    @property
    def names(self) -> tuple[str, ...]:
        """Its names, which must be those of nodes or parts."""
        return (*filter(None, [self.who]), *self.unless)


def aims(value: Any) -> tuple[Aim, ...]:
    """Parse the value of ``target:``. ValueError, one sentence, if it is malformed."""
    if isinstance(value, list):
        if not value:
            raise ValueError("is an empty list, should name a target")
        return tuple(aim for each in value for aim in aims(each))
    if isinstance(value, str):
        return (Aim(who=_name(value)),)
    if isinstance(value, dict):
        return (_chosen(value),)
    raise ValueError("should be a target such as c1, c1/mariadb, galera-writer or {one: mariadb}")


def groups(value: Any) -> tuple[tuple[Aim, ...], ...]:
    """Parse the groups of a cut. ValueError, one sentence, if they are malformed."""
    if not isinstance(value, list) or not value or not all(isinstance(g, list) for g in value):
        raise ValueError("should be a list of lists of nodes such as [[c1, client], [c2, c3]]")
    return tuple(aims(group) for group in value)


def part_of(name: str) -> str | None:
    """The part that a name begins with (``rabbit-leader`` of ``rabbit-leader:q/rabbitmq``)."""
    first = name.partition("/")[0].partition(":")[0]
    return first if first in PARTS else None


def _chosen(value: dict[str, Any]) -> Aim:
    first = [key for key in value if key != "not"]
    if len(first) != 1 or first[0] not in (*SHARES, "is"):
        wrong = next((key for key in first if key not in (*SHARES, "is")), None)
        if wrong is not None:
            raise ValueError(f"has no key '{printable(wrong)}'; {suggestion(wrong, _KEYS)}")
        raise ValueError(f"should have exactly one of the keys {', '.join(_KEYS[:-1])}")
    key, named = first[0], value[first[0]]
    unless = _excluded(value.get("not", []))
    if key == "is":
        return Aim(who=_name(named), unless=unless)
    if not isinstance(named, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", named):
        raise ValueError(f"should name a service after '{key}:', such as {{{key}: mariadb}}")
    return Aim(share=cast(Share, key), service=named, unless=unless)


_KEYS = (*SHARES, "is", "not")


def _excluded(value: Any) -> tuple[str, ...]:
    listed: Sequence[Any] = value if isinstance(value, list) else [value]
    return tuple(_name(each) for each in listed)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        said = f"'{printable(value, 40)}'" if isinstance(value, str) else "this"
        raise ValueError(
            f"{said} is no target such as c1, c1/mariadb, galera-writer or {{one: mariadb}}"
        )
    first = value.partition("/")[0]
    part, colon, _ = first.partition(":")
    if colon and part not in PARTS_OF:
        raise ValueError(f"only {', '.join(PARTS_OF)} take ':NAME', not '{printable(part)}'")
    if part not in PARTS and "-" in part:
        near = get_close_matches(part, PARTS, n=1, cutoff=0.8)
        if near:
            raise ValueError(f"no part '{printable(part)}'; did you mean '{near[0]}'?")
    return value
