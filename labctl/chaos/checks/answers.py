"""Answers: the same question always gets the same answer, within a bounded time."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.chaos.checks.finding import Finals, Settings, ended, evidence, kept, key, unknown
from labctl.chaos.checks.windows import percentile
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Finding

FINDS = ("answers", "latency")


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find answers that differ from the first, and those slower than ``bound`` seconds, if set."""
    asked = ended(operations, "ok")
    if not asked:
        return [unknown("answers", "nothing was answered, so nothing was tested")]
    first: dict[object, object] = {}
    other = []
    for op in asked:
        question = (op.f, key(op.asked))
        if first.setdefault(question, key(op.answer)) != key(op.answer):
            other.append(op)
    counts = {"acknowledged": len(asked), "different": len(other)}
    if other:
        why = f"{len(other)} of {len(asked)} answers differ from the first one"
        said = evidence(other, "differs from the first answer")
        found = Finding("answers", True, why, "always", counts, said)
    else:
        found = kept("answers", f"{len(asked)} answers were unchanged", **counts)
    return [found, *_latency(asked, settings)]


def _latency(asked: Sequence[Operation], settings: Settings) -> list[Finding]:
    bound = settings.get("bound")
    if bound is None:
        return []
    times = sorted(op.seconds or 0.0 for op in asked)
    slow = [op for op in asked if (op.seconds or 0.0) > float(bound)]
    counts = {"p50": percentile(times, 50), "p95": percentile(times, 95), "max": times[-1]}
    why = f"the slowest answer took {times[-1]:.2f} s, {len(slow)} took more than {bound} s"
    said = evidence(slow, "slower than the bound")
    return [Finding("latency", bool(slow), why, "always", counts, said)]
