"""What may befall any run, whatever its workload."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from tests.mutation.stores import INCOMPLETE, Mutant
from tests.mutation.world import FIRST, Row, Run

EITHER = frozenset({"INVALID", "UNKNOWN"})


def _quiet(run: Run) -> tuple[float, float]:
    """The time before the first fault."""
    return FIRST + 2, min((row["began"] for row in run.timeline), default=run.history[-1]["t"] - 2)


def _late(run: Run) -> float:
    """When all is over, and was for a while."""
    return max([FIRST + 12, *(row["healed"] for row in run.timeline)])


def _refused(run: Run, name: str, spare: Callable[[Row], bool], since: float, until: float) -> int:
    """Acknowledgements become refusals; values that were written so must go as well."""
    count = 0
    for row in run.history:
        mine = row["w"] == name and row["type"] == "ok" and row["f"] != "dequeue"
        if mine and since <= row["t"] < until and not spare(row):
            row |= {"type": "info", "error": "TimeoutError: no answer in time"}
            row["value"] = _asked(run, row)
            count += 1
    return count


def _asked(run: Run, row: Row) -> Any:
    asked = [
        r
        for r in run.history
        if r["w"] == row["w"]
        and r["p"] == row["p"]
        and r["type"] == "invoke"
        and r["t"] <= row["t"]
    ]
    return asked[-1]["value"] if asked else None


def _patience(run: Run, name: str) -> float:
    """Seconds: a silence that is longer than anything ordinary of this workload."""
    kind = next(w["kind"] for w in run.scenario["workloads"] if w["name"] == name)
    return {"vip": 6.0, "api": 34.0, "memcached": 14.0, "tenant": 12.0}.get(kind, 11.0)


def _never(_: Row) -> bool:
    return False


def silent_before(run: Run, name: str, _: Random) -> object:
    since, until = _quiet(run)
    if until - since < _patience(run, name) + 2:
        return False
    return _refused(run, name, _never, since, since + _patience(run, name)) > 0


def silent_after(run: Run, name: str, _: Random) -> object:
    """A second after the heal it is away, for nearly a minute."""
    since = _late(run) + 1
    return _refused(run, name, _never, since, since + 54) > 0


def silent_to_the_end(run: Run, name: str, _: Random) -> object:
    """From the fault on it is never served again."""
    since = min((row["began"] for row in run.timeline), default=FIRST + 8)
    return _refused(run, name, _never, since, 1e9) > 0


def silent_from_the_start(run: Run, name: str, _: Random) -> object:
    kind = next(w["kind"] for w in run.scenario["workloads"] if w["name"] == name)
    if kind in ("api", "tenant", "memcached"):
        return False  # their first answer may take minutes
    return _refused(run, name, _never, 0, FIRST + 16) > 0


def mostly_failing(run: Run, name: str, dice: Random) -> object:
    """97 of a hundred fail, in peace."""
    since, until = _quiet(run)
    return _refused(run, name, lambda _: dice.random() < 0.03, since, until) > 5


def half_failing(run: Run, name: str, dice: Random) -> object:
    since, until = _quiet(run)
    return _refused(run, name, lambda _: dice.random() < 0.5, since, until) > 12


def half_failing_after(run: Run, name: str, dice: Random) -> object:
    since = _late(run) + 62
    return _refused(run, name, lambda _: dice.random() < 0.5, since, 1e9) > 12


def clients_left_behind(run: Run, name: str, _: Random) -> object:
    """All clients but one are never served again."""
    since = _late(run)
    return _refused(run, name, lambda row: row["p"] == 0, since, 1e9) > 8


def a_client_left_behind(run: Run, name: str, _: Random) -> object:
    since = _late(run)
    mine = _refused(run, name, lambda row: row["p"] != 1, since, 1e9)
    return mine > 5


def without_the_fault(run: Run, name: str, _: Random) -> object:
    """The same outage, and nothing was broken."""
    served = sorted(r["t"] for r in run.events("ok", workload=name) if r["f"] != "dequeue")
    gaps = [b - a for a, b in pairwise(served)]
    if max(gaps, default=0) < _patience(run, name):
        return False
    run.timeline.clear()
    run.scenario["timeline"] = []
    return True


_ELSEWHERE = {
    "galera": "redis",
    "redis": "mongodb",
    "mongodb": "redis",
    "rabbitmq": "redis",
    "vip": "redis",
    "api": "mongodb",
    "memcached": "mongodb",
    "tenant": "mongodb",
}


def collateral(run: Run, name: str, _: Random) -> object:
    """The same outage, and something else was broken."""
    kind = next(w["kind"] for w in run.scenario["workloads"] if w["name"] == name)
    way = next(w["as"] for w in run.scenario["workloads"] if w["name"] == name)
    if way in ("message",):
        return False  # it needs MongoDB
    served = sorted(r["t"] for r in run.events("ok", workload=name) if r["f"] != "dequeue")
    gaps = [b - a for a, b in pairwise(served)]
    if max(gaps, default=0) < _patience(run, name):
        since = run.timeline[0]["began"]
        if not _refused(run, name, _never, since, since + _patience(run, name)):
            return False
    other = _ELSEWHERE[kind]
    for row in run.timeline:
        row["targets"] = [f"c1/{other}"]
        row["resolved"] |= {"targets": row["targets"], "groups": [], "pairs": []}
        row["said"] = f"{row['fault']} c1/{other}"
    return True


def _observed(change: Callable[[Row], None], lasting: float, *, quiet: bool) -> Any:
    def mutate(run: Run, name: str, dice: Random) -> object:
        begin = _quiet(run)[0] if quiet else _late(run) + 25
        rows = [row for row in run.observations if begin <= row["t"] < begin + lasting]
        if len(rows) < lasting / 2 or rows[-1] is run.observations[-1]:
            return False
        for row in rows:
            change(row)
        return True

    return mutate


def _two(row: Row) -> None:
    row["vip"] = ["c1", "c2"]


def _none(row: Row) -> None:
    row["vip"] = []


def _small(kind: str) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        if kind in row["clusters"]:
            row["clusters"][kind]["size"] = 1

    return change


def _components(row: Row) -> None:
    row["clusters"]["galera"]["components"] = 2


def _unready(row: Row) -> None:
    row["unready"] = sorted({*row["unready"], "c2/memcached"})


def vip_while_redis_is_dead(run: Run, name: str, _: Random) -> object:
    """The address has two holders while a fault elsewhere is in force."""
    for row in run.timeline:
        row["targets"] = ["c1/redis"]
        row["resolved"] |= {"targets": ["c1/redis"], "groups": [], "pairs": []}
    began = run.timeline[0]["began"]
    for row in run.observations:
        row["vip"] = ["c1", "c3"] if began + 1 < row["t"] < began + 14 else ["c1"]
    del name
    return True


def _cut(name: str, share: float, *, line: bool) -> Any:
    def mutate(run: Run, _: str, dice: Random) -> object:
        rows = getattr(run, name.partition(".")[0])
        text = "".join(json.dumps(row) + "\n" for row in rows)
        at = int(len(text) * share) + dice.randrange(40)
        run.lines[name] = text[: text.index("\n", at) + 1] if line else text[:at]
        return True

    return mutate


def _lines(change: Callable[[list[Row], Random], object]) -> Any:
    """Damage to the lines of the history, after it was sealed."""

    def mutate(run: Run, name: str, dice: Random) -> object:
        rows = [dict(row) for row in run.history]
        change(rows, dice)
        run.lines["history.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows)
        return True

    return mutate


def _doubled(rows: list[Row], dice: Random) -> None:
    at = dice.randrange(len(rows))
    rows.insert(at, rows[at])


def _reordered(rows: list[Row], dice: Random) -> None:
    at = dice.randrange(10, len(rows) - 30)
    rows[at], rows[at + 20] = rows[at + 20], rows[at]


def _dropped(rows: list[Row], dice: Random) -> None:
    del rows[dice.randrange(len(rows))]


def _shifted(rows: list[Row], dice: Random) -> None:
    """The clock goes back by ten seconds in the middle."""
    at = dice.randrange(len(rows) // 3, len(rows) // 2)
    for row in rows[at:]:
        row["t"] = round(row["t"] - 10, 6)


def _halved(rows: list[Row], _: Random) -> None:
    del rows[len(rows) // 2 :]


def no_history(run: Run, name: str, _: Random) -> object:
    run.lines["history.jsonl"] = ""
    return True


def garbage(run: Run, name: str, dice: Random) -> object:
    text = "".join(json.dumps(row) + "\n" for row in run.history)
    at = dice.randrange(len(text) // 2)
    run.lines["history.jsonl"] = text[:at] + "\x00garbage" + text[at + 9 :]
    return True


def unasked(run: Run, name: str, _: Random) -> object:
    """For a while the client asked nothing at all."""
    since, until = _quiet(run)
    until = min(until, since + 12)
    before = len(run.history)
    names = {(r["p"], r["f"]) for r in run.history if r["w"] == name}
    del names
    open_: dict[Any, Row] = {}
    gone: set[int] = set()
    for row in run.history:
        if row["w"] != name:
            continue
        key = row["p"]
        if row["type"] == "invoke":
            open_[key] = row
        elif key in open_ and since < open_[key]["t"] < until:
            gone |= {id(open_[key]), id(row)}
            run_finals_keep(run, name, row)
    run.history = [row for row in run.history if id(row) not in gone]
    return len(run.history) < before


def run_finals_keep(run: Run, name: str, row: Row) -> None:
    """What nobody asked for cannot be there."""
    finals = run.finals[name]
    if row["f"] in ("add", "enqueue") and isinstance(finals, dict):
        for values in finals.values():
            if isinstance(values, list) and row["value"] in values:
                values.remove(row["value"])


def no_finals(run: Run, name: str, _: Random) -> object:
    del run.finals[name]
    return True


def blind(run: Run, name: str, _: Random) -> object:
    run.observations.clear()
    return True


def blind_for_a_while(run: Run, name: str, _: Random) -> object:
    """The observer saw nothing while the fault was in force and after."""
    since = run.timeline[0]["began"] if run.timeline else FIRST + 3
    for row in run.observations:
        if since < row["t"] < since + 40:
            row.pop("unready")
            row |= {"vip": [], "clusters": {}, "error": "no answer"}
    return True


def healed_by_somebody(run: Run, name: str, _: Random) -> object:
    run.timeline[0]["healed_by"] = "another command"
    return True


def restarted_by_others(run: Run, name: str, _: Random) -> object:
    run.timeline[0]["overtaken"] = {run.timeline[0]["targets"][0]: "it runs again"}
    return True


def healed_too_early(run: Run, name: str, _: Random) -> object:
    row = run.timeline[0]
    if row["lasts"] is None or row["lasts"] < 5:
        return False
    row["healed"] = round(row["bites"] + 1.0, 3)
    return True


def no_effect(run: Run, name: str, _: Random) -> object:
    run.timeline[0] |= {"bites": None, "error": "c1 still answers"}
    return True


def not_steady_before(run: Run, name: str, _: Random) -> object:
    run.run["steady"]["before"] = {"held": False, "said": ["c2/redis is not ready"]}
    return True


def not_steady_after(run: Run, name: str, _: Random) -> object:
    run.run["steady"]["after"] = {"held": False, "said": ["c2/redis is not ready"]}
    return True


def killed(run: Run, name: str, _: Random) -> object:
    run.run["ended"] = None
    return True


OF_A_WORKLOAD = (
    Mutant("silent before the fault", silent_before),
    Mutant("silent for 54 s, a second after the heal", silent_after),
    Mutant("silent to the end", silent_to_the_end, EITHER),
    Mutant("silent from the start", silent_from_the_start),
    Mutant("97 of 100 fail", mostly_failing),
    Mutant("half of all fail", half_failing),
    Mutant("all clients but one are never served again", clients_left_behind),
    Mutant("one client is never served again", a_client_left_behind),
    Mutant("an outage without a fault", without_the_fault),
    Mutant("an outage by a fault elsewhere", collateral),
    Mutant("the client asked nothing for a while", unasked, EITHER),
    Mutant("the end was not read", no_finals, INCOMPLETE),
)
"""What each workload must be watched for by itself."""
OF_A_RUN = (
    Mutant("two holders before the fault", _observed(_two, 9, quiet=True)),
    Mutant("no holder before the fault", _observed(_none, 9, quiet=True)),
    Mutant("two holders long after", _observed(_two, 9, quiet=False)),
    Mutant("no holder long after", _observed(_none, 9, quiet=False)),
    Mutant("two holders while Redis is dead", vip_while_redis_is_dead),
    Mutant("Galera is small before the fault", _observed(_small("galera"), 12, quiet=True)),
    Mutant("RabbitMQ is small before the fault", _observed(_small("rabbitmq"), 12, quiet=True)),
    Mutant("MongoDB is small before the fault", _observed(_small("mongodb"), 12, quiet=True)),
    Mutant("two primary components", _observed(_components, 9, quiet=True)),
    Mutant("something else is not ready", _observed(_unready, 14, quiet=True)),
    Mutant("the history is cut within a line", _cut("history.jsonl", 0.6, line=False), INCOMPLETE),
    Mutant("the history is cut after a line", _cut("history.jsonl", 0.8, line=True), INCOMPLETE),
    Mutant("the observations are cut", _cut("observations.jsonl", 0.5, line=True), INCOMPLETE),
    Mutant("a line of the history is doubled", _lines(_doubled), INCOMPLETE),
    Mutant("two lines of the history are swapped", _lines(_reordered), INCOMPLETE),
    Mutant("a line of the history is missing", _lines(_dropped), INCOMPLETE),
    Mutant("half of the history is missing", _lines(_halved), INCOMPLETE),
    Mutant("the clock goes back", _lines(_shifted), INCOMPLETE),
    Mutant("there is no history", no_history, INCOMPLETE),
    Mutant("garbage in the history", garbage, INCOMPLETE),
    Mutant("nothing was observed", blind, INCOMPLETE),
    Mutant("nothing was observed for a while", blind_for_a_while, INCOMPLETE),
    Mutant("somebody healed the fault", healed_by_somebody, INCOMPLETE),
    Mutant("others restarted the target", restarted_by_others, INCOMPLETE),
    Mutant("the fault was healed too early", healed_too_early, INCOMPLETE),
    Mutant("the fault had no effect", no_effect, EITHER),
    Mutant("it was not steady before", not_steady_before, INCOMPLETE),
    Mutant("it is not steady after", not_steady_after),
    Mutant("labctl was killed", killed, INCOMPLETE),
)
"""What has nothing to do with the workload."""
