"""Histories that look well and prove nothing, or hide a loss: none may come out VALID."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from labctl.chaos.checks import api, append, bank, dead, members, reads, register
from labctl.chaos.folder.history import Event, Operation
from labctl.chaos.judge import verdict
from labctl.chaos.judge.budgets import of_run
from labctl.chaos.judge.ledger import judged, promise
from labctl.chaos.judge.record import Record
from labctl.chaos.model.findings import Finding
from tests.unit.chaos_histories import broken, errors, named, op
from tests.unit.test_chaos_budgets import fault, ok, recorded
from tests.unit.test_chaos_verdict import FAULT, RUN, SCENARIO, expecting, run
from tests.unit.traits import traits

BANK = {"accounts": 2, "balance": 10}
BOOK = {str(account): 100 for account in range(8)}


def moved(began: float, end: str = "ok") -> Operation:
    return op(0, "transfer", {"from": 0, "to": 1, "amount": 3}, began, began + 0.5, end)


def used(kind: str, way: str, operations: list[Operation], finals: Any, **more: Any) -> Record:
    """The sound run of the other tests, with another workload."""
    mine = {"name": "w", "kind": kind, "as": way}
    seen = {"galera": {"size": 3, "expected": 3, "components": 1}}
    rows = [{**row, "clusters": seen} for row in run().observations]
    changes = {"operations": operations, "finals": {"w": finals}, "observations": rows, **more}
    return run(scenario={"name": "s", "workloads": [mine]}, **changes)


def test_transfers_that_are_all_gone_leave_the_total_as_it_was() -> None:
    books = {"c1": {"0": 10, "1": 10}, "c2": {"0": 10, "1": 10}}
    history = [moved(0), moved(1), op(1, "read", None, 2, 3, answer={"0": 4, "1": 16})]
    found = named(bank.check(history, books, BANK))
    assert not found["total conserved"].broken
    assert found["lost"].broken
    assert found["lost"].why == (
        "account 0 on c1 should have 4, and has 10: acknowledged transfers are lost"
    )
    half = {"c1": {"0": 7, "1": 13}}
    assert broken(bank.check([moved(0), moved(1, "info")], half, BANK)) == []
    assert broken(bank.check([moved(0), moved(1, "fail")], half, BANK)) == []
    assert broken(bank.check([moved(0), moved(1)], half, BANK)) == ["lost"]
    low = {"c1": {"0": 2, "1": 18}}
    assert broken(bank.check([moved(0)], low, BANK)) == ["lost"]
    unlocked = named(bank.check([moved(0), moved(1)], half, {**BANK, "locking": False}))
    assert unlocked["lost"].aspect == "isolated"


def test_a_bank_is_judged_by_the_balance_that_it_has_where_the_scenario_says_none() -> None:
    ends = {"c1": BOOK}
    snapshots = [op(1, "read", None, t, t + 0.5, answer=BOOK) for t in range(1, 20)]
    found = verdict.verdict(used("galera", "bank", [moved(0), *snapshots], ends))
    assert found.outcome == "INVALID"
    assert "acknowledged transfers are lost" in found.why


FINALS_ARE_NEEDED = {
    "bank": [moved(0), op(1, "read", None, 2, 19, answer=BOOK)],
    "register": [op(0, "write", [0, 1], 0, 1), op(0, "read", [0, None], 2, 19, answer=[0, 1])],
    "read-after-write": [
        op(0, "write", [0, 1], 0, 1),
        op(0, "read", [0, None], 2, 19, answer=[0, 1]),
    ],
}


@pytest.mark.parametrize("way", FINALS_ARE_NEEDED)
@pytest.mark.parametrize("finals", [None, {"error": "no connection"}])
def test_finals_that_were_not_read_are_missed_whatever_else_was_seen(way: str, finals: Any) -> None:
    found = verdict.verdict(used("galera", way, FINALS_ARE_NEEDED[way], finals))
    assert found.outcome == "UNKNOWN"
    assert "not read" in found.why or "could not be read" in found.why
    if finals:
        assert "the final state of w could not be read: no connection" in found.notes


def test_what_could_not_be_listed_is_not_lost() -> None:
    made = [op(0, "create", f"w-{n}", n, n + 0.5) for n in range(20)]
    found = verdict.verdict(used("api", "network", made, {"error": "status 503"}))
    assert (found.outcome, found.why.partition(" (and")[0]) == (
        "UNKNOWN",
        "the final state of w could not be read: status 503",
    )


def test_a_member_that_lacks_the_end_of_a_list_does_not_agree() -> None:
    txn = [["append", 0, 1], ["r", 0, [1]]]
    history = [op(0, "txn", txn, 0, 1), op(0, "txn", [["append", 0, 2]], 2, 3)]
    whole, short = {"0": [1, 2]}, {"0": [1]}
    assert broken(append.check(history, {"c1": whole, "c2": whole}, {})) == []
    assert broken(append.check(history, {"c1": whole, "c2": short}, {})) == ["members agree"]


def test_a_key_that_is_gone_in_the_end_is_lost() -> None:
    history = [op(0, "write", ["a", 1], 0, 1), op(0, "read", ["a", None], 2, 3, answer=["a", 1])]
    gone = {"c1": [], "c2": []}
    assert broken(register.check(history, gone, {})) == ["lost"]
    assert broken(reads.check(history, gone, {})) == ["lost"]
    old = [*history, op(0, "write", ["a", 2], 4, 5)]
    assert broken(reads.check(old, {"c1": [["a", 1]], "c2": [["a", 1]]}, {})) == ["lost"]


def test_reads_of_what_nobody_wrote_prove_nothing() -> None:
    history = [
        op(0, "write", ["a", 1], 0, 1, "fail"),
        op(0, "read", ["a", None], 2, 3, answer=["a", None]),
    ]
    assert register.check(history, {"c1": []}, {})[0].broken is None
    assert reads.check(history, {"c1": []}, {})[0].broken is None


def lost_of_a_counter(*times: float) -> str:
    bounded = {"redis": {"min_replicas_to_write": 1, "min_replicas_max_lag": 10}}
    found = Finding("lost", True, "the counter is 3", "durable", times=times)
    return judged("w", found, promise("redis", "counter", bounded, {})).outcome


def test_a_loss_without_times_is_not_within_a_window() -> None:
    assert lost_of_a_counter(1.0, 2.0) == "VALID"
    assert lost_of_a_counter() == "UNKNOWN"


def things(*statuses: str) -> tuple[list[Operation], dict[str, Any]]:
    """Things created ten seconds apart, and the status of each at the end."""
    made = [op(0, "create", f"t{n}", 10.0 * n, 10.0 * n + 1) for n in range(len(statuses))]
    return made, {"listed": [{"name": f"t{n}", "status": s} for n, s in enumerate(statuses)]}


def test_an_api_none_of_whose_things_came_to_be_tested_nothing() -> None:
    history, ends = things("ERROR", "error", "BUILD", "creating")
    found = named(api.check(history, ends, {"settle": 1}))["stuck"]
    assert found.broken is None
    assert found.why.startswith("nothing that was acknowledged was ever completed")


@pytest.mark.parametrize(("faults", "outcome"), [([FAULT], "VALID"), ([], "INVALID")])
def test_what_is_stuck_is_excused_by_a_fault_only(faults: Any, outcome: str) -> None:
    history, ends = things("available", "error")
    found = verdict.verdict(used("api", "volume", history, ends, timeline=faults))
    assert found.outcome == outcome, found.why
    assert ("requested while nothing was broken" in found.why) is (outcome == "INVALID")


def test_what_was_just_asked_for_may_be_in_between() -> None:
    history, ends = things("available", "creating")
    assert broken(api.check(history, ends, {"settle": 5})) == []
    deleted = [*history, op(0, "delete", "t0", 10.5, 11)]
    assert broken(api.check(deleted, ends, {"settle": 5})) == []
    later = [*deleted, op(0, "read", "t1", 30, 31, answer={"name": "t1", "status": "creating"})]
    assert broken(api.check(later, ends, {"settle": 5})) == ["orphans", "stuck"]
    history, ends = things("ok", "deleting", "PENDING_DELETE")
    gone = [*history, op(0, "delete", "t1", 22, 23), op(0, "delete", "t2", 22, 23)]
    ends["listed"].append({"name": "t0", "status": "ok"})
    later = [*gone, op(0, "read", "t0", 90, 91, answer={"name": "t0", "status": "ok"})]
    assert broken(api.check(later, ends, {"settle": 5})) == ["doubles", "stuck"]


SPELL = (10.0, 20.0)


@pytest.mark.parametrize(
    ("history", "why"),
    [
        (
            [op(0, "add", n, 12.0 + n, 12.5 + n) for n in range(20)],
            "nothing was acknowledged before the first fault, at 10.0 s, so there was nothing",
        ),
        (
            [op(0, "add", 1, 1, 2), op(0, "add", 2, 25, 26)],
            "nothing was requested from 10.0 to 20.0 s, during a fault",
        ),
        (
            [op(0, "add", 1, 1, 2), op(0, "add", 2, 9, None), op(0, "add", 3, 25, 26)],
            "nothing was requested from 10.0 to 20.0 s, during a fault",
        ),
        (
            [op(0, "add", n, float(n), n + 0.5, "ok" if n < 15 else "fail") for n in range(30)],
            "nothing was acknowledged after the last fault was healed, at 20.0 s",
        ),
        ([op(0, "add", n, float(n), n + 0.5) for n in range(30)], None),
        ([op(0, "add", 1, 1, 2), op(1, "add", 2, 9, 25)], None),
    ],
)
def test_a_workload_is_there_before_during_and_after(history: Any, why: str | None) -> None:
    found = errors(history, SPELL)
    assert found.broken is (False if why is None else None)
    assert found.why.startswith(why or "")


def test_who_is_not_served_though_nothing_is_broken_is_found() -> None:
    half = [op(0, "add", n, float(n), n + 0.5, "ok" if n < 15 else "fail") for n in range(30)]
    found = errors(half)
    assert (found.broken, found.aspect) == (True, "always")
    assert found.why.startswith("nothing was acknowledged from 14.5 s to the end")
    assert errors(half[:17]).broken is False


def test_a_cluster_that_a_workload_uses_is_looked_at_to_the_end() -> None:
    row = {"clusters": {"redis": {"size": 3, "expected": 3, "master": "c1"}}}
    seen = [{"t": float(t), **row} for t in range(5)]
    assert members.check(seen, [], ["redis"])["redis"][0].broken is False
    assert members.check(seen, [(2.0, 9.0)], ["redis"])["redis"][0].broken is None
    assert members.check([], [], ["redis", "api"])["redis"][0].why == "redis was not observed"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"scenario": {**SCENARIO, "timeline": [{"fault": "kill"}]}, "timeline": []},
            "the scenario has faults, and the run made none",
        ),
        ({"scenario": {"name": "s"}}, "the scenario has no workloads, so nothing was tested"),
        (
            {"events": [Event(9.0, "client", 0, "full", "")]},
            "the run was cut short: the client reached the limit of a history and stopped",
        ),
        (
            {"timeline": [{**FAULT, "healed": None, "heal_error": "c1 still has a table"}]},
            "fault 0 (kill c1/mariadb) was not healed: c1 still has a table",
        ),
    ],
)
def test_a_run_that_did_less_than_its_scenario_says(changes: dict[str, Any], why: str) -> None:
    found = verdict.verdict(run(**changes))
    assert (found.outcome, found.why.partition(" (and ")[0]) == ("UNKNOWN", why)


def test_a_lab_that_nobody_looked_at_is_not_called_steady() -> None:
    said = {"before": {"held": True}, "after": {"held": True, "said": ["not asked for"]}}
    found = verdict.verdict(replace(run(), run={**RUN, "steady": said}))
    (steady,) = [check for check in found.checks if check.check == "steady"]
    assert steady.why == "whether the lab is steady after the run is not asked for"


def test_pings_do_not_hide_that_nobody_takes_connections() -> None:
    """Each question has a silence of its own: the kernel answers pings for a dead HAProxy."""
    pings = [ok(n / 10, "ping") for n in range(400)]
    connects = [ok(n / 10, "connect") for n in range(400) if not 100 < n < 190]
    made = of_run(recorded(sorted([*pings, *connects], key=lambda e: e.t), [fault()]))
    assert [each.outcome for each in made] == ["INVALID"]
    assert made[0].measured == pytest.approx(9.0)


def test_what_no_timer_bounds_is_bounded_by_what_the_scenario_says() -> None:
    workload = {"name": "a", "kind": "memcached", "as": "answers", "rate": 5}
    frozen = {**fault(), "traits": traits("pause"), "targets": ["c1/memcached"]}
    events = [replace(ok(n / 5, "validate"), workload="a") for n in range(200) if not 50 < n < 90]
    scenario = {"workloads": [workload], "expect": {"budgets": {"memcached": "5s"}}}
    (budget,) = of_run(recorded(events, [frozen], scenario=scenario))
    assert (budget.outcome, budget.dominant, budget.bound) == (
        "INVALID",
        "limit of the scenario",
        5.0,
    )
    assert of_run(recorded(events, [frozen], scenario={"workloads": [workload]})) == []


DEAD: dict[str, Any] = {
    **FAULT,
    "asked": 5.0,
    "bites": 5.5,
    "healed": 19.0,
    "lasts": 12.0,
    "targets": ["c1/mariadb", "c2"],
}


def looks(**unready: range) -> list[dict[str, Any]]:
    """Twenty looks, and when who was not ready."""
    gone = {name.replace("_", "/"): seconds for name, seconds in unready.items()}
    return [
        {"t": float(t), "unready": [name for name, times in gone.items() if t in times]}
        for t in range(20)
    ]


@pytest.mark.parametrize(
    ("observations", "timeline", "back"),
    [
        (looks(c1_mariadb=range(6, 19)), [DEAD], []),
        (looks(c1_mariadb=range(6, 10)), [DEAD], ["c1/mariadb was ready again"]),
        (looks(c2_redis=range(7, 12)), [DEAD], ["c2/redis was ready again"]),
        # A look may fall into the moment of a change, and healing begins before it is proved.
        (looks(c1_mariadb=range(6, 16)), [DEAD], []),
        # Who is not looked at, or not hit, says nothing.
        (looks(c3_mariadb=range(6, 8)), [DEAD], []),
        (looks(), [DEAD], []),
        (
            looks(c1_mariadb=range(6, 10)),
            [{**DEAD, "traits": traits("pause")}],
            [],
        ),
        (looks(c1_mariadb=range(6, 10)), [{**DEAD, "bites": None}], []),
        (looks(c1_mariadb=range(6, 10)), [DEAD, {**DEAD, "targets": ["c1"], "bites": 9.0}], []),
        (looks(c1_mariadb=range(6, 10)), [{**DEAD, "lasts": None, "healed": 20.0}], []),
        (
            looks(c1_mariadb=range(6, 10)),
            [{**DEAD, "lasts": None, "healed": None}],
            ["c1/mariadb was ready again"],
        ),
    ],
)
def test_what_was_killed_does_not_come_back_by_itself(
    observations: Any, timeline: Any, back: list[str]
) -> None:
    found = dead.check(observations, timeline)
    said = [piece.said for piece in found.evidence] if found else []
    assert said == back
    assert bool(found and found.broken) is bool(back)


def test_a_lab_that_restarts_what_died_is_not_valid() -> None:
    gone = looks(c1_mariadb=range(6, 10))
    rows = [{**row, **o} for row, o in zip(run().observations, gone, strict=True)]
    found = verdict.verdict(run(observations=rows, timeline=[DEAD]))
    assert (found.outcome, found.why.partition(" (and ")[0]) == (
        "INVALID",
        "lab: stays dead: 1 came back before they were healed: c1/mariadb",
    )


def test_what_is_allowed_says_nothing_of_what_is_not() -> None:
    point = expecting(allow=[{"workload": "w", "check": "stale"}])
    assert verdict.verdict(run(lost=True, scenario=point)).outcome == "INVALID"
