"""Steps of a timeline that change the lab while clients use it: their keys in a scenario."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from labctl.model.document import Document, Name
from labctl.model.topology import NodeName, OverrideDoc

Verb = Literal["change", "replace", "reboot", "add", "remove", "rebuild"]
VERBS: tuple[Verb, ...] = get_args(Verb)

ALL_IMAGES = "images"
"""In ``rebuild``: every image of the lab."""


def _several(value: Any) -> Any:
    """One name may stand for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _names(pattern: str) -> Any:
    one = {"type": "string", "pattern": pattern}
    schema = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
    return BeforeValidator(_several), Field(min_length=1), WithJsonSchema(schema)


Nodes = Annotated[tuple[NodeName, ...], *_names("^[a-z][a-z0-9-]{0,14}$")]
Whose = Annotated[tuple[Name, ...], *_names("^[a-z][a-z0-9-]{0,30}$")]
"""Nodes, or parts: the node of whoever plays the part at that moment."""


class ChangeKeys(Document):
    """What a step may change; one of these, or none in a step that is a fault."""

    change: OverrideDoc | None = None
    """What the lab's document says differently from now on, as in a topology that extends it."""
    replace: Whose | None = None
    """Nodes, or parts (vip-holder), that are replaced by new ones without data, one at a time."""
    reboot: Whose | None = None
    """Nodes, or parts, that are stopped in good order and started again, one at a time. (The fault
    ``reboot`` cuts their power.)"""
    add: Nodes | None = None
    """Nodes to be added, with the roles of the node ``like``."""
    like: NodeName | None = None
    """Of ``add``: the node whose roles the new ones get."""
    remove: Nodes | None = None
    """Nodes that leave for good, with their data."""
    rebuild: Whose | None = None
    """Images (``database``, or ``images`` for all of them) whose containers are replaced as if
    these had been built anew. Those of the client node stay."""

    @property
    def verb(self) -> Verb | None:
        """Which of them it is; None in a step that is a fault."""
        return next((verb for verb in VERBS if getattr(self, verb) is not None), None)

    @property
    def altered(self) -> dict[str, Any]:
        """The keys that are given, as the document has them."""
        keys = (*VERBS, "like")
        given = self.model_dump(mode="json", include=set(keys), exclude_unset=True)
        return {key: given[key] for key in keys if given.get(key) is not None}

    def check_change(self) -> None:
        """ValueError when the keys contradict each other."""
        verbs = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(verbs) > 1:
            raise ValueError(f"a step makes one change, not '{verbs[0]}' and '{verbs[1]}'")
        if (self.like is None) != (self.add is None):
            raise ValueError("'add' and 'like' go together")
