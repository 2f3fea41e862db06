"""Changes of the lab in a recorded run: what they may take from clients, and for how long. Pure.

While instances leave in good order and come back, clients may wait as long as a failover takes
that is announced: the bound of an outage of those that are down at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labctl.chaos.checks import changes as checks
from labctl.chaos.checks.windows import Spell
from labctl.chaos.judge import budgets
from labctl.chaos.judge.bounds import Bound, bounds_after
from labctl.chaos.judge.explained import NO_FAILOVER, Explainer, silences
from labctl.chaos.judge.record import Data, Record
from labctl.chaos.model.findings import Budget, Finding, Part
from labctl.chaos.model.spans import seconds
from labctl.chaos.model.timers import Numbers

_LEFT = {"felt": "left", "on_nodes": False, "family": "process", "repeats": False}
"""How it is felt that an instance is taken down by a change, as a fault's traits say it."""
_THROUGH: Mapping[str, Sequence[str]] = {
    "galera": ("galera", "vip"),
    "api": ("api", "galera", "vip"),
}
"""What clients reach through others, whose failover they wait for as well."""
_CLIENT = "client: waits for an answer"


def findings(run: Record) -> list[Finding]:
    """What became of the run's changes."""
    numbers = _timers(run.run)
    sizes = {
        name.removeprefix("members."): value
        for name, value in numbers.items()
        if name.startswith("members.")
    }
    return checks.check(run.changes, run.observations, run.bitten, sizes)


def not_begun(run: Record) -> list[str]:
    """The changes that were never begun, and why: what they would have shown, nobody knows."""
    return [
        f"change {change['index']} ({change['said']}) was not made: "
        f"{change['error'] or 'the run ended before'}"
        for change in run.changes
        if change["began"] is None
    ]


def of_run(run: Record, explainer: Explainer) -> Iterator[Budget]:
    """Bound and measurement for each change and each thing that a workload measures."""
    if not _timers(run.run):
        return
    caps = (run.scenario.get("expect") or {}).get("budgets") or {}
    for change in run.changes:
        if change["began"] is None or change["back"]:
            continue
        for name, watching in _watching(run.scenario).items():
            waits = max(map(explainer.client, watching))
            bound = Bound((*_longest(run, explainer, change, name), Part(_CLIENT, waits)))
            cap = seconds(caps[name]) if name in caps else None
            measured = _longest_silence(run, change, watching)
            found = budgets.compare(name, change["index"], bound, measured, cap)
            yield _unless_a_fault(found, checks.spell(change, run.end), run.bitten)


def _watching(scenario: Data) -> dict[str, list[Data]]:
    """Kind → the workloads that measure how long something is away."""
    found: dict[str, list[Data]] = {}
    for workload in scenario["workloads"]:
        if (workload["kind"], workload["as"]) not in NO_FAILOVER:
            found.setdefault(workload["kind"], []).append(workload)
    return found


def when(run: Record, index: int) -> Spell | None:
    """From when to when the change of that index went on; None when there is none."""
    found = (c for c in run.changes if c["index"] == index and c["began"] is not None)
    change = next(found, None)
    return None if change is None else checks.spell(change, run.end)


def _longest_silence(run: Record, change: Data, watching: Sequence[Data]) -> float | None:
    """In seconds, of any client during a change; None when none had begun before it."""
    began, ended = checks.spell(change, run.end)
    heard = [each for one in watching for each in budgets.series(run, one)]
    met = [
        silence
        for times, end in heard
        if min(times) <= began
        for silence in silences(times, end)
        if silence[0] < ended and began < silence[1]
    ]
    return max((until - since for since, until in met), default=None)


def _unless_a_fault(budget: Budget, during: Spell, faults: Sequence[Spell]) -> Budget:
    """Of a change that a fault meets, nobody knows which of the two took the clients' answers."""
    met = any(since < during[1] and during[0] < until for since, until in faults)
    if budget.outcome != "INVALID" or not met:
        return budget
    return replace(budget, outcome="UNKNOWN", why=f"{budget.why}; but a fault met the change")


def _longest(run: Record, explainer: Explainer, change: Data, name: str) -> tuple[Part, ...]:
    """The longest failover that a change may cause, without the client's own wait."""
    numbers = [_timers(run.run), _timers(change)]
    found: list[tuple[Part, ...]] = [()]
    for together in _together(change):
        found += [_of(explainer, together, name, those) for those in numbers if those]
    return max(found, key=lambda parts: sum(part.seconds for part in parts))


def _together(change: Data) -> Iterator[list[tuple[str, Spell]]]:
    """The instances that are down at the same time: groups of windows that overlap."""
    group: list[tuple[str, Spell]] = []
    until = 0.0
    for name, (since, end) in sorted(checks.down(change), key=lambda each: each[1]):
        if group and since >= until:
            yield group
            group = []
        group.append((name, (since, end)))
        until = max(until, end)
    if group:
        yield group


def _of(
    explainer: Explainer, together: Sequence[tuple[str, Spell]], name: str, numbers: Numbers
) -> tuple[Part, ...]:
    """The bounds of what leaves together, added up: one may wait for the other."""
    parts: list[Part] = []
    for service in sorted({who.partition("/")[2] for who, _ in together}):
        own = [(who, at) for who, at in together if who.endswith(f"/{service}")]
        longest: tuple[Part, ...] = ()
        for who, (since, _) in own:
            entry: Mapping[str, Any] = {
                "traits": _LEFT,
                "targets": [who],
                "asked": since,
                "began": since,
            }
            bounds = bounds_after(entry, numbers, explainer.players(entry), 0.0)
            through = (bounds[n] for n in _THROUGH.get(name, (name,)) if n in bounds)
            of = next(through, None)
            if of is not None and of.seconds > sum(part.seconds for part in longest):
                longest = tuple(part for part in of.parts if part.timer != _CLIENT)
        parts += longest
    return tuple(parts)


def _timers(data: Data) -> Numbers:
    settings = data.get("settings") or {}
    numbers: Numbers = settings.get("timers") or {}
    return numbers
