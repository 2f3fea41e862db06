"""Resources of an API: what was acknowledged exists, once, intact, and is not stuck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labctl.chaos.checks.finding import (
    Finals,
    Settings,
    counted,
    ended,
    evidence,
    kept,
    unknown,
)
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("lost", "stale", "orphans", "doubles", "stuck")

ABSENT = "absent"
"""The status of a thing that does not exist."""

_BAD = ("error", "_failed", "killed")
"""Endings of the statuses of things that failed."""
_TRANSITIONAL = ("ing", "_progress", "build", "queued", "pending_create", "pending_delete")
"""Endings of the statuses of things in transition."""
_NOT_TRANSITIONAL = ("running", "listening")
SETTLE = 30.0
"""Seconds that a thing may be in transition, unless the workload sets ``settle``."""

Thing = Mapping[str, Any]


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find lost, stale, orphaned, doubled and stuck things.

    ``create`` and ``delete`` have a thing's name, ``read`` answers {name, status, intact}; finals:
    place → things of the same form. What was requested less than ``settle`` seconds (a setting)
    before the end may still be in transition.
    """
    made = {_name(op): op for op in operations if op.f == "create"}
    deleted = {_name(op): op for op in operations if op.f == "delete"}
    created = [op for op in ended(operations, "ok") if op.f == "create"]
    if finals is None:
        return [unknown("lost", "what exists at the end was not listed")]
    if not created:
        return [unknown("lost", "nothing was acknowledged, so nothing was tested")]
    things = [thing for thing in _things(finals) if _status(thing) != ABSENT]
    there = {str(thing["name"]): thing for thing in things}
    gone = {name for name, op in deleted.items() if op.end == "ok"}
    unsure = {name for name, op in deleted.items() if op.end != "fail"}
    missing = [op for op in created if _name(op) not in unsure and _name(op) not in there]
    answers = [op for op in ended(operations, "ok") if op.f == "read"]
    spoilt = {_name(op) for op in answers if _said(op).get("intact") is False}
    spoilt |= {name for name, thing in there.items() if thing.get("intact") is False}
    damaged = [op for op in created if _name(op) in spoilt]
    refused = {name for name, op in made.items() if op.end == "fail"}
    late = _late(operations, float(settings.get("settle", SETTLE)))
    orphans = {
        name
        for name, thing in there.items()
        if name in refused or (name in gone and name not in late and not _between(thing))
    }
    times = Counter(str(thing["name"]) for thing in things)
    doubles = {name for name, count in times.items() if count > 1}
    stuck = {
        name: str(thing["status"])
        for name, thing in there.items()
        if _bad(thing) or (_between(thing) and name not in late)
    }
    good = {_name(op) for op in answers if _good(_said(op))}
    good |= {name for name, thing in there.items() if _good(thing)}
    return [
        _lost(missing, damaged, len(created)),
        _stale(answers, made, deleted),
        _named("orphans", orphans, "there although refused or deleted", "always"),
        _named("doubles", doubles, "there more than once", "once"),
        _stuck(stuck, operations, good & {_name(op) for op in created}),
    ]


def _late(operations: Sequence[Operation], settle: float) -> set[str]:
    """The things that were changed too shortly before the end for that to be done."""
    end = max(op.began if op.ended is None else op.ended for op in operations)
    changes = [op for op in operations if op.f in ("create", "delete")]
    return {_name(op) for op in changes if (op.ended or op.began) > end - settle}


def _stuck(stuck: Mapping[str, str], operations: Sequence[Operation], good: set[str]) -> Finding:
    """Things that neither finish nor fail cleanly, and when each was last changed."""
    if not good:
        why = "nothing that was acknowledged was ever completed, so nothing was tested"
        return unknown("stuck", why, stuck=len(stuck))
    found = _named(
        "stuck", {f"{n} ({s})" for n, s in stuck.items()}, "stuck in transition", "settled"
    )
    changes = [op for op in operations if op.f in ("create", "delete") and _name(op) in stuck]
    asked = {_name(op): op.began for op in sorted(changes, key=lambda op: op.began)}
    return replace(found, times=sorted(asked.values()))


def _lost(missing: Sequence[Operation], damaged: Sequence[Operation], created: int) -> Finding:
    counts = {"acknowledged": created, "lost": len(missing), "damaged": len(damaged)}
    if not missing and not damaged:
        return kept(
            "lost", f"all {created} acknowledged things are there and intact", "durable", **counts
        )
    said = evidence(missing, "acknowledged, and missing at the end")
    said += evidence(damaged, "acknowledged, and not as sent")
    why = f"of {created} acknowledged, {len(missing)} are missing and {len(damaged)} are damaged"
    times = [op.ended for op in (*missing, *damaged) if op.ended is not None]
    return Finding("lost", True, why, "durable", counts, said, times)


def _stale(
    answers: Sequence[Operation],
    made: Mapping[str, Operation],
    deleted: Mapping[str, Operation],
) -> Finding:
    """Reads that did not find what had been acknowledged before them and not been deleted."""
    wrong = []
    for op in answers:
        create, delete = made.get(_name(op)), deleted.get(_name(op))
        there = create is not None and create.end == "ok" and (create.ended or 0.0) <= op.began
        before = delete is None or delete.began > (op.ended or op.began)
        if there and before and _said(op).get("status") == ABSENT:
            wrong.append(op)
    counts = {"reads": len(answers), "stale": len(wrong)}
    if not wrong:
        return kept("stale", f"{len(answers)} reads found what they should", "fresh", **counts)
    why = f"{len(wrong)} of {len(answers)} reads did not find what was acknowledged before them"
    said = evidence(wrong, "not found, although acknowledged before")
    return Finding("stale", True, why, "fresh", counts, said)


def _said(operation: Operation) -> Thing:
    return operation.answer if isinstance(operation.answer, Mapping) else {}


def _named(check: str, names: set[str], what: str, aspect: Any) -> Finding:
    if not names:
        return kept(check, f"nothing is {what}", aspect)
    said = [Evidence(what, value=name) for name in sorted(names)]
    return Finding(check, True, counted(names, what), aspect, {check: len(names)}, said)


def _name(operation: Operation) -> str:
    value = operation.asked
    return str(value.get("name")) if isinstance(value, Mapping) else str(value)


def _between(thing: Thing) -> bool:
    status = _status(thing)
    return status.endswith(_TRANSITIONAL) and status not in _NOT_TRANSITIONAL


def _bad(thing: Thing) -> bool:
    return _status(thing).endswith(_BAD)


def _good(thing: Thing) -> bool:
    return _status(thing) not in ("", ABSENT) and not _between(thing) and not _bad(thing)


def _status(thing: Thing) -> str:
    """Its status; a thing that is listed without one exists."""
    return str(thing.get("status", "there") or "").lower()


def _things(finals: Any) -> Iterator[Thing]:
    """Every mapping with a name, at any depth of finals; a text is a thing without a status."""
    if isinstance(finals, Mapping):
        if "name" in finals:
            yield finals
            return
        for name, value in finals.items():
            if isinstance(value, Mapping) and "status" in value and "name" not in value:
                yield {"name": name, **value}
            else:
                yield from _things(value)
    elif isinstance(finals, list):
        for value in finals:
            yield from [{"name": value}] if isinstance(value, str) else _things(value)
