"""Collateral damage: an instance that is not ready although nothing that it needs was broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labctl.chaos.checks.finding import counted, kept
from labctl.chaos.checks.observed import Observation, outside, spells
from labctl.chaos.checks.windows import Spell
from labctl.chaos.model.findings import Evidence, Finding

FINDS = ("not ready",)

_LATE = 10.0
"""Seconds for which an instance may seem not ready: a busy machine answers probes late."""


def check(
    observations: Sequence[Observation], touching: Callable[..., Sequence[Spell]]
) -> Finding | None:
    """Find instances that were not ready at a time that no fault explains.

    ``touching`` says when faults were in force that act on a service or on what it needs. None
    when no instance was looked at.
    """
    looked = [o for o in observations if isinstance(o.get("unready"), list)]
    if not looked:
        return None
    names = sorted({str(name) for o in looked for name in o["unready"]})
    wrong: list[Evidence] = []
    for name in names:
        faults = touching(name.partition("/")[2])
        for spell in spells(looked, lambda o, name=name: name in o["unready"], least=3):  # type: ignore[misc]
            if outside(spell, faults) > _LATE:
                said = f"{name} was not ready for {spell[1] - spell[0]:.1f} s"
                wrong.append(Evidence(said, spell[0]))
    if not wrong:
        return kept("not ready", "all that nothing had broken was ready")
    hit = {piece.said.partition(" ")[0] for piece in wrong}
    why = counted(hit, "not ready although nothing was broken that they need")
    return Finding("not ready", True, why, "always", {"instances": len(hit)}, wrong)
