"""Changes of a timeline, resolved: what is changed, when, and whether the lab has what it names.

Pure. The same scenario and seed give the same changes. Parts (vip-holder) stay symbolic: whose node
is meant is looked up when the change begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from labctl.chaos.document.aims import part_of
from labctl.chaos.document.changes import ALL_IMAGES, ChangeKeys, Verb
from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.document.words import PARTS
from labctl.chaos.model import spans
from labctl.documents.source import Source, printable, suggestion
from labctl.model.lab import Lab
from labctl.planning.desired import NODE_IMAGE


@dataclass(frozen=True)
class Change:
    """A change to be made; ``at`` in seconds since the workloads started."""

    index: int
    """Its number among the faults and changes of the run."""
    at: float
    keys: ChangeKeys
    step: int = 0
    """Its place in the scenario's timeline."""
    nodes: tuple[str, ...] = ()
    """In a repeated run: the nodes that the parts meant then."""

    @property
    def verb(self) -> Verb:
        """What it does."""
        assert self.keys.verb is not None  # noqa: S101 - only such steps become changes
        return self.keys.verb

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes, parts or images that it names; none in a ``change`` of the document."""
        named = getattr(self.keys, self.verb)
        return self.nodes or (named if isinstance(named, tuple) else ())

    @property
    def said(self) -> str:
        """For people: ``replace c2``, ``change mariadb sync_wait to 1``."""
        if self.verb == "change":
            return f"change {', '.join(_told(self.keys.altered['change']))}"
        named = ", ".join(self.names)
        if self.verb == "add":
            return f"add {named} like {self.keys.like}"
        if self.verb == "rebuild":
            return "rebuild all images" if ALL_IMAGES in self.names else f"rebuild image {named}"
        return f"{self.verb} {named}"

    def roles(self, lab: Lab) -> frozenset[str]:
        """The image roles that count as rebuilt."""
        if self.verb != "rebuild":
            return frozenset()
        return _images(lab) if ALL_IMAGES in self.names else frozenset(self.names)


def _told(change: Mapping[str, Any]) -> Iterator[str]:
    for key, value in change.items():
        if key != "services":
            yield f"{key} {json.dumps(value)}"
            continue
        for service, settings in value.items():
            for name, wanted in settings.items():
                yield f"{service} {name} to {json.dumps(wanted)}"


def planned(scenario: ScenarioDoc, seed: int, first: int) -> tuple[Change, ...]:
    """The changes of a scenario in their order; ``first`` is the index that the first one gets."""
    random = Random(f"{scenario.name}/{seed}/changes")  # noqa: S311 - to repeat it, not to hide it
    drawn = [
        (spans.drawn(step.at, random), place, step)
        for place, step in enumerate(scenario.timeline)
        if step.verb is not None
    ]
    drawn.sort(key=lambda each: each[0])
    return tuple(
        Change(first + number, at, ChangeKeys.model_validate(step.altered), place)
        for number, (at, place, step) in enumerate(drawn)
    )


def recorded(row: Mapping[str, Any], offset: float) -> Change:
    """A change of changes.json, to be made again."""
    keys = ChangeKeys.model_validate(row["spec"])
    at = round(float(row["asked"]) - offset, 3)
    return Change(int(row["index"]), at, keys, int(row["step"]), tuple(row["nodes"]))


@dataclass
class _Names:
    """The lab's nodes, as they are when a change begins."""

    lab: Lab
    nodes: dict[str, None] = field(default_factory=dict)

    def problem(self, change: Change) -> str | None:
        """What is wrong with the names in a change."""
        if change.verb == "add":
            return self._of_added(change)
        if change.verb == "rebuild":
            images = sorted({ALL_IMAGES, *_images(self.lab)})
            odd = [name for name in change.names if name not in images]
            return f"no image '{odd[0]}'; {suggestion(odd[0], images)}" if odd else None
        parts = change.verb != "remove"
        problems = (self._of_node(name, parts=parts) for name in change.names)
        return next(filter(None, problems), None)

    def _of_added(self, change: Change) -> str | None:
        for name in change.names:
            if name in self.nodes:
                return f"lab '{self.lab.name}' has a node '{name}' already"
        like = change.keys.like or ""
        return None if like in self.nodes else self._no_node(like)

    def _of_node(self, name: str, *, parts: bool) -> str | None:
        if name == self.lab.client.name:
            return f"{name} is the client node, in which the workloads run"
        part = part_of(name) if parts else None
        if part is None and name not in self.nodes:
            return self._no_node(name, parts=parts)
        if part is not None and PARTS[part] not in self.lab.services:
            return f"nobody is {part}: lab '{self.lab.name}' has no service '{PARTS[part]}'"
        return None

    def _no_node(self, name: str, *, parts: bool = False) -> str:
        what = "node or part" if parts else "node"
        advice = suggestion(name, [*self.nodes, *(PARTS if parts else ())])
        return f"lab '{self.lab.name}' has no {what} '{printable(name)}'; {advice}"

    def follow(self, change: Change) -> None:
        """The nodes once the change has been made."""
        if change.verb == "add":
            self.nodes |= dict.fromkeys(change.names)
        if change.verb == "remove":
            self.nodes = {name: None for name in self.nodes if name not in change.names}
        if change.keys.change is not None:
            self.nodes |= dict.fromkeys(change.keys.change.nodes)


def check(changes: Sequence[Change], lab: Lab, where: Source) -> None:
    """InputError for the first change that names what the lab does not have by then."""
    names = _Names(lab, dict.fromkeys(node.name for node in lab.nodes))
    for change in changes:
        if problem := names.problem(change):
            raise where.error(("timeline", change.step, change.verb), problem)
        names.follow(change)


def concerned(changes: Sequence[Change], lab: Lab) -> set[str]:
    """The services that changes name: those are observed, and their logs kept."""
    found: set[str] = set()
    for change in changes:
        if change.keys.change is not None:
            found |= {*change.keys.change.services}
        roles = change.roles(lab)
        found |= {name for name, service in lab.services.items() if service.image in roles}
        if change.verb in ("replace", "reboot", "add", "remove"):
            found |= {n for n, service in lab.services.items() if service.doc.cluster is not None}
    return found & set(lab.services)


def _images(lab: Lab) -> frozenset[str]:
    return frozenset({NODE_IMAGE, *(service.image for service in lab.services.values())})
