"""From a run's record to its verdict. Pure, except for reading the folder.

At every moment of a run, every workload is served within its bound, or a fault that explains it is
in force, or the run is INVALID. Every acknowledged operation is there, or a promise that excuses
exactly this loss at exactly this time is named, or the run is INVALID. The rules, in order:

1. A lab that was not steady before the faults is not judged: UNKNOWN, with what was found.
2. What is missing from the record makes the run UNKNOWN, whatever else was found: a history that
   is not the one recorded, a member whose end nobody read, an observer that saw nothing, a fault
   that ended earlier than planned (see :mod:`labctl.chaos.judge.evidence`).
3. A check or a budget that is INVALID makes the run INVALID, unless the scenario allows it.
4. A check or a budget that is UNKNOWN, or a fault that had no effect, makes it UNKNOWN. So does a
   workload that was not served before the faults, or asked nothing while one went on.
5. A lab that is not steady after the run is INVALID, as the check ``steady`` of ``lab``.
6. What a scenario says it shows must show. ``known`` names what becomes of some promise, ``away``
   how long a workload must go unanswered; if no check comes out so, nothing was away for as long,
   or the scenario expects INVALID and nothing is, the run is no proof of anything: UNKNOWN, it did
   not show this time. It is not INVALID, for the store did nothing wrong, and not VALID, for then
   a broken checker would pass.

``expect.outcome`` changes no outcome: INVALID that was expected is INVALID. Whether it came out as
expected is said beside it, and decides the exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from labctl.chaos.checks import STEADY, api, checker, collateral, dead, members, vip, windows
from labctl.chaos.checks.finding import unknown
from labctl.chaos.folder.history import by_workload
from labctl.chaos.judge import changes, evidence, excuses, ledger, record
from labctl.chaos.judge.explained import Explainer
from labctl.chaos.judge.record import Data, Record
from labctl.chaos.judge.served import served
from labctl.chaos.model.findings import (
    Budget,
    Check,
    Evidence,
    Finding,
    Outcome,
    Standing,
    Steady,
    Verdict,
)
from labctl.chaos.model.spans import seconds
from labctl.workloads.registry import KINDS

Budgets = Callable[[Record], Sequence[Budget]]
"""Computes the budgets of a run's faults, with what was measured."""

LAB = "lab"
"""Stands for a workload in checks of what labctl itself observed."""
LATE = 0.5
"""Seconds: a client that did not run for so long in all may have measured itself."""


def judge(folder: Path, budgets: Budgets | None = None) -> Verdict:
    """The verdict on the run in a folder. InputError when the folder cannot be read."""
    return verdict(record.read(folder), budgets)


def verdict(run: Record, budgets: Budgets | None = None) -> Verdict:
    """The verdict on a run."""
    before, after = steady(run)
    expect = run.scenario.get("expect") or {}
    explainer = Explainer(run)
    found = [*_workloads(run, explainer), *_lab(run, explainer), _steady_check(after)]
    checks = [_allowed(check, run) for check in found]
    away = [*budgets(run), *changes.of_run(run, explainer)] if budgets else []
    measured = [_own_slowness(budget, run) for budget in away]
    outcome, why = _outcome(run, before, checks, measured)
    missing = _not_shown(expect, checks, outcome)
    if missing:
        outcome, why = "UNKNOWN", missing
    return Verdict(
        outcome=outcome,
        why=why,
        before=before,
        after=after,
        checks=checks,
        budgets=measured,
        notes=_notes(run),
        expected=cast("Outcome", expect.get("outcome", "VALID")),
    )


def steady(run: Record) -> tuple[Steady, Steady]:
    """Whether the lab was steady before the first fault and at the end.

    As the run recorded it (``steady`` in run.json), else by the observation closest to each.
    """
    said = run.run.get("steady") or {}
    first = min((fault.get("began", 0.0) for fault in run.timeline), default=run.end)
    early = [o for o in run.observations if o["t"] <= first]
    return (
        _steady(said.get("before"), early[-1:]),
        _steady(said.get("after"), run.observations[-1:]),
    )


def _steady(said: Any, seen: Sequence[Data]) -> Steady:
    if isinstance(said, dict):
        return Steady(said.get("held"), [str(each) for each in said.get("said", ())])
    if not seen:
        return Steady(None, ["it was not observed"])
    if "unready" not in seen[0]:
        return Steady(None, [str(seen[0].get("error") or "it was not observed")])
    unready = [f"{name} is not ready" for name in seen[0]["unready"]]
    return Steady(not unready, unready)


def _steady_check(after: Steady) -> Check:
    if after.held is None:
        return Check(LAB, STEADY, "UNKNOWN", "unknown", "the lab was not observed after the run")
    if after.held and after.said:
        why = f"whether the lab is steady after the run is {'; '.join(after.said)}"
        return Check(LAB, STEADY, "VALID", "kept", why)
    if after.held:
        return Check(LAB, STEADY, "VALID", "kept", "the lab is steady after the run")
    why = (
        f"the lab is not steady after the run: {'; '.join(after.said) or 'no reason was recorded'}"
    )
    evidence = [Evidence(each) for each in after.said]
    return Check(LAB, STEADY, "INVALID", "lost though promised", why, evidence=evidence)


