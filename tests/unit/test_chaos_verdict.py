"""From a run's folder to its verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.chaos.folder.history import Event
from labctl.chaos.judge import record, verdict
from labctl.chaos.judge.record import Record
from labctl.chaos.model.findings import MAX_EVIDENCE, Budget, Check, Evidence, Part
from labctl.documents import reader
from labctl.errors import InputError
from tests.unit.chaos_histories import op
from tests.unit.traits import traits

FAULT = {
    "index": 0,
    "fault": "kill",
    "traits": traits("kill"),
    "said": "kill c1/mariadb",
    "targets": ["c1/mariadb"],
    "began": 5.0,
    "bites": 5.2,
    "healed": 8.0,
    "error": None,
}
RUN = {
    "format": 1,
    "settings": {
        "galera": {"innodb_flush_log_at_trx_commit": 1},
        # A single member, so that its crash is that of all.
        "timers": {"members.mariadb": 1.0},
    },
    "ended": "2026-01-01T12:00:00+00:00",
}
CLUSTERS = {"galera": {"size": 2, "expected": 2, "components": 1}}
SCENARIO = {"name": "s", "workloads": [{"name": "w", "kind": "galera", "as": "set"}]}


def run(lost: bool = False, **changes: Any) -> Record:
    """Twenty acknowledged numbers, one fault, a steady lab; if asked, the one before it is lost."""
    numbers = list(range(20))
    left = [n for n in numbers if n != 4 or not lost]
    whole = Record(
        run=RUN,
        scenario=SCENARIO,
        timeline=[FAULT],
        operations=[op(0, "add", n, float(n), n + 0.5) for n in numbers],
        observations=[
            {"t": float(t), "vip": ["c1"], "unready": [], "clusters": CLUSTERS} for t in range(20)
        ],
        finals={"w": {"c1": left, "c2": left}},
    )
    return replace(whole, **changes)


def expecting(**expect: Any) -> dict[str, Any]:
    return {**SCENARIO, "expect": expect}


def unsafe(flush: int) -> dict[str, Any]:
    settings = {**RUN["settings"], "galera": {"innodb_flush_log_at_trx_commit": flush}}
    return {**RUN, "settings": settings}


def test_all_is_well() -> None:
    found = verdict.verdict(run())
    assert (found.outcome, found.why) == ("VALID", "every promise was kept")
    assert found.as_expected
    assert {check.outcome for check in found.checks} == {"VALID"}


def test_lost_though_promised() -> None:
    found = verdict.verdict(run(lost=True))
    assert found.outcome == "INVALID"
    assert found.why.startswith("w: lost: 1 acknowledged and lost: 4; innodb_flush_log_at_trx")
    assert not found.as_expected


def test_lost_as_documented_is_told() -> None:
    found = verdict.verdict(run(lost=True, run=unsafe(0)))
    assert found.outcome == "VALID"
    assert found.why.startswith("every promise was kept; w: lost: 1 acknowledged and lost")


def test_lost_as_documented_needs_the_fault_that_is_documented() -> None:
    """A second before all crash is documented, and no other time, fault or setting."""
    second = verdict.verdict(run(lost=True, run=unsafe(0)))
    assert second.outcome == "VALID"
    for changes in (
        {"timeline": []},
        {"timeline": [{**FAULT, "targets": ["c1/redis"]}]},
        {"timeline": [{**FAULT, "traits": traits("pause")}]},
        {"timeline": [{**FAULT, "began": 9.0, "bites": 9.2, "healed": 12.0}]},
        # 2 survives the end of a process: only power takes what the kernel has not written.
        {"run": unsafe(2)},
    ):
        found = verdict.verdict(run(**{"lost": True, "run": unsafe(0), **changes}))
        assert found.outcome == "INVALID", changes


def test_lost_with_settings_that_nobody_knows_is_unknown() -> None:
    found = verdict.verdict(run(lost=True, run={**RUN, "settings": {}}))
    assert found.outcome == "UNKNOWN"
    assert "whether that was promised is unknown" in found.why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"timeline": [{**FAULT, "error": "c1 still answers"}]},
            "fault 0 (kill c1/mariadb) had no effect: c1 still answers",
        ),
        (
            {"timeline": [{**FAULT, "bites": None}]},
            "fault 0 (kill c1/mariadb) had no effect: nothing shows that it did",
        ),
        (
            {"timeline": [{**FAULT, "healed_by": "another command"}]},
            "fault 0 (kill c1/mariadb) ended earlier than planned: another command healed it",
        ),
        (
            {"timeline": [{**FAULT, "overtaken": {"c1/mariadb": "c1 is off"}, "healed_by": ""}]},
            "fault 0 (kill c1/mariadb) ended earlier than planned: c1/mariadb: c1 is off",
        ),
        ({"finals": None}, "the run was cut short: the final state of the stores was not read"),
        ({"finals": {}}, "the run was cut short: the final state of the stores was not read"),
        ({"run": {**RUN, "cut_short": "its limit"}}, "the run was cut short: its limit"),
        (
            {"run": {**RUN, "ended": None}},
            "the run was cut short: labctl was killed before its end",
        ),
        (
            {"run": {**RUN, "lines": {"history.jsonl": 40}}, "lines": {"history.jsonl": 39}},
            "history.jsonl has 39 of the 40 lines that the run recorded",
        ),
        ({"finals": {"w": None}}, "w: lost: the final values were not read"),
        (
            {"observations": []},
            "w: members agree: galera was not observed",
        ),
        (
            {"run": {**RUN, "steady": {"before": {"held": None}}}},
            "whether the lab was steady before the run was not observed",
        ),
        (
            {"scenario": {"workloads": [{"name": "w", "kind": "galera", "as": "song"}]}},
            "w: song: there is no check for workloads 'song' of kind 'galera'",
        ),
        (
            {"operations": [], "finals": {"w": {"c1": []}}},
            "w: lost: nothing was acknowledged, so nothing was tested",
        ),
    ],
)
def test_unknown(changes: dict[str, Any], why: str) -> None:
    found = verdict.verdict(run(**changes))
    assert (found.outcome, found.why.partition(" (and ")[0]) == ("UNKNOWN", why)


def test_a_loss_outweighs_a_fault_that_did_not_bite() -> None:
    found = verdict.verdict(run(lost=True, timeline=[{**FAULT, "bites": None}]))
    assert found.outcome == "INVALID"


def test_a_lab_that_was_not_steady_is_not_judged() -> None:
    early = [{"t": 1.0, "unready": ["c2/mariadb"]}, *run().observations[6:]]
    found = verdict.verdict(run(lost=True, observations=early))
    assert found.outcome == "UNKNOWN"
    assert found.why == (
        "the lab was not steady before the run, so it is not judged: c2/mariadb is not ready"
    )
    assert any(check.outcome == "INVALID" for check in found.checks)


def test_a_lab_that_is_not_steady_after_is_invalid() -> None:
    said = {"after": {"held": False, "said": ["c2/mariadb is down"]}}
    found = verdict.verdict(run(run={**RUN, "steady": said}))
    assert found.outcome == "INVALID"
    assert found.why == "lab: steady: the lab is not steady after the run: c2/mariadb is down"


def test_what_the_scenario_allows_is_no_failure() -> None:
    allowed = expecting(allow=[{"workload": "w", "check": "lost", "why": "that is its point"}])
    found = verdict.verdict(run(lost=True, scenario=allowed))
    assert found.outcome == "VALID"
    (lost,) = [check for check in found.checks if check.check == "lost"]
    assert lost.promise == "not promised"
    assert lost.why.endswith("; allowed: that is its point")
    other = expecting(allow=[{"workload": "w", "check": "stale"}])
    assert verdict.verdict(run(lost=True, scenario=other)).outcome == "INVALID"


def test_a_known_finding_must_show() -> None:
    known = expecting(known="lost as documented")
    shown = verdict.verdict(run(lost=True, run=unsafe(0), scenario=known))
    assert shown.outcome == "VALID"
    hidden = verdict.verdict(run(run=unsafe(0), scenario=known))
    assert (hidden.outcome, hidden.why) == (
        "UNKNOWN",
        "the known finding ('lost as documented') did not show this time",
    )


def test_what_must_be_away_must_have_been() -> None:
    away = [n for n in range(20) if not 6 <= n <= 12]
    asked = [op(0, "add", n, float(n), n + 0.5, "ok" if n in away else "fail") for n in range(20)]
    finals = {"w": {"c1": away, "c2": away}}
    point = expecting(away={"w": "7s"})
    gone = verdict.verdict(run(operations=asked, finals=finals, scenario=point))
    assert gone.outcome == "VALID", gone.why
    there = verdict.verdict(run(scenario=point))
    assert (there.outcome, there.why) == (
        "UNKNOWN",
        "w should have been away for 7s and was for 1.00 s at most: it did not show this time",
    )


def test_what_is_allowed_is_what_is_known() -> None:
    point = expecting(known="not promised", allow=[{"workload": "w", "check": "lost"}])
    shown = verdict.verdict(run(lost=True, scenario=point))
    assert shown.outcome == "VALID"
    hidden = verdict.verdict(run(scenario=point))
    assert hidden.outcome == "UNKNOWN"


def test_two_holders_behind_a_cut_are_a_known_finding() -> None:
    both = [{**o, "vip": ["c1", "c2"] if 5 < o["t"] < 9 else ["c1"]} for o in run().observations]
    point = expecting(known="not promised")
    assert verdict.verdict(run(observations=both, scenario=point)).outcome == "VALID"
    assert verdict.verdict(run(scenario=point)).outcome == "UNKNOWN"


def test_what_must_be_caught_and_was_not_is_unknown() -> None:
    sabotage = expecting(outcome="INVALID")
    caught = verdict.verdict(run(lost=True, scenario=sabotage))
    assert (caught.outcome, caught.as_expected) == ("INVALID", True)
    missed = verdict.verdict(run(scenario=sabotage))
    assert (missed.outcome, missed.as_expected) == ("UNKNOWN", False)
    assert missed.why.endswith("it did not show this time")


BUDGET = Budget(
    "vip", 0, 3.6, [Part("advert_int x 3", 3.0)], "advert_int x 3", 4.6, "INVALID", "4.6 s of 3.6 s"
)


def test_budgets() -> None:
    late = verdict.verdict(run(), lambda _: [BUDGET])
    assert (late.outcome, late.why) == ("INVALID", "budget of vip: 4.6 s of 3.6 s")
    kept = verdict.verdict(run(), lambda _: [replace(BUDGET, outcome="VALID", measured=2.0)])
    assert kept.outcome == "VALID"
    unsure = verdict.verdict(run(), lambda _: [replace(BUDGET, outcome="UNKNOWN", measured=None)])
    assert unsure.outcome == "UNKNOWN"


def test_the_clients_own_slowness_is_not_the_labs() -> None:
    lag = Event(8.0, "client", 0, "lag", "", 1.5)
    found = verdict.verdict(run(events=[lag]), lambda _: [BUDGET])
    assert found.outcome == "UNKNOWN"
    why = "budget of vip: 4.6 s of 3.6 s; but the client itself did not run for 1.50 s"
    assert found.why.startswith(why)
    assert found.notes[0].startswith("the client itself was late 1 times, by 1.50 s at most")
    far = replace(lag, t=40.0)
    assert verdict.verdict(run(events=[far]), lambda _: [BUDGET]).outcome == "INVALID"


def test_a_latency_that_may_be_the_clients_blames_nobody() -> None:
    asks = [op(0, "validate", None, n, n + (3 if n == 5 else 0.1), answer="x") for n in range(9)]
    mine = {"name": "w", "kind": "memcached", "as": "answers", "settings": {"bound": 1.0}}
    changes: dict[str, Any] = {"scenario": {"workloads": [mine]}, "operations": asks}
    assert verdict.verdict(run(**changes)).outcome == "INVALID"
    lag = Event(8.0, "client", 0, "lag", "", 2.9)
    assert verdict.verdict(run(**changes, events=[lag])).outcome == "UNKNOWN"


def test_clusters_are_laid_to_the_workload_of_their_kind() -> None:
    split = {"galera": {"size": 2, "expected": 3, "components": 1}}
    observations = [{**o, "clusters": split} for o in run().observations]
    found = verdict.verdict(run(observations=observations))
    assert found.why == "w: members agree: galera at the end: 2 of 3 members take part"
    holders = [check for check in found.checks if check.check == "holders"]
    assert [check.workload for check in holders] == ["lab"]


def test_notes_name_what_was_not_healed() -> None:
    found = verdict.verdict(run(timeline=[{**FAULT, "healed": None}]))
    assert list(found.notes) == ["fault 0 (kill c1/mariadb) was not healed in the run"]


def test_the_document() -> None:
    text = json.dumps(verdict.verdict(run(lost=True), lambda _: [BUDGET]).to_json())
    data = json.loads(text)
    assert data["expected"] == {"outcome": "VALID", "met": False}
    assert data["steady"]["before"] == {"held": True, "said": []}
    lost = next(check for check in data["checks"] if check["check"] == "lost")
    assert lost["counts"] == {"acknowledged": 20, "there": 19, "lost": 1}
    assert lost["evidence"][0]["value"] == 4
    assert data["budgets"][0]["parts"] == [{"timer": "advert_int x 3", "seconds": 3.0}]
    long = Check("w", "c", "VALID", "kept", "", evidence=[Evidence(str(n)) for n in range(99)])
    assert len(long.to_json()["evidence"]) == MAX_EVIDENCE


def written(folder: Path, **files: str) -> Path:
    """A run's folder with what a short run leaves."""
    events = [
        {"t": t, "w": "w", "p": 0, "type": kind, "f": "add", "value": 1}
        for t, kind in ((1.0, "invoke"), (1.2, "ok"))
    ]
    default = {
        "scenario.yml": reader.dumps({**SCENARIO, "description": "d", "timeline": []}),
        "run.json": json.dumps(RUN),
        "timeline.json": json.dumps([]),
        "history.jsonl": "".join(json.dumps(event) + "\n" for event in events),
        "observations.jsonl": json.dumps(run().observations[0]) + '\n{"t": 1.5, "vi',
        "finals.json": json.dumps({"w": {"c1": [1], "c2": [1]}}),
    }
    for name, text in {**default, **{k.replace("__", "."): v for k, v in files.items()}}.items():
        (folder / name).write_text(text)
    return folder


