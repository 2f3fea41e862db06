"""The keys that kinds of faults declare, as fields of a scenario's faults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from labctl.faults.kind import FaultKind, Key


def kind_keys(kinds: Iterable[FaultKind]) -> dict[str, Any]:
    """Key → type and field, for ``create_model``. Where kinds share a key each says what it means.

    ValueError when two kinds take different things by the same key.
    """
    declared: dict[str, list[Key]] = {}
    for kind in kinds:
        for key in kind.keys:
            declared.setdefault(key.name, []).append(key)
    return {name: _field(keys) for name, keys in declared.items()}


def _field(keys: list[Key]) -> Any:
    first = _annotation(keys[0])
    for key in keys:
        if repr(_annotation(key)) != repr(first):
            raise ValueError(f"two kinds of faults take different things by '{key.name}'")
    said = " ".join(dict.fromkeys(key.description for key in keys))
    return (first | None, Field(default=None, description=said))


def _annotation(key: Key) -> Any:
    constraints: list[Any] = []
    if key.pattern is not None:
        constraints.append(StringConstraints(pattern=key.pattern))
    if (key.above, key.least, key.most) != (None, None, None):
        constraints.append(Field(gt=key.above, ge=key.least, le=key.most))
    if key.check is not None:
        constraints.append(AfterValidator(key.check))
    return Annotated[(key.type, *constraints)] if constraints else key.type
