"""Which fault explains which workload's silence, when, and for how long. Pure.

That a fault is in force explains nothing by itself: it must act on something that the workload is
served by, and on an instance whose end is felt (the leader, the holder, a member of what needs all
of them). Then the timers bound the silence, or nothing does until the fault is healed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labctl.chaos.checks.windows import GRACE, Spell, overlap
from labctl.chaos.judge import dependence
from labctl.chaos.judge.bounds import Bound, felt_after, hits
from labctl.chaos.judge.record import Data, Record
from labctl.chaos.model.findings import Part
from labctl.chaos.model.spans import seconds
from labctl.chaos.model.timers import corrected
from labctl.workloads.registry import KINDS

_PLAYERS = {"galera": "writer", "redis": "master", "mongodb": "primary"}
NO_FAILOVER = {("rabbitmq", "classic"), ("tenant", "balanced")}
"""Workloads on something that lives on one node, and is away with it until somebody moves it."""
_NAMES = {"memcached": "api"}
"""Kind of workload → what it is bounded as, if not as itself."""
_BOUNDED = frozenset(
    {"keepalived", "haproxy", "mariadb", "rabbitmq", "redis", "mongodb", "neutron-l3-agent"}
)
"""Services whose end a failover follows that timers bound."""
_IDLE = frozenset({"sentinel"})
"""Services whose end alone nobody feels: they are needed for the failover of another."""
SCENARIO = "limit of the scenario"
WITHIN = 180.0
"""Seconds within which a lab must be steady again, unless the scenario says otherwise."""
_BEGINS = 0.5
"""Seconds before a fault is recorded to begin in which it may be felt."""
_TILTS = 2.0
"""Seconds for which a Sentinel must not have run to be in TILT afterwards."""


@dataclass(frozen=True)
class Explanation:
    """A fault that explains silences of a workload; times in seconds since the run began."""

    fault: int
    began: float
    healed: float
    until: float
    """When all must be as before: a member that comes back may be felt once more until then."""
    bound: Bound | None
    """The longest single silence; None: away until it is healed, and recovered by ``until``."""

    @property
    def since(self) -> float:
        """From when on it may be felt: the client's clock and labctl's are read apart."""
        return self.began - _BEGINS

    @property
    def spell(self) -> Spell:
        """From beginning to end."""
        return (self.since, self.until)

    def meets(self, spell: Spell) -> bool:
        """Whether it is in force at any time of a spell."""
        return spell[0] < self.until and spell[1] > self.since


@dataclass(frozen=True)
class Explained:
    """What explains the silences of one workload."""

    explanations: Sequence[Explanation] = ()

    def allowed(self, spell: Spell, ordinary: float) -> float:
        """How long a silence may be: what is ordinary, or what the faults in force explain.

        Bounds of faults that overlap it add up, as each may begin when the other's is over.
        """
        mine = [each for each in self.explanations if each.meets(spell)]
        limits = sum(each.bound.seconds for each in mine if each.bound is not None)
        free = overlap(spell, [each.spell for each in mine if each.bound is None])
        return max(ordinary, limits) + free

    def bounded(self, spell: Spell) -> bool:
        """Whether a fault with a bound meets it, so that its budget judges it."""
        return any(each.bound is not None and each.meets(spell) for each in self.explanations)

    def covers(self, moment: float) -> bool:
        """Whether any fault explains anything at a moment."""
        return any(each.since <= moment <= each.until for each in self.explanations)

    def narrow(self, patience: float) -> list[Spell]:
        """The times in which a client may be without an answer: ``patience`` after the heal."""
        return [
            (
                each.since,
                each.until
                if each.bound is None
                else min(each.until, each.healed + each.bound.seconds + patience),
            )
            for each in self.explanations
        ]


class Explainer:
    """Explains the silences of one run's workloads."""

    def __init__(self, run: Record) -> None:
        self._run = run
        self.numbers: Mapping[str, float] = corrected(
            (run.run.get("settings") or {}).get("timers") or {}
        )
        self.lab = dependence.of_run(run.run)
        self.tried = [
            *(entry for entry in run.timeline if entry.get("began") is not None),
            *_windows(run),
        ]
        """What was done to the lab: its faults, and the windows of its changes."""
        said = ((run.run.get("steady") or {}).get("after") or {}).get("took")
        within = seconds((run.scenario.get("steady") or {}).get("within") or f"{WITHIN:g}s")
        self._took = min(float(said), within) if isinstance(said, (int, float)) else GRACE

    def of(self, workload: Data) -> Explained:
        """What explains a workload's silences."""
        needed = self.lab.of_workload(workload)
        return Explained(
            [
                made
                for entry in self.tried
                if self.lab.touched(entry, needed)
                and (made := self._explanation(entry, workload, needed)) is not None
            ]
        )

    def touching(self, services: frozenset[str] | None) -> list[Spell]:
        """When faults that act on any of these services were in force, and a while afterwards."""
        return [
            (_began(entry), self._healed(entry) + max(GRACE, self._took))
            for entry in self.tried
            if self.lab.touched(entry, services)
        ]

    def in_force(self, services: frozenset[str] | None) -> list[Spell]:
        """As :meth:`touching`, to the heal only."""
        return [
            (_began(entry), self._healed(entry))
            for entry in self.tried
            if self.lab.touched(entry, services)
        ]

    def client(self, workload: Data) -> float:
        """Seconds that a client may wait for one answer, and then until it asks the same again."""
        return patience(workload) + period(workload)

    def players(self, entry: Data) -> dict[str, str]:
        """Who held the virtual IP and led each cluster when a fault was asked for."""
        seen = [o for o in self._run.observations if o["t"] <= entry.get("asked", _began(entry))]
        if not seen:
            return {}
        last = seen[-1]
        found = {
            kind: node
            for kind, key in _PLAYERS.items()
            if isinstance(node := last.get("clusters", {}).get(kind, {}).get(key), str)
        }
        holders = last.get("vip", [])
        return {**found, "vip": holders[0]} if len(holders) == 1 else found

    def _explanation(
        self, entry: Data, workload: Data, needed: frozenset[str] | None
    ) -> Explanation | None:
        bound = self._bound(entry, workload, needed)
        if bound == "unfelt":
            return None
        assert not isinstance(bound, str)  # noqa: S101 - the only word that it says
        healed = self._healed(entry)
        until = healed + (max(GRACE, self._took) if bound else self._took + self._again(workload))
        return Explanation(entry["index"], float(entry["began"]), healed, until, bound)

    def _again(self, workload: Data) -> float:
        """Seconds for one more failover and answer, when a cluster is there again."""
        kind = str(workload["kind"])
        one = {"traits": {"felt": "left", "on_nodes": False, "family": "process", "repeats": False}}
        services = {"galera": "mariadb", "vip": "keepalived"}
        targets = {"targets": [f"-/{services.get(kind, kind)}"], "spec": {}, "resolved": {}}
        made = felt_after({**one, **targets}, self.numbers, {}, self.client(workload))
        again = made.get(kind)
        return again.seconds if again is not None else self.client(workload)

    def _bound(
        self, entry: Data, workload: Data, needed: frozenset[str] | None
    ) -> Bound | str | None:
        """The bound; None when there is none, ``unfelt`` when the fault is not felt."""
        kind, way = str(workload["kind"]), str(workload["as"])
        touched = self.lab.touched(entry, needed)
        cap = self._cap(kind)
        felt = entry["traits"]["felt"] is not None and entry.get("bites") is not None
        if not felt or not self.numbers or (kind, way) in NO_FAILOVER or touched == {"*"}:
            return cap
        if touched <= _IDLE:
            return "unfelt"
        if not touched & _BOUNDED and not any(
            f"haproxy.{s}.inter" in self.numbers for s in touched
        ):
            return cap
        name = _NAMES.get(kind, kind)
        client = self.client(workload)
        made = felt_after(entry, self.numbers, self.players(entry), client, self.lab.nodes)
        if name not in made:
            # An API feels what has no timers; a store, only what it is made of.
            return cap if name == "api" else self._unfelt(entry, name)
        bound = made[name]
        if bound is None or self._together(entry, name):
            return cap
        return self._tilted(entry, bound) if name == "redis" else bound

    def _unfelt(self, entry: Data, name: str) -> Bound | str | None:
        """What is no leader's end is not felt, unless a majority is gone with it."""
        if self._together(entry, name):
            return None
        # What only some see of each other (``only``) may be felt without any failover.
        return None if (entry.get("spec") or {}).get("only") not in (None, "vrrp") else "unfelt"

    def _cap(self, kind: str) -> Bound | None:
        """What a scenario allows where no timer says anything."""
        caps = (self._run.scenario.get("expect") or {}).get("budgets") or {}
        return Bound((Part(SCENARIO, seconds(caps[kind])),)) if kind in caps else None

    def _together(self, entry: Data, name: str) -> bool:
        """Whether faults in force at the same time leave no majority of a cluster's members."""
        # The rows of an API are in Galera.
        name = "galera" if name == "api" else name
        members = self.numbers.get(f"members.{_CLUSTERS.get(name, '')}", 0)
        if not members:
            return False
        gone: set[str] = set()
        for other in self.tried:
            if other["traits"]["felt"] is None:
                continue
            if _began(other) < self._healed(entry) and self._healed(other) + GRACE > _began(entry):
                gone |= {
                    node
                    for hit in hits(other, self.numbers, self.lab.nodes)
                    if hit.name == name and hit.service not in _FRONT
                    for node in hit.nodes
                }
        return 2 * len(gone) >= members

    def _tilted(self, entry: Data, bound: Bound) -> Bound | None:
        """Sentinels that did not run, or are in TILT since, take no part in a failover."""
        members = self.numbers.get("members.sentinel", 0)
        tilt = self.numbers.get("sentinel.tilt", 0.0)
        away, tilting = set[str](), set[str]()
        for other in self.tried:
            frozen = self._healed(other) - _began(other) >= _TILTS
            if other["traits"]["felt"] is None or _began(other) > self._healed(entry):
                continue
            nodes = {
                target.partition("/")[0]
                for target in other.get("targets", ())
                if target.endswith("/sentinel") or "/" not in target
            }
            if self._healed(other) > _began(entry):
                away |= nodes
            elif frozen and self._healed(other) + tilt > _began(entry):
                tilting |= nodes
        if 2 * (members - len(away)) <= members:
            return None
        if 2 * (members - len(away | tilting)) <= members:
            return Bound((*bound.parts, Part("sentinel TILT", tilt)))
        return bound

    def _healed(self, entry: Data) -> float:
        healed = entry.get("healed")
        return self._run.end if healed is None else float(healed)


