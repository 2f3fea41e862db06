"""Transactions of executors of known isolation: each shows what its level lets happen, no more."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.chaos.checks import append
from labctl.chaos.folder.history import Operation
from labctl.chaos.judge.ledger import Promise, judged, promise
from labctl.chaos.model.findings import Finding
from labctl.chaos.model.isolation import ANOMALIES, LEVELS, Level, forbids
from labctl.chaos.report.cycle import cycle
from tests.mutation.corrupt import ANOMALIES as PLANTED
from tests.mutation.corrupt import plant
from tests.mutation.simulate import dice, good

Lists = dict[int, list[int]]
Parts = list[list[Any]]


class Executor:
    """Transactions at once, a part at a time in a random order, on one copy or an old one."""

    def __init__(self, level: str, random: Random) -> None:
        self.level, self.random = level, random
        self.versions: list[Lists] = [{}]
        """What was committed, after each transaction."""
        self.done: list[Operation] = []

    def run(self, rounds: int, together: int = 3) -> list[Operation]:
        element = 0
        for turn in range(rounds):
            asked: list[Parts] = []
            for _ in range(together):
                parts: Parts = []
                for _ in range(self.random.randint(1, 4)):
                    key = turn // 6 * 3 + self.random.randrange(3)
                    element += 1
                    write = self.random.random() < 0.5
                    parts.append(["append", key, element] if write else ["r", key, None])
                asked.append(parts)
            self._turn(turn, asked)
        return self.done

    def snapshot(self) -> Lists:
        """What a transaction sees from its beginning on."""
        behind = self.random.randint(0, 4) if self.level == "stale" else 0
        return self.versions[max(0, len(self.versions) - 1 - behind)]

    def _turn(self, turn: int, asked: list[Parts]) -> None:
        if self.level == "read committed":
            self._interleave(turn, asked)
            return
        began = len(self.versions) - 1
        for place, parts in enumerate(asked):
            if self.level == "snapshot":
                self._commit(turn, place, parts, dict(self.versions[began]), began, False)
                continue
            reading = all(part[0] == "r" for part in parts)
            base = self.snapshot() if reading else self.versions[-1]
            self._commit(turn, place, parts, dict(base), len(self.versions) - 1, reading)

    def _interleave(self, turn: int, asked: list[Parts]) -> None:
        """Each part sees what is committed then.

        A write locks its key to the end; who finds it locked is aborted.
        """
        steps = [(place, at) for place, parts in enumerate(asked) for at in range(len(parts))]
        self.random.shuffle(steps)
        steps.sort(key=lambda step: step[1])
        found: list[Parts] = [[] for _ in asked]
        own: list[Lists] = [{} for _ in asked]
        locked: dict[int, int] = {}
        for place, at in steps:
            f, key, value = asked[place][at]
            if len(found[place]) < at or (f == "append" and locked.setdefault(key, place) != place):
                locked = {name: who for name, who in locked.items() if who != place}
                continue
            mine = own[place].setdefault(key, [])
            if f == "append":
                mine.append(value)
            else:
                value = [*self.versions[-1].get(key, []), *mine]
            found[place].append([f, key, value])
            if len(found[place]) == len(asked[place]):
                now = self.versions[-1]
                new = {name: [*now.get(name, []), *each] for name, each in own[place].items()}
                self.versions.append({**now, **new})
                self._say(turn, place, asked[place], found[place])
                locked = {name: who for name, who in locked.items() if who != place}

    def _commit(
        self, turn: int, place: int, parts: Parts, base: Lists, began: int, reading: bool
    ) -> None:
        found: Parts = []
        written = {key for f, key, _ in parts if f == "append"}
        newest = self.versions[-1]
        if not reading and any(newest.get(key) != self.versions[began].get(key) for key in written):
            return  # the first committer wins
        for f, key, value in parts:
            if f == "append":
                base[key] = [*base.get(key, []), value]
                found.append([f, key, value])
            else:
                found.append([f, key, list(base.get(key, []))])
        self.versions.append({**newest, **{key: base[key] for key in written}})
        self._say(turn, place, parts, found)

    def _say(self, turn: int, place: int, parts: Parts, found: Parts) -> None:
        began = turn * 1.0 + (place * 0.3 if self.level in ("serial", "stale") else 0.0)
        asked = [[f, key, value if f == "append" else None] for f, key, value in parts]
        ended = began + (0.2 if self.level in ("serial", "stale") else 0.9)
        self.done.append(Operation("w", place, "txn", asked, began, ended, "ok", found))


def found_by(level: str, seed: int) -> Mapping[str, Finding]:
    executor = Executor(level, dice(seed))
    operations = sorted(executor.run(30), key=lambda op: op.began)
    ends = {str(key): values for key, values in executor.versions[-1].items()}
    findings = append.check(operations, {"c1": ends, "c2": ends}, {})
    return {each.check: each for each in findings if each.broken}


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_serial_executor_shows_nothing(seed: int) -> None:
    assert not found_by("serial", seed)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_snapshot_isolation_shows_write_skew_and_no_more(seed: int) -> None:
    assert set(found_by("snapshot", seed)) <= {"G2-item"}


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_read_committed_shows_nothing_that_it_forbids(seed: int) -> None:
    for finding in found_by("read committed", seed).values():
        assert finding.aspect in LEVELS, finding
        assert not forbids("read committed", finding.aspect), finding


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_stale_replica_is_wrong_only_in_time(seed: int) -> None:
    for name, finding in found_by("stale", seed).items():
        assert name == "stale" or name.endswith(("-process", "-realtime")), finding
        assert finding.aspect in ("fresh", "strict serializable")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("snapshot", {"G2-item"}),
        ("read committed", {"G-single", "G2-item", "lost update", "internal"}),
        ("stale", {"stale", "G-single-realtime"}),
    ],
)
def test_each_level_shows_what_it_lets_happen(level: str, shown: set[str]) -> None:
    seen = {name for seed in range(25) for name in found_by(level, seed)}
    assert shown <= seen


def promised(finding: Finding, level: Level) -> str:
    return judged("w", finding, Promise("", "", isolation=level)).outcome


@pytest.mark.parametrize("anomaly", [name for name in PLANTED if name in ANOMALIES])
def test_an_anomaly_is_wrong_where_it_is_forbidden(anomaly: str) -> None:
    story = good("append", 3)
    plant(story, *PLANTED[anomaly])
    finding = next(each for each in story.findings() if each.check == anomaly)
    weakest = ANOMALIES[anomaly][0]
    for level in LEVELS:
        if finding.aspect == "always":
            assert promised(finding, level) == "INVALID"
        else:
            expected = "INVALID" if forbids(level, weakest) else "VALID"
            assert promised(finding, level) == expected


def test_what_galera_promises_follows_from_its_settings() -> None:
    def level(store: Mapping[str, Any], own: Mapping[str, Any]) -> Level:
        return promise("galera", "append", {"galera": store}, own).isolation

    assert level({}, {}) == "read committed"
    assert level({"innodb_snapshot_isolation": 1}, {}) == "snapshot isolation"
    assert level({}, {"lock_reads": True}) == "serializable"
    assert level({"wsrep_sync_wait": 1}, {"lock_reads": True}) == "strict serializable"
    assert level({}, {"lock_reads": True, "spread": True}) == "none"


def test_a_cycle_is_drawn_and_escaped() -> None:
    story = good("append", 3)
    plant(story, *PLANTED["G-single"])
    finding = next(each for each in story.findings() if each.check == "G-single")
    check = judged("w", finding, Promise("", "")).to_json()
    assert [link["kind"] for link in check["cycle"]] == ["rw", "wr"]
    assert "did not see" in check["cycle"][0]["said"]
    check["cycle"][0]["value"] = "<script>"
    drawing = str(cycle(check["cycle"]))
    tree = ElementTree.fromstring(drawing)  # noqa: S314 - our own
    texts = [text.text or "" for text in tree.iter("text")]
    assert any("<script>" in text for text in texts) and "rw" in texts and "wr" in texts
    assert len(list(tree.iter("rect"))) == 2
    assert not cycle(None) and not cycle([]) and not cycle("no list")
