"""Sets: what was added and acknowledged is there from then on, once, and on every member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from math import inf
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
    quote,
    shown,
    unknown,
)
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("lost", "unexpected", "duplicated", "members agree", "stale", "flutter")


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find values lost, unexpected, duplicated or recovered; members that differ; stale reads.

    ``add``: number; ``read``: [low, high] → the numbers there from low to high. Finals: place →
    values.
    """
    there = places(finals)
    adds = [operation for operation in operations if operation.f == "add"]
    reads = [op for op in ended(operations, "ok") if op.f == "read" and isinstance(op.answer, list)]
    seen = [*_strange(adds, reads), *_meanwhile(adds, reads, there or {})]
    if there is None:
        return [unknown("lost", "the final values were not read"), *seen]
    found = accounted(adds, [Counter(map(key, values)) for values in there.values()])
    strange = {finding.check for finding in seen}
    return [*(f for f in found if f.broken or f.check not in strange), *seen, *agreement(there)]


def _strange(adds: Sequence[Operation], reads: Sequence[Operation]) -> Iterator[Finding]:
    """Reads of what failed, was not asked for or had not been requested yet, and of doubles."""
    began = {op.asked: op.began for op in adds if op.end != "fail"}
    wrong = []
    double = []
    for op in reads:
        low, high = op.asked
        ended = inf if op.ended is None else op.ended
        strange = [v for v in op.answer if not low <= v <= high or not began.get(v, inf) <= ended]
        if strange:
            said = f"{shown(strange)} failed, had not been requested yet, or were not asked for"
            wrong.append(quote(op, said))
        if len(set(op.answer)) < len(op.answer):
            double.append(quote(op, "contains a value twice"))
    if wrong:
        why = f"{len(wrong)} reads have values that nobody had added: {wrong[0].said}"
        yield Finding("unexpected", True, why, "always", {"reads": len(wrong)}, wrong)
    if double:
        why = f"{len(double)} reads contain a value twice"
        yield Finding("duplicated", True, why, "once", {"reads": len(double)}, double)


def _meanwhile(
    adds: Sequence[Operation], reads: Sequence[Operation], there: Mapping[str, Sequence[Any]]
) -> Iterator[Finding]:
    """Values that a read misses although they had been there, and are there later.

    Those that never come back are lost, which the end tells.
    """
    if not reads:
        return
    known = {op.asked: op.ended or inf for op in adds if op.end == "ok"}
    last: dict[int, float] = {}
    for op in reads:
        for value in op.answer:
            known[value] = min(known.get(value, inf), op.ended or inf)
            last[value] = max(last.get(value, 0.0), op.began)
    kept_at_end = set().union(*there.values())
    gone: Counter[int] = Counter()
    """Value → how often it went away."""
    away: set[int] = set()
    wrong = []
    for op in sorted(reads, key=lambda op: op.began):
        got = set(op.answer)
        away -= got
        missing = [
            value
            for value in range(op.asked[0], op.asked[1] + 1)
            if value not in got and known.get(value, inf) < op.began
        ]
        back = [v for v in missing if v in kept_at_end or last.get(v, 0.0) > op.began]
        gone.update(set(back) - away)
        away.update(back)
        if back:
            wrong.append((op, f"misses {shown(back)}, which had been there and are there later"))
    often = {value for value, times in gone.items() if times > 1}
    if often:
        why = counted(often, "values came and went more than once")
        said = [Evidence("came and went", value=value) for value in sorted(often)]
        yield Finding("flutter", True, why, "always", {"flutter": len(often)}, said)
    counts = {"reads": len(reads), "stale": len(wrong)}
    if not wrong:
        why = f"{len(reads)} reads saw what had been acknowledged or read before them"
        yield kept("stale", why, "fresh", **counts)
        return
    why = f"{len(wrong)} of {len(reads)} reads miss what had been acknowledged or read before them"
    times = [op.began for op, _ in wrong]
    yield Finding("stale", True, why, "fresh", counts, [quote(*each) for each in wrong], times)


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
