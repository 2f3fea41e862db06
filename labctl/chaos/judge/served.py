"""Whether a workload was served at every moment, or a fault explains that it was not. Pure.

Three things are bounded: the longest silence of each sort of operation, the share of operations
that fail, and the longest silence of each client by itself. With no fault that explains it, the
bound is what is ordinary for the workload; with one, what its timers allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from statistics import median

from labctl.chaos.checks.finding import ended, evidence, unknown
from labctl.chaos.checks.windows import Spell, Window, overlap, percentile, window
from labctl.chaos.folder.history import Operation
from labctl.chaos.judge.explained import Explained, patience, silences, sort_of
from labctl.chaos.judge.record import Data
from labctl.chaos.model.findings import Evidence, Finding
from labctl.chaos.model.spans import seconds

_FLOOR: Mapping[str, float] = {"vip": 2.0, "memcached": 5.0, "api": 10.0}
"""Kind → seconds that its longest ordinary silence may last in any case: a slow machine's pause, or
one slow request of an API that all clients wait for."""
_USUAL_FLOOR = 3.0
_PACES = 4.0
"""Mean intervals between two operations of a sort that ordinarily pass without one: clients choose
at random what they ask."""
_SLOW = 10.0
"""Median latencies that one operation may ordinarily take."""
_FIRST = 10.0
"""Seconds until the first answer of a store."""
_FIRST_OF_API = 120.0
"""Seconds until the first answer of what answers slowly at first, as the run waits for it."""
_SHARES = (20, 60, None)
"""Numbers of operations in a row of which the share that fails is bounded; None: all."""
_SHARE = 0.1
"""Share of operations that may fail while nothing is broken; each client's one beside it, whose
connection may end."""
_BROKEN_SHARE = 0.5
"""Share of operations that may fail during a fault, once its failover is over."""
_SHARES_OF = {
    "calm": (_SHARE, "nothing explains it"),
    "settled": (_BROKEN_SHARE, "the failover was over"),
}
"""Phase → the share of operations that may fail in it, and what to say of more."""
_IDLE = 5.0
"""Seconds for which a client has nothing under way and asks nothing: it measured nothing."""
LASTS = 5.0
"""Seconds that a fault must last for clients that ask only now and then to notice it."""
_BASELINE = 2.0
"""Latency is back when the 95th percentile is at most so many times that before the faults."""
_SAMPLE = 20
"""Operations in a row from which a percentile is computed."""
_LEAST = 0.05
"""Seconds: a latency below it counts as at the baseline."""
_ANSWERED = ("(1213", "(1205", "(1020", "the value is not", "has ")
"""Beginnings of the reasons by which a store that is there declines: a conflict of transactions, a
compare-and-set of another value, an account without the money."""


def served(
    operations: Sequence[Operation],
    workload: Data,
    explained: Explained,
    *,
    lags: Sequence[Spell] = (),
    faults: Sequence[Spell] = (),
    limit: str | None = None,
) -> list[Finding]:
    """Whether a workload was served as it should be: ``errors``, ``clients`` and ``recovery``.

    ``faults`` are those that bit, from then to their heal. ``limit`` is the time within which the
    scenario wants latency back at its baseline. Time in which the client itself did not run is
    left out.
    """
    # What a consumer gets depends on the publishers.
    operations = [operation for operation in operations if operation.f != "dequeue"]
    seen = window(operations)
    counts = _counts(seen)
    if not seen.acknowledged:
        return [unknown("errors", "nothing was acknowledged, so nothing was tested", **counts)]
    judged = _Judged(operations, workload, explained, lags)
    wrong = [*judged.silent(), *judged.failing()]
    if wrong:
        said = evidence(judged.near(wrong[0][1]), "not served")
        found = Finding("errors", True, wrong[0][0], "always", counts, said)
    elif untested := _untested(operations, faults) or judged.idle():
        found = unknown("errors", untested, **counts)
    else:
        first = [] if seen.first_error is None else [Evidence("the first error", seen.first_error)]
        found = Finding("errors", False, _told(seen, counts, lags), "nothing", counts, first)
    return [found, judged.clients(), *_recovery(operations, faults, limit)]


def _counts(seen: Window) -> dict[str, float]:
    return {
        "acknowledged": seen.acknowledged,
        "failed": seen.failed,
        "unknown": seen.unknown,
        "errors": round(seen.errors, 3),
        "gap": round(seen.gap[1] - seen.gap[0], 3),
        **{name: round(value, 4) for name, value in seen.latency.items()},
    }


def _told(seen: Window, counts: Mapping[str, float], lags: Sequence[Spell]) -> str:
    why = f"{seen.acknowledged} acknowledged, {seen.failed} failed, {seen.unknown} unknown; the"
    why += f" longest gap is {counts['gap']:.2f} s, from {seen.gap[0]:.1f} s on"
    asleep = overlap(seen.gap, lags)
    if asleep > (seen.gap[1] - seen.gap[0]) / 2:
        why += f", and the client itself did not run for {asleep:.2f} s of it"
    return why


Wrong = tuple[str, Spell]
"""A sentence, and when."""


class _Judged:
    """One workload's operations beside what explains that they were not served."""

    def __init__(
        self,
        operations: Sequence[Operation],
        workload: Data,
        explained: Explained,
        lags: Sequence[Spell],
    ) -> None:
        self._operations, self._explained, self._lags = operations, explained, lags
        self._kind = str(workload.get("kind"))
        self._patience = patience(workload)
        self._begin = min(op.began for op in operations)
        self._end = max(op.began if op.ended is None else op.ended for op in operations)
        self._workers = len({op.process for op in operations})
        good = [op for op in operations if op.end == "ok" and op.ended is not None]
        usual = median(op.seconds or 0.0 for op in good)
        self._slow = max(_FLOOR.get(self._kind, _USUAL_FLOOR), min(_SLOW * usual, self._patience))
        self._sorts: dict[str, list[float]] = {}
        asked: dict[str, int] = {}
        for op in operations:
            sort = sort_of(self._kind, op.f)
            asked[sort] = asked.get(sort, 0) + 1
            times = self._sorts.setdefault(sort, [])
            if op.end == "ok" and op.ended is not None:
                times.append(op.ended)
        length = self._end - self._begin
        self._pace = {sort: length / count for sort, count in asked.items()}

    def silent(self) -> Iterator[Wrong]:
        """Silences that nothing explains. Those of bounded faults are judged by their budgets."""
        for sort, times in self._sorts.items():
            ordinary = self._slow + _PACES * self._pace[sort]
            for spell in self._spells(times):
                if self._explained.bounded(spell):
                    continue
                allowed = self._explained.allowed(spell, ordinary)
                if spell[0] == self._begin:
                    slow = self._kind in ("api", "memcached", "tenant")
                    allowed = max(allowed, _FIRST_OF_API if slow else _FIRST)
                long = spell[1] - spell[0] - overlap(spell, self._lags)
                if long > allowed:
                    yield self._sentence(sort, spell, allowed), spell

    def _spells(self, times: Sequence[float]) -> list[Spell]:
        if not times:
            return [(self._begin, self._end)]
        return [(self._begin, min(times)), *silences(times, self._end)]

    def _sentence(self, sort: str, spell: Spell, allowed: float) -> str:
        what = "nothing" if len(self._sorts) == 1 else f"no {sort}"
        last = spell[1] >= self._end
        why = f"{what} was acknowledged from {spell[0]:.1f} s"
        why += " to the end" if last else f" to {spell[1]:.1f} s"
        meets = any(each.meets(spell) for each in self._explained.explanations)
        reason = (
            "the faults in force explain" if meets else "is ordinary, and no fault explains more,"
        )
        return f"{why}, {spell[1] - spell[0]:.1f} s: {allowed:.1f} s are all that {reason}".rstrip(
            ","
        )

    def failing(self) -> Iterator[Wrong]:
        """Stretches of operations of which too many failed while nothing explains it."""
        for kind, stretch in groupby(self._operations, key=self._phase):
            if kind != "explained":
                share, why = _SHARES_OF[kind]
                yield from self._too_many([*stretch], share, why)

    def _phase(self, operation: Operation) -> str:
        """Whether nothing explains an operation's failure, only a fault whose failover is over."""
        until = operation.began if operation.ended is None else operation.ended
        mine = [e for e in self._explained.explanations if e.meets((operation.began, until))]
        if not mine:
            return "calm"
        over = all(
            e.bound is not None
            and e.since + e.bound.seconds + self._patience < operation.began
            and until < e.healed - self._patience
            for e in mine
        )
        return "settled" if over else "explained"

    def _too_many(self, operations: Sequence[Operation], share: float, why: str) -> Iterator[Wrong]:
        failed = [_failed(op) for op in operations]
        sums = [0, *accumulate(failed)]
        for length in _SHARES:
            size = len(operations) if length is None else min(length, len(operations))
            least = self._workers + share * size
            for at in range(len(operations) - size + 1):
                bad = sums[at + size] - sums[at]
                if bad > least:
                    spell = (operations[at].began, operations[at + size - 1].began)
                    said = f"{bad} of {size} operations failed from {spell[0]:.1f} s"
                    yield f"{said} to {spell[1]:.1f} s, although {why}", spell
                    break

    def clients(self) -> Finding:
        """Each client by itself: one that is left behind does not show while others are served."""
        excused = [*self._explained.narrow(self._patience), *self._lags]
        left: list[Evidence] = []
        by_client: dict[int, list[Operation]] = {}
        for op in self._operations:
            by_client.setdefault(op.process, []).append(op)
        for process, mine in sorted(by_client.items()):
            times = [op.ended for op in mine if op.end == "ok" and op.ended is not None]
            end = max(op.began if op.ended is None else op.ended for op in mine)
            begin = min(op.began for op in mine)
            pace = (end - begin) / len(mine)
            ordinary = self._slow + self._patience + _PACES * pace
            if not times:
                first = begin + (_FIRST_OF_API if self._kind in _SLOW_FIRST else _FIRST)
                spells = [(first, end)] if end > first else []
            else:
                spells = silences(times, end)
            for spell in spells:
                alone = spell[1] - spell[0] - overlap(spell, excused)
                if alone > ordinary:
                    said = f"client {process} got no answer for {spell[1] - spell[0]:.1f} s"
                    left.append(Evidence(said, spell[0], process))
                    break
        counts = {"clients": len(by_client), "left behind": len(left)}
        if not left:
            why = f"each of {len(by_client)} clients was served"
            return Finding("clients", False, why, "always", counts)
        why = f"{len(left)} of {len(by_client)} clients were left behind: {left[0].said}, from"
        why += f" {left[0].t or 0.0:.1f} s on, and nothing explains it"
        return Finding("clients", True, why, "always", counts, left)

    def near(self, spell: Spell) -> list[Operation]:
        """The operations of a spell that were not served."""
        return [op for op in self._operations if spell[0] <= op.began <= spell[1] and _failed(op)]

    def idle(self) -> str:
        """Why nothing was measured for a while: nothing was under way, and nothing was asked."""
        longest = max(_IDLE, _PACES * min(self._pace.values()))
        reached = self._begin
        for op in sorted(self._operations, key=lambda op: op.began):
            spell = (reached, op.began)
            if spell[1] - spell[0] - overlap(spell, self._lags) > longest:
                return f"the client asked nothing from {reached:.1f} to {op.began:.1f} s"
            reached = max(reached, self._end if op.ended is None else op.ended)
        return ""


