"""Why a container is replaced: what it was created with, compared with what is desired."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from labctl.engine.port import Container, Engine
from labctl.planning.desired import HASH, Desired, Unit
from labctl.planning.steps import Plan, Remove

MASK = "********"
_CONTEXT = 1
"""Lines that are shown around one that differs."""
_LIKE_A_SECRET = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
"""What a secret looks like. Earlier secrets are not known any more, but must not be shown."""


@dataclass(frozen=True)
class Difference:
    """One container that is replaced, or removed."""

    container: str
    reasons: tuple[str, ...]
    """In words: ``image a:1 is now a:2``, ``/etc/my.cnf differs``."""
    diff: tuple[str, ...] = ()
    """Lines of a unified diff of the files that differ; secrets are masked."""


def differences(
    engine: Engine, desired: Desired, plan: Plan, secrets: Collection[str]
) -> list[Difference]:
    """Why each container is replaced that the plan removes, in the plan's order.

    ``secrets`` are the values that must not be shown.
    """
    containers = {c.name: c for c in engine.containers(desired.lab.name)}
    removed = [step.container for step in plan.steps.values() if isinstance(step, Remove)]
    return [
        _difference(engine, containers[name], desired.units.get(name), secrets)
        for name in removed
        if name in containers
    ]


def _difference(
    engine: Engine, there: Container, unit: Unit | None, secrets: Collection[str]
) -> Difference:
    if unit is None:
        return Difference(there.name, ("it is not part of the lab any more",))
    if there.labels.get(HASH) == unit.hash:
        what = "its node" if unit.spec.join else "the network"
        why = "it was never started" if there.status == "created" else f"{what} is recreated"
        return Difference(there.name, (why,))
    reasons, diff = [], list[str]()
    if there.image != unit.spec.image:
        reasons.append(f"image {there.image} is now {unit.spec.image}")
    for file in unit.files:
        before = engine.read_file(there.name, file.path)
        if before is None:
            reasons.append(f"{file.path} is new")
        elif before != file.data:
            reasons.append(f"{file.path} differs")
            diff += _diff(file.path, before, file.data, secrets)
    return Difference(
        there.name, tuple(reasons or ["its settings as a container differ"]), (*diff,)
    )


def _diff(path: str, before: bytes, after: bytes, secrets: Collection[str]) -> Iterator[str]:
    old, new = (data.decode(errors="replace").splitlines() for data in (before, after))
    for line in difflib.unified_diff(old, new, path, path, n=_CONTEXT, lineterm=""):
        shown = line
        for secret in sorted(secrets, key=len, reverse=True):
            shown = shown.replace(secret, MASK)
        yield shown if line.startswith(("---", "+++")) else _LIKE_A_SECRET.sub(_masked, shown)


def _masked(found: re.Match[str]) -> str:
    """Mask a long word, unless it looks like a path or a name."""
    text = found.group()
    random = any(c.isdigit() for c in text) and any(c.isupper() for c in text)
    return MASK if random else text
