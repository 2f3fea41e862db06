"""Changes of a lab in a run's folder, judged: whether they came to an end, and what they took."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos.checks import changes as checks
from labctl.chaos.folder.history import Event
from labctl.chaos.judge import budgets, changes, record, verdict
from labctl.chaos.judge.record import Record
from labctl.chaos.model.findings import Budget, Check, Verdict
from labctl.errors import InputError
from tests.unit.chaos_histories import op
from tests.unit.traits import traits

MEMBERS = ("c1", "c2", "c3")
TIMERS = {
    **{f"members.{name}": 3.0 for name in ("mariadb", "redis", "sentinel")},
    "haproxy.mariadb.inter": 1.0,
    "haproxy.mariadb.fastinter": 0.5,
    "haproxy.mariadb.fall": 2.0,
    "haproxy.check": 2.0,
    "haproxy.retries": 3.0,
    "haproxy.connect": 3.0,
    "galera.suspect": 5.0,
    "galera.check": 0.5,
    "galera.keepalive": 1.0,
    "client.client": 1.0,
    "tcp.retries2": 25.4,
}
SCENARIO = {
    "name": "s",
    "workloads": [{"name": "w", "kind": "galera", "as": "set", "rate": 10}],
    "timeline": [{"at": "5s", "change": {"services": {"mariadb": {"sync_wait": 1}}}}],
}
HEALTHY = {name: "Primary, Synced" for name in MEMBERS}


def window(name: str, began: float, ended: float | None, what: str = "replaced") -> dict[str, Any]:
    return {"name": name, "what": what, "began": began, "ended": ended}


def change(**fields: Any) -> dict[str, Any]:
    rolled = [window(f"c{n}/mariadb", 3.0 + 5 * n, 6.0 + 5 * n) for n in (1, 2, 3)]
    return {
        "index": 0,
        "verb": "change",
        "said": "change mariadb sync_wait to 1",
        "step": 0,
        "spec": {},
        "asked": 5.0,
        "began": 5.0,
        "ended": 25.0,
        "nodes": [],
        "steps": 12,
        "windows": rolled,
        "notes": [],
        "left": [],
        "error": None,
        "stopped": False,
        "back": False,
        "settings": {"timers": TIMERS},
        **fields,
    }


def observed(t: float, states: dict[str, str] | None = None) -> dict[str, Any]:
    states = states or HEALTHY
    size = sum(said == "Primary, Synced" for said in states.values())
    cluster = {"size": size, "expected": 3, "components": 1, "members": states}
    return {"t": t, "vip": ["c1"], "unready": [], "clusters": {"galera": cluster}}


def run(*made: dict[str, Any], gap: tuple[float, float] = (99.0, 99.0), **more: Any) -> Record:
    """Forty seconds of adding numbers, ten a second but for a gap, and the changes."""
    moments = [n / 10 for n in range(400) if not gap[0] <= n / 10 < gap[1]]
    numbers = list(range(len(moments)))
    refused = [n / 10 for n in range(400) if gap[0] <= n / 10 < gap[1]]
    asked = [op(0, "add", n, t - 0.01, t) for n, t in enumerate(moments)]
    asked += [op(0, "add", 1000 + n, t - 0.01, t, "fail") for n, t in enumerate(refused)]
    events = [Event(t, "w", 0, "ok", "add", n) for n, t in enumerate(moments)]
    whole = Record(
        run={"format": 1, "settings": {"timers": TIMERS}, "ended": "now"},
        scenario=SCENARIO,
        changes=made or [change()],
        events=events,
        operations=sorted(asked, key=lambda each: each.began),
        observations=[observed(float(t)) for t in range(41)],
        finals={"w": {name: numbers for name in MEMBERS}},
    )
    return replace(whole, **more)


def judged(record: Record) -> Verdict:
    return verdict.verdict(record, budgets.of_run)


def of(found: Verdict, name: str) -> Check:
    return next(check for check in found.checks if check.check == name)


def budget(found: Verdict) -> Budget:
    (only,) = found.budgets
    return only


def test_a_change_that_nobody_noticed_is_valid() -> None:
    found = judged(run())
    assert (found.outcome, found.why) == ("VALID", "every promise was kept")
    assert of(found, "changed").why == (
        "change mariadb sync_wait to 1 in 20.0 s; then the lab was what it should be"
    )
    assert of(found, "majority").outcome == "VALID"
    assert budget(found).measured == pytest.approx(0.1, abs=0.02)
    assert budget(found).fault == 0


def test_clients_wait_no_longer_than_for_one_failover() -> None:
    # inter 1 + fastinter 0.5 + retries 3, and the client's own 5 + 0.1
    assert budget(judged(run())).bound == pytest.approx(9.6)
    assert judged(run(gap=(8.0, 17.5))).outcome == "VALID"
    found = judged(run(gap=(8.0, 18.0)))
    assert found.outcome == "INVALID"
    assert found.why.startswith("budget of galera: galera was away for 10.")


def test_silence_before_and_after_the_change_is_not_its() -> None:
    early = judged(run(gap=(0.5, 4.9)))
    assert budget(early).measured == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("fields", "outcome", "said"),
    [
        (
            {"left": ["remove demo-c1-mariadb", "create c1/mariadb"]},
            "INVALID",
            "after change mariadb sync_wait to 1 the lab is not what it should be: `up` would "
            "remove demo-c1-mariadb, create c1/mariadb",
        ),
        (
            {"error": "c2/mariadb ended with exit code 1; its log ends:\n  so", "left": None},
            "INVALID",
            "change mariadb sync_wait to 1 did not come to its end: c2/mariadb ended with exit "
            "code 1; its log ends:",
        ),
        (
            {"error": "it was stopped before its end", "stopped": True, "left": None},
            "UNKNOWN",
            "change mariadb sync_wait to 1 was stopped before its end",
        ),
        ({"ended": None}, "UNKNOWN", "change mariadb sync_wait to 1 was stopped before its end"),
        (
            {"steps": 0, "windows": []},
            "UNKNOWN",
            "change mariadb sync_wait to 1 changed nothing",
        ),
        (
            {"left": None},
            "UNKNOWN",
            "nobody asked the lab after change mariadb sync_wait to 1",
        ),
    ],
)
def test_what_becomes_of_a_change_decides(fields: Any, outcome: str, said: str) -> None:
    found = judged(run(change(**fields)))
    assert (of(found, "changed").outcome, of(found, "changed").why) == (outcome, said)
    assert found.outcome == outcome


def test_a_change_that_was_never_made_proves_nothing() -> None:
    late = change(began=None, ended=None, windows=[], error="the run ended before it was due")
    found = judged(run(late))
    assert (found.outcome, found.why) == (
        "UNKNOWN",
        "change 0 (change mariadb sync_wait to 1) was not made: the run ended before it was due",
    )
    assert not found.budgets


def test_a_change_back_after_the_run_must_succeed_and_takes_nothing_from_clients() -> None:
    back = change(index=1, said="change back", back=True, began=45.0, ended=60.0, windows=[])
    found = judged(run(change(), back))
    assert found.outcome == "VALID"
    assert len(found.budgets) == 1
    failed = change(index=1, said="change back", back=True, began=45.0, ended=60.0, error="no")
    assert judged(run(change(), failed)).outcome == "INVALID"


def test_two_members_down_at_once_break_the_majority() -> None:
    both = [window("c1/mariadb", 6.0, 12.0), window("c2/mariadb", 11.0, 15.0)]
    found = judged(run(change(windows=both)))
    assert of(found, "majority").why == (
        "c1/mariadb and c2/mariadb were down at once, of 3 members, during a change"
    )
    assert found.outcome == "INVALID"
    apart = [window("c1/mariadb", 6.0, 11.0), window("c2/mariadb", 11.0, 15.0)]
    assert of(judged(run(change(windows=apart))), "majority").outcome == "VALID"
    others = [window("c1/mariadb", 6.0, 12.0), window("c2/redis", 11.0, 15.0)]
    assert of(judged(run(change(windows=others))), "majority").outcome == "VALID"
    new = [window("c4/mariadb", 6.0, 12.0, "new"), window("c5/mariadb", 6.0, 12.0, "new")]
    assert of(judged(run(change(windows=new))), "majority").outcome == "VALID"


def test_a_majority_that_was_seen_to_be_lost_counts_whatever_was_planned() -> None:
    joining = {"c1": "Primary, Synced", "c2": "Primary, Donor/Desynced", "c3": "no answer"}
    lost = {"c1": "non-Primary, Initialized", "c2": "Primary, Synced", "c3": "no answer"}
    for states, outcome in ((joining, "VALID"), (lost, "INVALID")):
        seen = [observed(float(t), states if 10 <= t <= 12 else None) for t in range(41)]
        assert of(judged(run(observations=seen)), "majority").outcome == outcome
    early = [observed(float(t), lost if t <= 3 else None) for t in range(41)]
    assert of(judged(run(observations=early)), "majority").outcome == "VALID"


def test_members_that_are_to_come_are_missed_without_a_fault() -> None:
    """The lab is to have five members as soon as a change begins that adds two."""
    new = change(windows=[window(f"c{n}/mariadb", 20.0, 24.0, "new") for n in (4, 5)])
    five = {**HEALTHY, "c4": "no answer", "c5": "no answer"}
    seen = [observed(float(t), five if 6 <= t <= 12 else None) for t in range(41)]
    for each in seen[6:13]:
        each["clusters"]["galera"]["expected"] = 5
    assert of(judged(run(new, observations=seen)), "member away").outcome == "VALID"
    early = change(windows=[window(f"c{n}/mariadb", 20.0, 24.0, "replaced") for n in (4, 5)])
    assert of(judged(run(early, observations=seen)), "member away").outcome == "INVALID"


def test_what_was_taken_back_already_needs_no_change_back() -> None:
    done = change(index=1, back=True, steps=0, windows=[], began=26.0, ended=26.0)
    assert of(judged(run(change(), done)), "changed").outcome == "VALID"
    nothing = change(steps=0, windows=[])
    assert of(judged(run(nothing)), "changed").outcome == "UNKNOWN"


def killed(*targets: str, at: float, healed: float) -> dict[str, Any]:
    return {
        "index": 1,
        "fault": "kill",
        "traits": traits("kill"),
        "said": f"kill {' '.join(targets)}",
        "targets": list(targets),
        "asked": at,
        "began": at,
        "bites": at + 0.1,
        "healed": healed,
        "error": None,
    }


def test_a_fault_that_meets_a_change_leaves_it_open() -> None:
    fault = killed("c1/redis", at=6.0, healed=9.0)
    found = judged(run(change(error="c1/redis ended"), timeline=[fault]))
    assert of(found, "changed").outcome == "UNKNOWN"
    slow = judged(run(gap=(8.0, 18.0), timeline=[fault]))
    mine = next(each for each in slow.budgets if each.fault == 0)
    assert mine.outcome == "UNKNOWN"
    assert mine.why.endswith("; but a fault met the change")


def test_a_promise_counts_only_if_it_was_made_all_the_time() -> None:
    weak = {"galera": {"innodb_flush_log_at_trx_commit": 0}, "timers": TIMERS}
    strong = {"galera": {"innodb_flush_log_at_trx_commit": 1}, "timers": TIMERS}
    fewer = {"w": {name: list(range(1, 400)) for name in MEMBERS}}
    crash = killed(*(f"{name}/mariadb" for name in MEMBERS), at=0.5, healed=3.0)
    for now, outcome in ((strong, "INVALID"), (weak, "VALID")):
        made = run(change(settings=now), finals=fewer, timeline=[crash])
        made = replace(made, run={**made.run, "settings": strong})
        assert of(judged(made), "lost").outcome == outcome


def test_windows_that_never_ended_end_with_the_change() -> None:
    open_ended = change(windows=[window("c1/mariadb", 6.0, None)])
    assert checks.down(open_ended) == [("c1/mariadb", (6.0, 25.0))]
    assert changes.when(run(open_ended), 0) == (5.0, 25.0)
    assert changes.when(run(open_ended), 7) is None


def test_a_damaged_file_of_changes_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "timeline.json").write_text("[]")
    text = "{name: s, description: d, workloads: [{name: w, kind: galera, as: set}], timeline: []}"
    (tmp_path / "scenario.yml").write_text(text)
    (tmp_path / "changes.json").write_text(json.dumps([change()]))
    assert record.read(Path()).changes[0]["said"] == "change mariadb sync_wait to 1"
    (tmp_path / "changes.json").write_text('[{"index": 0}]')
    with pytest.raises(InputError) as caught:
        record.read(Path())
    assert str(caught.value) == "changes.json: is not the changes of a run"