def _workloads(run: Record, explainer: Explainer) -> list[Check]:
    operations = by_workload(run.operations)
    checks = []
    for workload in run.scenario.get("workloads", ()):
        name, kind, way = (str(workload.get(k, "")) for k in ("name", "kind", "as"))
        own, mine = _settings(workload), operations.get(name, [])
        check = checker(kind, way)
        finals = None if evidence.unread(run, name) else (run.finals or {}).get(name)
        if check is None:
            found = [unknown(way, f"there is no check for workloads '{way}' of kind '{kind}'")]
        else:
            found = check(mine, finals, own)
        found = [_undisturbed(_client(finding, run), run, own) for finding in found]
        again = (run.scenario.get("expect") or {}).get("recovers") or {}
        explained = explainer.of(workload)
        found += served(
            mine, workload, explained, lags=run.lags, faults=run.faults, limit=again.get(name)
        )
        # Where a change takes a promise back, what is found may be of the time after it.
        settings = [run.run, *(each for each in run.changes if each["settings"])]
        promises = [ledger.promise(kind, way, s.get("settings") or {}, own) for s in settings]
        held = [(each, _excused(run, explainer, kind, each)) for each in promises]
        checks += [ledger.mildest(name, finding, held) for finding in found]
    return checks


def _excused(
    run: Record, explainer: Explainer, kind: str, promised: ledger.Promise
) -> ledger.Excuses:
    """When what is only documented may have happened."""
    found = {"once": excuses.doubled(run, explainer, kind)} if kind == "rabbitmq" else {}
    return {**found, "durable": excuses.durable(run, explainer, kind, promised.settings)}


def _settings(workload: Data) -> Data:
    """A workload's settings: those that the scenario sets, else the defaults."""
    known = KINDS.get(str(workload.get("kind")), {}).get(str(workload.get("as")))
    return {**(known.settings if known else {}), **(workload.get("settings") or {})}


def _undisturbed(finding: Finding, run: Record, own: Data) -> Finding:
    """Nothing excuses things that are stuck although no fault could have lost the work."""
    if finding.check != "stuck" or not finding.broken:
        return finding
    settle = float(own.get("settle", api.SETTLE))
    near = [(begin - settle, end + windows.GRACE) for begin, end in run.faults]
    alone = [t for t in finding.times if not any(begin <= t <= end for begin, end in near)]
    if not alone:
        return finding
    why = f"{finding.why}; {len(alone)} of them were requested while nothing was broken"
    return replace(finding, why=why, aspect="always")


def _client(finding: Finding, run: Record) -> Finding:
    """A latency that the client may have caused itself proves nothing."""
    asleep = sum(end - begin for begin, end in run.lags)
    if finding.check != "latency" or not finding.broken or asleep < LATE:
        return finding
    why = f"{finding.why}; but the client itself did not run for {asleep:.2f} s"
    return replace(finding, broken=None, why=why)


def _lab(run: Record, explainer: Explainer) -> list[Check]:
    """Checks of what labctl observed, filed under the workload concerned, else under ``lab``."""
    names: dict[str, str] = {}
    for workload in run.scenario.get("workloads", ()):
        names.setdefault(str(workload.get("kind")), str(workload.get("name")))

    def touching(*services: str) -> list[windows.Spell]:
        return explainer.touching(explainer.lab.closure(services))

    of_kinds = members.check(run.observations, run.faults, names, touching)
    found = [(kind, finding) for kind, findings in of_kinds.items() for finding in findings]
    parted = explainer.in_force(frozenset({"keepalived"}))
    moved = explainer.in_force(frozenset({"keepalived", "haproxy"}))
    found.append(("vip", vip.check_holders(run.observations, parted, moved)))
    stayed = dead.check(run.observations, run.timeline)
    beside = collateral.check(run.observations, touching)
    found += [(LAB, each) for each in (stayed, beside) if each]
    found += [(LAB, finding) for finding in changes.findings(run)]
    none = ledger.Promise("", "")
    return [ledger.judged(names.get(kind, LAB), finding, none) for kind, finding in found]


def _allowed(check: Check, run: Record) -> Check:
    """A check, VALID if the scenario allows its violation: exactly this one of this workload.

    That a lab is not steady is allowed only as far as it is the workload's own store that is not.
    Its promise is then the known finding that the scenario names, or else not promised.
    """
    if check.promise in ("kept", "unknown"):
        return check
    expect = run.scenario.get("expect") or {}
    for each in expect.get("allow") or ():
        mine = each.get("workload") == check.workload or _only_its(each, check, run)
        if mine and each.get("check") == check.check:
            why = f"{check.why}; allowed: {each.get('why') or 'the scenario says so'}"
            known = cast("Standing", expect.get("known") or "not promised")
            return replace(check, outcome="VALID", promise=known, why=why)
    return check


