"""Age of measures: the newest measure of a polled meter is never older than a bound."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.chaos.checks.finding import Finals, Settings, ended, evidence, kept, unknown
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Finding

FINDS = ("age",)


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """Find measures older than ``bound`` seconds (a setting). ``measure`` answers {age, moment}."""
    seen = [op for op in ended(operations, "ok") if op.f == "measure"]
    if not seen:
        return [unknown("age", "no measure was seen, so nothing was tested")]
    moments = {op.answer["moment"] for op in seen}
    bound, oldest = float(settings["bound"]), max(op.answer["age"] for op in seen)
    old = [op for op in seen if op.answer["age"] > bound]
    counts = {"measures": len(moments), "oldest": oldest, "old": len(old)}
    why = f"{len(moments)} measures; the newest was at most {oldest:.0f} s old, of {bound:g} s"
    if not old:
        return [kept("age", why, **counts)]
    said = evidence(old, "there was no newer measure")
    return [Finding("age", True, why, "always", counts, said)]
