"""Sets: what was added and acknowledged is there at the end, once, and on every member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from labctl.chaos.checks.finding import (
    Finals,
    Settings,
    counted,
    ended,
    evidence,
    kept,
    key,
    places,
    unknown,
)
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("lost", "unexpected", "duplicated", "members agree")


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find values lost, unexpected, duplicated or recovered; members that differ.

    Finals: place → values.
    """
    there = places(finals)
    if there is None:
        return [unknown("lost", "the final values were not read")]
    adds = [operation for operation in operations if operation.f == "add"]
    found = accounted(adds, [Counter(map(key, values)) for values in there.values()])
    return [*found, *agreement(there)]


def accounted(adds: Sequence[Operation], there: Sequence[Mapping[Hashable, int]]) -> list[Finding]:
    """Hold what each place has (value → count) against the operations that added it."""
    acknowledged = {key(op.asked): op for op in adds if op.end == "ok"}
    refused = {key(op.asked): op for op in adds if op.end == "fail"}
    asked = {key(op.asked) for op in adds}
    anywhere = set().union(*there)
    # Values that only some members have are found by the check of their agreement.
    lost = acknowledged.keys() - anywhere
    unexpected = (anywhere - asked) | ((anywhere & refused.keys()) - acknowledged.keys())
    often = {value for place in there for value, times in place.items() if times > 1}
    unsure = {key(op.asked) for op in ended(adds, "info")}
    recovered = unsure & anywhere
    counts = {"acknowledged": len(acknowledged), "there": len(anywhere)}
    return [
        _lost(lost, acknowledged, counts),
        _list(
            "unexpected", unexpected, "there although they failed or were never requested", refused
        )
        if unexpected
        else kept("unexpected", "nothing is there that was not requested"),
        Finding(
            "duplicated",
            bool(often),
            counted(often, "there more than once") if often else "nothing is there twice",
            "once",
            {"duplicated": len(often)},
            [Evidence("there more than once", value=value) for value in often],
        ),
        Finding(
            "recovered",
            broken=False,
            why=f"of {len(unsure)} whose end is unknown, {len(recovered)} are there",
            aspect="nothing",
            counts={"unknown": len(unsure), "recovered": len(recovered)},
        ),
    ]


def _lost(
    lost: set[Hashable], acknowledged: Mapping[Hashable, Operation], counts: Mapping[str, float]
) -> Finding:
    if not acknowledged:
        return unknown("lost", "nothing was acknowledged, so nothing was tested", **counts)
    counts = {**counts, "lost": len(lost)}
    if not lost:
        why = f"all {len(acknowledged)} acknowledged values are there"
        return kept("lost", why, "durable", **counts)
    gone = sorted((acknowledged[value] for value in lost), key=lambda op: op.began)
    return Finding(
        "lost",
        broken=True,
        why=counted(lost, "acknowledged and lost"),
        aspect="durable",
        counts=counts,
        evidence=evidence(gone, "acknowledged, and missing at the end"),
        times=[op.ended for op in gone if op.ended is not None],
    )


def _list(
    check: str, values: set[Any], what: str, operations: Mapping[Hashable, Operation]
) -> Finding:
    known = [operations[value] for value in values if value in operations]
    strange = [Evidence("never requested", value=v) for v in values if v not in operations]
    return Finding(
        check,
        broken=True,
        why=counted(values, what),
        aspect="always",
        counts={check: len(values)},
        evidence=[*evidence(known, "failed, and there at the end"), *strange],
    )


def agreement(there: Mapping[str, Sequence[Any]]) -> list[Finding]:
    """Whether the members' final values are equal."""
    if len(there) < 2:
        return []
    sets = {name: frozenset(map(key, values)) for name, values in there.items()}
    everything = frozenset().union(*sets.values())
    lacking = {name: everything - values for name, values in sets.items() if everything - values}
    if not lacking:
        why = f"{', '.join(sets)} have the same {len(everything)} values"
        return [kept("members agree", why)]
    said = "; ".join(f"{name} lacks {counted(gone, 'of them')}" for name, gone in lacking.items())
    return [
        Finding(
            "members agree",
            broken=True,
            why=f"the members have different values at the end: {said}",
            aspect="always",
            counts={"members": len(sets), "differing": len(lacking)},
            evidence=[
                Evidence(f"not on {n}", value=v) for n, gone in lacking.items() for v in gone
            ],
        )
    ]