def _windows(run: Record) -> Iterator[Data]:
    """What each change took down, and when, as entries of the timeline.

    They bound nothing: a change has a budget of its own (see ``changes``). A new instance is missed
    from when the lab is to have it, and one that leaves until the lab is to be without it.
    """
    for change in run.changes:
        for window in change["windows"]:
            new, leaves = window["what"] == "new", window["what"] == "removed"
            began = change["began"] if new else window["began"]
            ended = change["ended"] if leaves or window["ended"] is None else window["ended"]
            yield {
                "index": change["index"],
                "targets": [window["name"]],
                "traits": {"felt": None, "on_nodes": False, "family": "change", "repeats": False},
                "asked": began,
                "began": began,
                "bites": began,
                "healed": ended,
            }


_CLUSTERS = {"galera": "mariadb", "rabbitmq": "rabbitmq", "redis": "redis", "mongodb": "mongodb"}
_FRONT = ("keepalived", "haproxy")


def _began(entry: Data) -> float:
    """When a fault may have begun to act: long before it is proved."""
    return float(entry["began"]) - _BEGINS


_ALTERNATING = {"vip": 2, "tenant": 2}
"""Kind → number of operations that its clients alternate between; each is measured by itself."""


def patience(workload: Data) -> float:
    """Seconds that a client waits for an answer: as set, or as the workload has it."""
    entry = KINDS.get(str(workload.get("kind")), {}).get(str(workload.get("as")))
    own = workload.get("settings") or {}
    usual = {**(entry.settings if entry else {}), **own}
    return float(usual.get("timeout", entry.timeout if entry else 5.0))


def period(workload: Data) -> float:
    """Seconds until a workload asks the same again."""
    kind = str(workload.get("kind"))
    entry = KINDS.get(kind, {}).get(str(workload.get("as")))
    rate = workload.get("rate") or (entry.rate if entry else 1.0)
    return _ALTERNATING.get(kind, 1) / float(rate)


def sort_of(kind: str, f: str) -> str:
    """The sort of an operation that has a silence of its own.

    A ping that succeeds says nothing about connections, nor a read about writes. An API is called
    too seldom to tell these apart.
    """
    if kind in _ALTERNATING:
        return f
    return "read" if kind != "api" and f == "read" else "change"


def silences(times: Sequence[float], end: float) -> list[Spell]:
    """The spells between acknowledgements, the last one to the end of the client."""
    ordered = sorted(times)
    return [*pairwise(ordered), (ordered[-1], max(end, ordered[-1]))] if ordered else []