_SLOW_FIRST = ("api", "memcached", "tenant")


def _failed(operation: Operation) -> bool:
    """Whether an operation was not served: a store that declines for a reason has served it."""
    if operation.end == "ok":
        return False
    if operation.end != "fail":
        return True
    if operation.f == "cas" and "value is not" in operation.error:
        return False
    return not any(reason in operation.error for reason in _ANSWERED)


def _untested(operations: Sequence[Operation], faults: Sequence[Spell]) -> str:
    """Why the faults did not test a workload; empty if they did."""
    if not faults:
        return ""
    first, healed = min(begin for begin, _ in faults), max(end for _, end in faults)
    done = [op.ended for op in operations if op.end == "ok" and op.ended is not None]
    if min(done) > first:
        return (
            f"nothing was acknowledged before the first fault, at {first:.1f} s, so there was"
            " nothing to lose"
        )
    for begin, end in faults:
        # A client that waits for an answer for ever asks nothing else.
        asked = (op for op in operations if op.ended is not None and op.ended >= begin)
        if end - begin >= LASTS and not any(op.began <= end for op in asked):
            return f"nothing was requested from {begin:.1f} to {end:.1f} s, during a fault"
    if max(done) < healed:
        return (
            f"nothing was acknowledged after the last fault was healed, at {healed:.1f} s; give the"
            " scenario a longer tail"
        )
    return ""


