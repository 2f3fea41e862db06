"""A run as a lab would leave it, made up: its store behaves, its outages are as long as real ones.

The times of outages are what was measured on labs or is documented, not what the judge allows: a
bound that is too short shows as a good run that comes out INVALID.
"""

from __future__ import annotations

import copy
import hashlib
import heapq
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Protocol, cast

from labctl.chaos.document.scenario import ScenarioDoc
from labctl.chaos.model import spans
from labctl.chaos.run.settings import effective, places
from labctl.chaos.run.timeline import Action, resolve
from labctl.documents import reader
from labctl.faults.kinds import registered
from labctl.model.lab import Lab
from labctl.workloads.registry import KINDS
from tests.mutation.outages import Outages

Row = dict[str, Any]
Step = tuple[str, Any, str]
"""An operation: ``f``, the value asked, the member asked (or empty)."""
FIRST = 2.0
"""Seconds after the run's begin at which the workloads start."""
PLAYERS = {
    "vip-holder": "c1",
    "galera-writer": "c1",
    "galera-donor": "c3",
    "rabbit-leader": "c2",
    "redis-master": "c1",
    "sentinel-leader": "c2",
    "mongo-primary": "c3",
    "l3-master": "c2",
    "amphora": "cmp1",
}
"""Part → the node that plays it when a run begins."""


class RefusedError(Exception):
    """The store says no, as to a compare-and-set of another value."""


class Store(Protocol):
    """A store that keeps its promises, as one workload uses it."""

    harmless: tuple[str, ...]
    """Operations that change nothing, so that they never end as unknown."""

    def turn(self, number: int, worker: int) -> Generator[Step, Any, None]:
        """The operations of one turn; each is answered with what ``apply`` returned or None."""
        ...

    def apply(self, f: str, value: Any, at: str) -> Any:
        """Do an operation now, and return the answer."""
        ...

    def finals(self, nodes: Sequence[str]) -> Any:
        """What is there in the end."""
        ...

    def beside(self, t: float, workers: int) -> Iterator[Row]:
        """Events of helpers, such as consumers, at ``t``: without times."""
        ...