def _only_its(allowed: Data, check: Check, run: Record) -> bool:
    """Whether all that is not steady in a lab is the store of the workload that is allowed it."""
    if (check.workload, check.check) != (LAB, STEADY):
        return False
    named = [w for w in run.scenario.get("workloads", ()) if w.get("name") == allowed["workload"]]
    words = {str(w.get("kind")) for w in named}
    for workload in named:
        entry = KINDS.get(str(workload.get("kind")), {}).get(str(workload.get("as")))
        words |= {*entry.services} if entry else set()
    said = [piece.said for piece in check.evidence]
    return bool(said) and all(any(word in sentence for word in words) for sentence in said)


def _own_slowness(budget: Budget, run: Record) -> Budget:
    """A budget that was exceeded by no more than the time the client did not run is UNKNOWN."""
    if budget.outcome != "INVALID" or budget.measured is None:
        return budget
    times = [f.get("bites") for f in run.timeline if f.get("index") == budget.fault]
    began = next((t for t in times if t is not None), 0.0)
    during = changes.when(run, budget.fault) or (began, began + 2 * budget.measured)
    asleep = windows.overlap(during, run.lags)
    if not asleep or budget.measured - asleep > budget.bound:
        return budget
    why = f"{budget.why}; but the client itself did not run for {asleep:.2f} s of it"
    return replace(budget, outcome="UNKNOWN", why=why)


def _outcome(
    run: Record, before: Steady, checks: Sequence[Check], budgets: Sequence[Budget]
) -> tuple[Outcome, str]:
    if before.held is False:
        why = "; ".join(before.said) or "no reason was recorded"
        return "UNKNOWN", f"the lab was not steady before the run, so it is not judged: {why}"
    said = [(c.outcome, f"{c.workload}: {c.check}: {c.why}") for c in checks]
    said += [(b.outcome, f"budget of {b.name}: {b.why}") for b in budgets]
    if gaps := evidence.missing(run):
        return "UNKNOWN", _first(gaps)
    invalid = [why for outcome, why in said if outcome == "INVALID"]
    if invalid:
        return "INVALID", _first(invalid)
    unsure = [
        *_toothless(run),
        *changes.not_begun(run),
        *_faultless(run),
        *(w for o, w in said if o == "UNKNOWN"),
    ]
    if before.held is None:
        unsure.append("whether the lab was steady before the run was not observed")
    if unsure:
        return "UNKNOWN", _first(unsure)
    lost = [why for (_, why), c in zip(said, checks, strict=False) if c.promise != "kept"]
    held = "every promise was kept"
    return "VALID", f"{held}; {_first(lost)}" if lost else held


def _first(sentences: Sequence[str]) -> str:
    more = f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
    return sentences[0] + more


def _toothless(run: Record) -> list[str]:
    """Faults that had no effect, or of which something is left."""
    said = [
        f"fault {fault.get('index')} ({fault.get('said') or fault.get('fault')}) had no effect:"
        f" {fault.get('error') or 'nothing shows that it did'}"
        for fault in run.timeline
        if fault.get("error") or fault.get("bites") is None
    ]
    said += [
        f"fault {fault.get('index')} ({fault.get('said')}) was not healed: {fault['heal_error']}"
        for fault in run.timeline
        if fault.get("heal_error")
    ]
    return said


def _faultless(run: Record) -> list[str]:
    """What the scenario has and the run did not do."""
    if not run.scenario.get("workloads"):
        return ["the scenario has no workloads, so nothing was tested"]
    if run.scenario.get("timeline") and not (run.timeline or run.changes):
        return ["the scenario has faults, and the run made none"]
    return []


def _not_shown(expect: Data, checks: Sequence[Check], outcome: Outcome) -> str:
    """Why a VALID run does not show what its scenario is there to show; empty if it does."""
    if outcome != "VALID":
        return ""
    known = expect.get("known")
    if known and known not in {check.promise for check in checks}:
        return f"the known finding ('{known}') did not show this time"
    gaps = {
        check.workload: check.counts.get("gap", 0.0) for check in checks if check.check == "errors"
    }
    for name, least in (expect.get("away") or {}).items():
        gap = gaps.get(name, 0.0)
        if gap < seconds(least):
            said = f"{name} should have been away for {least} and was for {gap:.2f} s at most"
            return f"{said}: it did not show this time"
    if expect.get("outcome") == "INVALID":
        return "the scenario expects INVALID, and nothing was found: it did not show this time"
    return ""


def _notes(run: Record) -> list[str]:
    notes = []
    asleep = [end - begin for begin, end in run.lags]
    if asleep:
        notes.append(
            f"the client itself was late {len(asleep)} times, by {max(asleep):.2f} s at most and"
            f" {sum(asleep):.2f} s in all: gaps of that length may be its own"
        )
    notes += [
        f"the final state of {name} could not be read: {why}"
        for name in (str(each.get("name")) for each in run.scenario.get("workloads", ()))
        if (why := evidence.unread(run, name))
    ]
    notes += [str(problem) for problem in run.run.get("problems") or ()]
    notes += [
        f"fault {fault.get('index')} ({fault.get('said')}) was not healed in the run"
        for fault in run.timeline
        if fault.get("bites") is not None and fault.get("healed") is None
    ]
    return notes