def _recovery(
    operations: Sequence[Operation], faults: Sequence[Spell], limit: str | None
) -> list[Finding]:
    """When a workload was served again after the last heal, and its latency as before.

    For information, unless the scenario says within which time that must be.
    """
    if not faults:
        return []
    first, healed = min(begin for begin, _ in faults), max(end for _, end in faults)
    before = sorted(op.seconds or 0.0 for op in ended(operations, "ok") if (op.ended or 0) < first)
    later = [op for op in ended(operations, "ok") if op.ended is not None and op.ended > healed]
    if not before or not later:
        why = "nothing was acknowledged before the faults, or after them"
        return [unknown("recovery", why)] if limit else []
    later.sort(key=lambda op: op.ended or 0.0)
    baseline = percentile(before, 95)
    most = max(_BASELINE * baseline, _LEAST)
    back = _back(later, most)
    again = (later[0].ended or healed) - healed
    counts = {"served again": round(again, 3), "baseline": round(baseline, 4)}
    why = f"served again {again:.2f} s after the last heal; its 95th percentile was"
    why += f" {baseline * 1000:.0f} ms before the faults,"
    if back is None:
        why += f" and to the end it was above {most * 1000:.0f} ms"
    else:
        counts["latency"] = round(max(back - healed, 0.0), 3)
        why += f" and at most {most * 1000:.0f} ms again {counts['latency']:.2f} s after it"
    if limit is None:
        return [Finding("recovery", False, why, "nothing", counts)]
    late = back is None or back - healed > seconds(limit)
    return [Finding("recovery", late, f"{why}; {limit} are allowed", "always", counts)]


def _back(operations: Sequence[Operation], most: float) -> float | None:
    """From when on the 95th percentile of operations in a row is low to the end; None if never."""
    took = [op.seconds or 0.0 for op in operations]
    size = min(_SAMPLE, len(took))
    slow = [
        at
        for at in range(len(took) - size + 1)
        if percentile(sorted(took[at : at + size]), 95) > most
    ]
    if not slow:
        return operations[0].began
    after = slow[-1] + 1
    return operations[after].began if after + size <= len(took) else None