@dataclass
class Run:
    """The data of a run's folder."""

    run: Row
    scenario: Row
    timeline: list[Row]
    history: list[Row]
    observations: list[Row]
    finals: Row
    changes: list[Row] = field(default_factory=list)
    lines: dict[str, str] = field(default_factory=dict)
    """File → its text as it is written, where a mutant has damaged it."""

    def copy(self) -> Run:
        """One that can be changed."""
        return Run(**{name: json.loads(json.dumps(value)) for name, value in vars(self).items()})

    def events(self, end: str = "ok", *, f: str = "", workload: str = "") -> list[Row]:
        """The events of a type, in order."""
        return [
            row
            for row in self.history
            if row["type"] == end
            and (not f or row["f"] == f)
            and (not workload or row["w"] == workload)
        ]

    def names(self) -> list[str]:
        """The workloads."""
        return [each["name"] for each in self.scenario["workloads"]]

    def write(self, folder: Path) -> Path:
        """The folder, sealed as a run that ended would have sealed it."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            "scenario.yml": reader.dumps(self.scenario),
            "timeline.json": json.dumps(self.timeline),
            "history.jsonl": _lines(sorted(self.history, key=lambda row: row["t"])),
            "observations.jsonl": _lines(self.observations),
            "finals.json": json.dumps(self.finals),
            **({"changes.json": json.dumps(self.changes)} if self.changes else {}),
        }
        sealed = {
            name: hashlib.sha256(text.encode()).hexdigest()
            for name, text in texts.items()
            if name != "scenario.yml"
        }
        lines = {n: texts[n].count("\n") for n in ("history.jsonl", "observations.jsonl")}
        about = {**self.run, "lines": lines, "sealed": sealed}
        for name, text in {**texts, "run.json": json.dumps(about), **self.lines}.items():
            (folder / name).write_text(text)
        return folder


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


MakeStore = Callable[[Random, Mapping[str, Any]], Store]


def simulate(doc: Row, lab: Lab, stores: Mapping[tuple[str, str], MakeStore], seed: int) -> Run:
    """A good run of a scenario in a lab."""
    scenario = ScenarioDoc.model_validate(doc)
    dice = Random(seed)  # noqa: S311 - to repeat it
    actions = resolve(scenario, lab, seed)
    timeline = [_fault(action, lab, dice) for action in actions]
    changes = list(_changes(scenario, lab, dice))
    healed = max(
        [*(row["healed"] or 0.0 for row in timeline), *(row["ended"] for row in changes)],
        default=0.0,
    )
    healed = max(healed, FIRST + 20.0)
    made = [row for row in timeline if row["bites"] is not None]
    outages = Outages(lab, made, Random(seed + 1))  # noqa: S311
    settled = max([healed, *(end for each in doc["workloads"] for _, end in outages.of(each))])
    end = settled + spans.seconds(scenario.tail)
    history: list[Row] = []
    finals: Row = {}
    for workload in doc["workloads"]:
        entry = KINDS[workload["kind"]][workload["as"]]
        settings = {**entry.settings, **workload.get("settings", {})}
        own = Random(f"{seed}/{workload['name']}")  # noqa: S311
        store = stores[workload["kind"], workload["as"]](own, settings)
        clients = _Clients(workload, settings, store, outages.of(workload), own, end)
        history += clients.events()
        finals[workload["name"]] = store.finals(
            [n.name for n in lab.services[entry.services[0]].nodes]
        )
    observed = [outages.observation(FIRST - 1 + n, lab) for n in range(int(end - FIRST) + 2)]
    return Run(
        _about(scenario, lab, seed, settled - healed),
        doc,
        timeline,
        sorted(history, key=lambda row: row["t"]),
        observed,
        finals,
        changes,
    )


def _about(scenario: ScenarioDoc, lab: Lab, seed: int, took: float) -> Row:
    held = {"held": True, "said": []}
    return {
        "format": 2,
        "run": f"20260101T120000_{seed:06x}",
        "scenario": scenario.name,
        "lab": lab.name,
        "seed": seed,
        "settings": _settings_of(lab),
        "services": places(lab),
        "nodes": {node.name: node.address for node in lab.nodes},
        "vip": lab.vip,
        "steady": {"before": held, "after": {**held, "took": round(took + 1, 3)}},
        "workloads_began": FIRST,
        "cut_short": None,
        "problems": [],
        "ended": "2026-01-01T12:05:00.000+00:00",
    }


def _settings_of(lab: Lab) -> Row:
    """The settings in force, with those that a lab has in rendered files."""
    if id(lab) not in _KNOWN:
        found = effective(cast(Any, SimpleNamespace(lab=lab, instances={})))
        galera = lab.services["mariadb"].settings
        rendered = {
            "innodb_flush_log_at_trx_commit": galera["flush_at_commit"],
            "wsrep_sync_wait": galera["sync_wait"],
        }
        for name in ("mariadb", "galera"):
            found[name] |= rendered
        found["redis"]["min_replicas_to_write"] = 1
        # The lab is kept, so that its id stays its own.
        _KNOWN[id(lab)] = (lab, found)
    return copy.deepcopy(_KNOWN[id(lab)][1])


_KNOWN: dict[int, tuple[Lab, Row]] = {}


def _changes(scenario: ScenarioDoc, lab: Lab, dice: Random) -> Iterator[Row]:
    """Rows of changes.json: each replaces the stores' instances one after another, unnoticed."""
    kinds = {(each.kind, each.as_) for each in scenario.workloads}
    services = sorted({service for key in kinds for service in KINDS[key[0]][key[1]].services})
    moment = 0.0
    for index, step in enumerate(scenario.timeline):
        if step.verb is None:
            continue
        began = moment = max(moment, FIRST + spans.seconds(step.at)) + 0.3
        windows = []
        for service in services:
            for node in lab.services[service].nodes:
                ended = moment + dice.uniform(1.0, 4.0)
                row = {"name": f"{node.name}/{service}", "what": "replaced"}
                windows.append({**row, "began": round(moment, 3), "ended": round(ended, 3)})
                moment = ended + 0.5
        yield {
            "index": index,
            "said": f"change {index}",
            "asked": round(began - 0.3, 3),
            "began": round(began, 3),
            "ended": round(moment, 3),
            "steps": len(windows),
            "windows": windows,
            "left": [],
            "error": None,
            "stopped": False,
            "back": False,
            "settings": _settings_of(lab),
        }


