"""The virtual IP: exactly one holder, except while something is broken."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from labctl.chaos.checks.finding import Finals, Settings, ended, unknown
from labctl.chaos.checks.observed import Observation, outside, spells
from labctl.chaos.checks.windows import Spell, longest_gap
from labctl.chaos.folder.history import Operation
from labctl.chaos.model.findings import Aspect, Evidence, Finding

FINDS = ("holders", "client's holders")

SETTLES = 10.0
"""Seconds after a fault is healed within which a node may learn that it is not the only holder:
some advert intervals, since a busy machine delays adverts, and twice the interval of
observations."""

Holding = tuple[Spell, tuple[str, ...]]


def holders(observations: Sequence[Observation]) -> list[Holding]:
    """Who held the virtual IP, over time: spells in which the holders were the same."""
    seen = [(o["t"], tuple(o["vip"])) for o in observations if _looked(o)]
    runs = [(next(group), names) for names, group in groupby(seen, key=lambda one: one[1])]
    begins = [first[0] for first, _ in runs] + [seen[-1][0]] if seen else []
    return [(spell, names) for spell, (_, names) in zip(pairwise(begins), runs, strict=True)]


def check_holders(
    observations: Sequence[Observation],
    parted: Sequence[Spell],
    moved: Sequence[Spell] | None = None,
) -> Finding:
    """There is one holder at any time, except for SETTLES seconds and while a fault explains it.

    ``parted`` are the times in which a fault was in force that may keep keepaliveds from hearing
    each other, or one from acting: there may be two holders. ``moved`` (by default the same) are
    those in which the address may have to move: there may be none, for as long as budgets say.
    Two holders in that time are reported, but break no promise.
    """
    seen = [o for o in observations if _looked(o)]
    if not seen:
        return unknown("holders", "the virtual IP's holder was not observed")
    none = spells(seen, lambda o: not o["vip"])
    double = spells(seen, lambda o: len(o["vip"]) > 1)
    # A single observation may fall into the moment of a change.
    lasting = spells(seen, lambda o: len(o["vip"]) > 1, least=2)
    away = spells(seen, lambda o: not o["vip"], least=2)
    wrong = [spell for spell in lasting if outside(spell, _settled(parted)) > SETTLES / 2]
    wrong += [
        spell
        for spell in away
        if outside(spell, _settled(parted if moved is None else moved)) > SETTLES / 2
    ]
    counts = {
        "changes": max(0, len(holders(seen)) - 1),
        "none": round(sum(end - begin for begin, end in none), 2),
        "double": round(sum(end - begin for begin, end in double), 2),
    }
    said = [_evidence(spell, "no node held it") for spell in none]
    said += [_evidence(spell, "more than one node held it") for spell in double]
    why = (
        f"no node held the virtual IP for {counts['none']:.1f} s, two for {counts['double']:.1f} s"
    )
    why += ", although nothing was broken that explains it" if wrong else "; never without a fault"
    # VRRP has no quorum: a node that hears no adverts takes the address.
    aspect: Aspect = "always" if wrong else "held"
    return Finding("holders", bool(wrong or lasting), why, aspect, counts, said)


def _settled(faults: Sequence[Spell]) -> list[Spell]:
    return [(begin, end + SETTLES) for begin, end in faults]


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """What a client saw: whose MAC its ARP table had, and the longest gap without an answer.

    Answers are {holder, mac}. The gap is for information; budgets judge it.
    """
    answered = sorted(ended(operations, "ok"), key=lambda op: op.ended or 0.0)
    if not answered:
        return [unknown("client's holders", "the virtual IP never answered the client")]
    named = [op for op in answered if isinstance(op.answer, dict) and op.answer.get("holder")]
    turns = [next(run) for _, run in groupby(named, key=lambda op: op.answer["holder"])]
    begin, end = longest_gap(operations)
    names = " → ".join(str(op.answer["holder"]) for op in turns[:12]) or "an unknown node"
    why = f"the client got answers from {names}; the longest gap is {end - begin:.2f} s"
    counts = {"changes": max(0, len(turns) - 1), "gap": round(end - begin, 3)}
    said = [
        Evidence(f"{op.answer['holder']} answers", op.ended, op.process, op.f, op.answer)
        for op in turns
    ]
    return [Finding("client's holders", False, why, "nothing", counts, said)]


def _looked(observation: Observation) -> bool:
    """Whether an observation says who holds it; one with an error does not."""
    return isinstance(observation.get("vip"), list) and not observation.get("error")


def _evidence(spell: Spell, said: str) -> Evidence:
    return Evidence(f"{said} for {spell[1] - spell[0]:.1f} s", spell[0])