def test_a_folder_is_judged(tmp_path: Path) -> None:
    found = verdict.judge(written(tmp_path))
    assert (found.outcome, found.why) == ("VALID", "every promise was kept")


def test_a_killed_run_is_readable(tmp_path: Path) -> None:
    folder = written(tmp_path)
    for name in ("finals.json", "observations.jsonl", "history.jsonl"):
        (folder / name).unlink()
        assert verdict.judge(folder).outcome == "UNKNOWN"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("run.json", None, "run.json: is missing: the run did not get that far"),
        ("run.json", "[]", "run.json: should be a mapping"),
        ("scenario.yml", None, "scenario.yml: cannot be read: is this a run's folder?"),
        (
            "scenario.yml",
            "- 1\n",
            "scenario.yml:1: is a list, should be a mapping with the keys name, description, row,"
            " source, needs, steady, workloads, timeline, expect, keep, tail, limit",
        ),
        ("timeline.json", None, "timeline.json: is missing: the run did not get that far"),
        ("timeline.json", "{}", "timeline.json: should be a list"),
        ("finals.json", "[1]", "finals.json: should be a mapping"),
        ("observations.jsonl", "what\n", "observations.jsonl:1: is not an observation: what"),
    ],
)
def test_a_damaged_folder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str | None, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path)
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(InputError) as caught:
        record.read(folder)
    assert str(caught.value) == sentence