def _fault(action: Action, lab: Lab, dice: Random) -> Row:
    """A row of timeline.json, as the run would have made it."""
    kind = registered()[action.fault]
    begins = FIRST + 0.3 + action.at
    # Proving that it is in effect takes its time.
    bites = begins + dice.uniform(0.1, 2.2)
    lasts = None if action.heal_at is None else action.heal_at - action.at
    about = SimpleNamespace(terms={"undo": lasts}, lease=lasts or 1e9)
    over = not kind.lasts or kind.is_over(cast(Any, about))
    again = begins + (lasts or 10.0) + dice.uniform(0.1, 1.5)
    healed = bites + 0.3 if over else again
    targets = list(dict.fromkeys(_who(s) for symbol in action.targets for s in _named(symbol)))
    nodes = [node.name for node in lab.nodes]
    groups = [_group(group, nodes) for group in action.groups]
    nobody = any(
        not group and "others" not in asked
        for group, asked in zip(groups, action.groups, strict=True)
    )
    taken = {node for group in groups for node in group}
    groups = [group or [n for n in nodes if n not in taken] for group in groups]
    if len(groups) == 1:
        groups.append([n for n in nodes if n not in groups[0]])
    if kind.on_nodes and action.fault != "cut":
        targets = list(dict.fromkeys(target.partition("/")[0] for target in targets))
    if groups:
        targets = list(dict.fromkeys(node for group in groups[:1] for node in group))
    return {
        "index": action.index,
        "fault": action.fault,
        "traits": kind.traits,
        "said": action.said,
        "asked": round(begins, 3),
        "began": round(begins + 0.01, 3),
        "bites": None if nobody else round(max(bites, begins + 0.02), 3),
        "healed": None if nobody else round(max(healed, bites + 0.01), 3),
        "targets": targets,
        "spec": action.spec,
        "lasts": lasts,
        "resolved": {
            "kind": action.fault,
            "targets": targets,
            "groups": groups,
            "pairs": [list(pair) for pair in action.pairs],
            "direction": action.terms.get("direction", "both"),
            "terms": {},
        },
        "evidence": {},
        "heal_evidence": {},
        "overtaken": {},
        "healed_by": "",
        "error": "nobody plays that part now" if nobody else None,
    }


def _named(symbol: Any) -> list[str]:
    if isinstance(symbol, str):
        return [symbol]
    out = {_who(name).partition("/")[0] for name in symbol.unless}
    return [n for n in symbol.of if _who(n).partition("/")[0] not in out][: symbol.take]


def _who(name: str) -> str:
    """An instance or a node for a name; a part is the instance that plays it."""
    from labctl.chaos.document.words import PARTS

    part, slash, service = name.partition("/")
    part = part.partition(":")[0]
    if part not in PLAYERS:
        return name
    node = PLAYERS[part]
    return f"{node}/{service if slash else PARTS[part]}"


def _group(group: Sequence[Any], nodes: Sequence[str]) -> list[str]:
    if any(symbol == "others" for symbol in group):
        return []
    found = [_who(name).partition("/")[0] for symbol in group for name in _named(symbol)]
    return list(dict.fromkeys(found))


