"""The virtual IP: who held it when; nobody, or two, only while something is broken."""

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
"""Seconds after a fault is healed in which a node may learn that it is not the only holder: an
advert interval, as often as a busy machine delays it, and the interval of observations twice."""

Holding = tuple[Spell, tuple[str, ...]]


def holders(observations: Sequence[Observation]) -> list[Holding]:
    """Who held the virtual IP, over time: spells in which the holders were the same."""
    seen = [(o["t"], tuple(o["vip"])) for o in observations if _looked(o)]
    runs = [(next(group), names) for names, group in groupby(seen, key=lambda one: one[1])]
    begins = [first[0] for first, _ in runs] + [seen[-1][0]] if seen else []
    return [(spell, names) for spell, (_, names) in zip(pairwise(begins), runs, strict=True)]


def check_holders(observations: Sequence[Observation], faults: Sequence[Spell]) -> Finding:
    """One holder at any time, but during faults and SETTLES seconds after.

    Two holders in that time are found, and nobody promises that there are none; that nobody
    holds it then is for budgets to judge.
    """
    seen = [o for o in observations if _looked(o)]
    if not seen:
        return unknown("holders", "nobody looked who holds the virtual IP")
    grace = [(begin, end + SETTLES) for begin, end in faults]
    none = spells(seen, lambda o: not o["vip"])
    double = spells(seen, lambda o: len(o["vip"]) > 1)
    # One observation may fall into the moment of a change.
    lasting = spells(seen, lambda o: len(o["vip"]) > 1, least=2)
    away = spells(seen, lambda o: not o["vip"], least=2)
    wrong = [spell for spell in (*away, *lasting) if outside(spell, grace) > SETTLES / 2]
    counts = {
        "changes": max(0, len(holders(seen)) - 1),
        "none": round(sum(end - begin for begin, end in none), 2),
        "double": round(sum(end - begin for begin, end in double), 2),
    }
    said = [_evidence(spell, "nobody held it") for spell in none]
    said += [_evidence(spell, "more than one held it") for spell in double]
    why = f"nobody held the virtual IP for {counts['none']:.1f} s, two for {counts['double']:.1f} s"
    why += ", though nothing was broken" if wrong else "; never without a fault"
    # VRRP has no quorum: who hears no adverts takes the address.
    aspect: Aspect = "always" if wrong else "held"
    return Finding("holders", bool(wrong or lasting), why, aspect, counts, said)


def check(operations: Sequence[Operation], finals: Finals, settings: Settings) -> list[Finding]:
    """What a client saw: whose MAC its ARP table had, and how long nobody answered.

    Answers are {holder, mac}. Budgets judge the gap; here it is told.
    """
    answered = sorted(ended(operations, "ok"), key=lambda op: op.ended or 0.0)
    if not answered:
        return [unknown("client's holders", "the virtual IP never answered the client")]
    named = [op for op in answered if isinstance(op.answer, dict) and op.answer.get("holder")]
    turns = [next(run) for _, run in groupby(named, key=lambda op: op.answer["holder"])]
    begin, end = longest_gap(operations)
    names = " → ".join(str(op.answer["holder"]) for op in turns[:12]) or "somebody"
    why = f"the client was answered by {names}; the longest gap is {end - begin:.2f} s"
    counts = {"changes": max(0, len(turns) - 1), "gap": round(end - begin, 3)}
    said = [
        Evidence(f"{op.answer['holder']} answers", op.ended, op.process, op.f, op.answer)
        for op in turns
    ]
    return [Finding("client's holders", False, why, "nothing", counts, said)]


def _looked(observation: Observation) -> bool:
    """Whether an observation says who holds it: one with an error could not look."""
    return isinstance(observation.get("vip"), list) and not observation.get("error")


def _evidence(spell: Spell, said: str) -> Evidence:
    return Evidence(f"{said} for {spell[1] - spell[0]:.1f} s", spell[0])
