"""How long what is away after a fault, as labs have shown it; and what an observer sees meanwhile.

Kept apart from the judge's bounds on purpose: these are measurements, with their spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from labctl.model.hearing import deaf
from labctl.model.lab import Lab
from labctl.workloads.registry import KINDS

Spell = tuple[float, float]
_STORES = {"galera": "mariadb", "rabbitmq": "rabbitmq", "redis": "redis", "mongodb": "mongodb"}
_LEADS = {"galera": "c1", "rabbitmq": "c2", "redis": "c1", "mongodb": "c3"}
_SILENT = {
    # Seconds for a kind of ending: (killed or powered off, silent, left in good order).
    "galera": ((5.0, 6.2), (5.2, 8.2), (0.0, 0.9)),
    "rabbitmq": ((0.2, 1.5), (6.0, 18.0), (0.2, 1.5)),
    "redis": ((5.2, 7.8), (5.5, 8.5), (5.2, 7.5)),
    "mongodb": ((8.0, 12.5), (8.0, 20.0), (0.2, 1.8)),
}
_BACK = (1.0, 15.0)
"""Seconds after the heal until a cluster that had lost its majority serves again."""


class Outages:
    """The outages of one run."""

    def __init__(self, lab: Lab, timeline: Sequence[Mapping[str, Any]], dice: Random) -> None:
        self._lab, self._timeline, self._dice = lab, timeline, dice
        self._known: dict[str, list[Spell]] = {}
        self._drawn: dict[tuple[Any, ...], Any] = {}

    def of(self, workload: Mapping[str, Any]) -> list[Spell]:
        """When a workload is away."""
        name = str(workload["name"])
        if name not in self._known:
            found = [s for row in self._timeline for s in self._after(row, workload)]
            self._known[name] = sorted(found)
        return self._known[name]

    def _draw(self, key: tuple[Any, ...], spread: tuple[float, float]) -> float:
        """The same event takes the same time for all who notice it."""
        return float(self._drawn.setdefault(key, self._dice.uniform(*spread)))

    def _after(self, row: Mapping[str, Any], workload: Mapping[str, Any]) -> list[Spell]:
        kind, way = workload["kind"], workload["as"]
        entry = KINDS[kind][way]
        found: list[Spell] = []
        for part in ("vip", *_STORES):
            if (
                part == kind
                or (part == "vip" and "keepalived" in entry.services)
                or (part == "galera" and kind in ("api", "memcached", "tenant"))
            ):
                spell = self._store(row, part, way)
                found += [spell] if spell else []
        hit = {t.partition("/")[2] for t in row["targets"] if "/" in t}
        own = hit & {*entry.services} - {"haproxy", "keepalived"}
        if kind in ("api", "memcached") and own and row["traits"]["felt"] is not None:
            found.append(self._spell(row, (0.0, 4.0), "own"))
        if kind == "tenant":
            if "octavia-amphora" in hit:
                found.append((row["began"], row["healed"] + 1.0))
            elif "neutron-l3-agent" in hit or row["traits"]["on_nodes"]:
                found.append(self._spell(row, (5.5, 6.6), "router"))
        return found

    def _spell(self, row: Mapping[str, Any], spread: tuple[float, float], what: str) -> Spell:
        took = self._draw((row["index"], what), spread)
        return (row["began"] + 0.02, row["began"] + 0.02 + took)

    def _store(self, row: Mapping[str, Any], part: str, way: str) -> Spell | None:
        felt, nodes = row["traits"]["felt"], self.hit(row, part)
        if not nodes or felt is None or row["spec"].get("only") == "vrrp":
            return None
        if part == "vip":
            return self._address(row, nodes)
        if row["traits"]["repeats"]:
            return self._spell(row, (5.0, 8.0), part)
        leads = part in ("redis", "mongodb") or way == "classic"
        if leads and _LEADS[part] not in nodes:
            return None
        if 2 * len(nodes) >= 3 or way == "classic":
            back = self._draw((row["index"], part, "back"), _BACK)
            return (row["began"] + 0.02, row["healed"] + back)
        spread = _SILENT[part][{"killed": 0, "silent": 1, "left": 2}[felt]]
        if part == "galera" and row["spec"].get("direction", "both") != "both":
            spread = (6.0, 15.5)
        return self._spell(row, spread, part)

    def _address(self, row: Mapping[str, Any], nodes: Sequence[str]) -> Spell | None:
        felt = row["traits"]["felt"]
        services = {t.partition("/")[2] for t in row["targets"] if "/" in t}
        # A dead keepalived leaves its address behind.
        if "c1" not in nodes or ("keepalived" in services and felt != "left"):
            return None
        if row["spec"].get("direction") == "in":
            return (row["began"], row["healed"] + 0.3)
        if row["fault"] == "pause" and "haproxy" in services:
            return self._spell(row, (2.0, 4.0), "vip")
        return self._spell(row, (0.02, 0.2) if felt == "left" else (0.2, 1.1), "vip")

    def hit(self, row: Mapping[str, Any], part: str) -> list[str]:
        """The nodes on which a fault ends a store, or the virtual IP, or parts it from most."""
        service = _STORES.get(part)
        only = row["spec"].get("only")
        if only not in (None, "vrrp") and only != {"galera": "port 4567"}.get(part):
            return []
        if row["fault"] == "cut":
            return self._apart(row, part)
        whole = [t for t in row["targets"] if "/" not in t]
        named = [t.partition("/") for t in row["targets"] if "/" in t]
        if row["traits"]["on_nodes"]:
            whole += [node for node, _, _ in named]
            named = []
        if part == "vip":
            return whole + [n for n, _, s in named if s in ("haproxy", "keepalived")]
        return whole + [node for node, _, s in named if s == service]

    def _apart(self, row: Mapping[str, Any], part: str) -> list[str]:
        """Who is not with the majority, and with the client."""
        resolved = row["resolved"]
        deafness = deaf(resolved["groups"], resolved["direction"], resolved["pairs"])
        members = ("c1", "c2", "c3")
        heard = {
            one: [
                other
                for other in members
                if other == one
                or (other not in deafness.get(one, ()) and one not in deafness.get(other, ()))
            ]
            for one in members
        }
        lonely = [one for one in members if 2 * len(heard[one]) <= len(members)]
        if part != "vip" and "client" in {n for g in resolved["groups"] for n in g}:
            near = next((g for g in resolved["groups"] if "client" in g), [])
            far = [m for m in members if m not in near and near]
            if 2 * len(far) > len(members):
                return list(members)
        return lonely

    def observation(self, t: float, lab: Lab) -> dict[str, Any]:
        """What an observer sees at a moment."""
        rows = [r for r in self._timeline if r["began"] <= t <= r["healed"] + 2.0]
        down = {part: {n for r in rows for n in self._down(r, part)} for part in ("vip", *_STORES)}
        vip = ["c1"]
        if any(a <= t <= b for r in rows for a, b in [self._store(r, "vip", "") or (1e9, 0)]):
            vip = []
        elif "c1" in down["vip"] and rows:
            vip = ["c2"]
        clusters: dict[str, Any] = {}
        for part, service in _STORES.items():
            if service not in lab.services:
                continue
            members = ("c1", "c2", "c3")
            up = [m for m in members if m not in down[part]]
            state: dict[str, Any] = {"service": service, "size": len(up), "expected": 3}
            lead = _LEADS[part] if _LEADS[part] in up else (up or [None])[0]
            if part == "galera":
                state |= {
                    "writer": lead,
                    "components": 1,
                    "uuids": dict.fromkeys(up, "u"),
                    "committed": dict.fromkeys(up, 100 + int(t)),
                }
            if part == "rabbitmq":
                state |= {"leader": lead, "leaderless": [], "partitioned": False, "stranded": []}
            if part == "redis":
                state |= {"master": lead, "masters": [lead] if lead else []}
            if part == "mongodb":
                state |= {"primary": lead, "primaries": [lead] if lead else []}
            well = "Primary, Synced" if part == "galera" else "up"
            state["members"] = {m: well if m in up else "down" for m in members}
            clusters[part] = state
        unready = sorted(
            f"{n}/{_STORES[p]}" for p, nodes in down.items() if p in _STORES for n in nodes
        )
        return {"t": round(t + 0.2, 3), "vip": vip, "clusters": clusters, "unready": unready}

    def _down(self, row: Mapping[str, Any], part: str) -> list[str]:
        if row["traits"]["felt"] is None or row["spec"].get("only") == "vrrp":
            return []
        return self.hit(row, part)