class _Clients:
    """The clients of a workload: an event-driven simulation of its workers."""

    def __init__(
        self,
        workload: Row,
        settings: Mapping[str, Any],
        store: Store,
        away: Sequence[tuple[float, float]],
        dice: Random,
        end: float,
    ) -> None:
        entry = KINDS[workload["kind"]][workload["as"]]
        self._name, self._store, self._away, self._dice, self._end = (
            workload["name"],
            store,
            away,
            dice,
            end,
        )
        self._period = 1 / float(workload.get("rate") or entry.rate)
        self._workers = int(workload.get("workers") or entry.workers)
        self._timeout = float(settings.get("timeout", entry.timeout))
        slow = workload["kind"] in ("api", "memcached")
        self._usual = 0.12 if slow else 0.006
        self._rows: list[Row] = []
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._count, self._number, self._due = 0, -1, FIRST - self._period
        self._beside = 0.0

    def events(self) -> list[Row]:
        """All events."""
        for worker in range(self._workers):
            self._at(FIRST + 0.01 * worker, lambda t, w=worker: self._next(t, w))  # type: ignore[misc]
        while self._heap:
            t, _, act = heapq.heappop(self._heap)
            act(t)
        return self._rows

    def _at(self, t: float, act: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (t, self._count, act))

    def _next(self, t: float, worker: int) -> None:
        self._number += 1
        self._due = max(self._due + self._period, t - 0.25)
        begin = max(t, self._due)
        if begin >= self._end:
            return
        turn = self._store.turn(self._number, worker)
        self._at(begin, lambda t: self._step(t, worker, turn, None, first=True))

    def _step(self, t: float, worker: int, turn: Any, answer: Any, *, first: bool = False) -> None:
        try:
            step = next(turn) if first else turn.send(answer)
        except StopIteration:
            self._next(t, worker)
            return
        if t >= self._end:
            return
        self._operate(t, worker, turn, step)

    def _operate(self, t: float, worker: int, turn: Any, step: Step) -> None:
        f, value, at = step
        self._record(t, worker, "invoke", f, value, at)
        took = self._usual * self._dice.lognormvariate(0, 0.4)
        away = next(((a, b) for a, b in self._away if a <= t + took and t < b), None)
        if away is None:
            self._at(t + took * 0.6, lambda now: self._done(now, t + took, worker, turn, step))
        elif self._dice.random() < 0.6:
            ended = t + self._dice.uniform(0.02, 0.15)
            self._at(ended, lambda now: self._failed(now, worker, turn, step, "fail"))
        else:
            ended = min(t + self._timeout, max(away[1] + took, t + took))
            if ended < t + self._timeout:
                # It waits and is served in the end.
                self._at(ended - 0.001, lambda now: self._done(now, ended, worker, turn, step))
                return
            if f not in self._store.harmless and self._dice.random() < 0.3:
                self._at(self._dice.uniform(t, ended), lambda _: self._silently(step))
            kind = "fail" if f in self._store.harmless else "info"
            self._at(ended, lambda now: self._failed(now, worker, turn, step, kind))

    def _silently(self, step: Step) -> None:
        try:
            self._store.apply(*step)
        except RefusedError:
            return

    def _done(self, now: float, ended: float, worker: int, turn: Any, step: Step) -> None:
        f, value, at = step
        try:
            answer = self._store.apply(f, value, at)
        except RefusedError as no:
            why = str(no)
            self._at(ended, lambda t: self._failed(t, worker, turn, step, "fail", why))
            return
        self._at(ended, lambda t: self._ended(t, worker, turn, step, answer))

    def _ended(self, t: float, worker: int, turn: Any, step: Step, answer: Any) -> None:
        f, _, at = step
        self._record(t, worker, "ok", f, answer, at)
        for row in self._store.beside(t, self._workers):
            self._beside = max(t, self._beside) + self._dice.uniform(0.0005, 0.005)
            for kind, value, later in (("invoke", None, 0.0), ("ok", row["value"], 0.0001)):
                about = {**row, "value": value, "type": kind, "w": self._name}
                self._rows.append({"t": round(self._beside + later, 6), **about})
        self._step(t, worker, turn, answer)

    def _failed(
        self, t: float, worker: int, turn: Any, step: Step, kind: str, why: str = "Lost connection"
    ) -> None:
        f, value, at = step
        self._record(t, worker, kind, f, value, at, error=f"RefusedError: {why}")
        self._step(t, worker, turn, None)

    def _record(
        self, t: float, worker: int, kind: str, f: str, value: Any, at: str, **more: Any
    ) -> None:
        row = {"t": round(t, 6), "w": self._name, "p": worker, "type": kind, "f": f, "value": value}
        self._rows.append({**row, **more, **({"at": at} if at else {})})
