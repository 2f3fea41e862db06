"""What is judged of what labctl saw itself, and when workloads were served."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.chaos.checks import members, vip, windows
from labctl.chaos.checks.observed import outside, spells
from labctl.chaos.judge.served import served
from tests.unit.chaos_histories import SET, broken, errors, explained, op


def seen(*holders: list[str]) -> list[dict[str, Any]]:
    return [{"t": float(t), "vip": each} for t, each in enumerate(holders)]


ONE, TWO, NOBODY = ["c1"], ["c1", "c2"], list[str]()


@pytest.mark.parametrize(
    ("observations", "faults", "wrong"),
    [
        (seen(*[ONE] * 30), [], False),
        (seen(ONE, NOBODY, ["c2"]), [], False),
        (seen(ONE, *[NOBODY] * 8, ["c2"]), [], True),
        (seen(ONE, *[NOBODY] * 8, ["c2"]), [(0.5, 3.0)], False),
        (seen(ONE, *[TWO] * 8, ONE), [], True),
        (seen(ONE, *[TWO] * 20, ONE), [(0.5, 15.0)], False),
        (seen(ONE, *[TWO] * 40), [(0.5, 15.0)], True),
        ([{"t": 0.0, "vip": ONE}, {"t": 9.0, "vip": TWO}, {"t": 18.0, "vip": ONE}], [], False),
        ([{"t": float(t), "vip": [], "error": "no"} for t in range(20)] + seen(ONE), [], False),
    ],
)
def test_holders(observations: Any, faults: Any, wrong: bool) -> None:
    found = vip.check_holders(observations, faults)
    assert (found.broken and found.aspect == "always") is wrong
    assert ("though nothing was broken" in found.why) is wrong


def test_two_holders_during_a_fault_are_found_and_not_promised() -> None:
    found = vip.check_holders(seen(ONE, *[TWO] * 20, ONE), [(0.5, 15.0)])
    assert (found.broken, found.aspect) == (True, "held")
    assert vip.check_holders(seen(ONE, TWO, ONE), [(0.5, 15.0)]).broken is False


def test_holders_over_time() -> None:
    assert vip.holders(seen(ONE, ONE, NOBODY, ["c2"], ["c2"])) == [
        ((0.0, 2.0), ("c1",)),
        ((2.0, 3.0), ()),
        ((3.0, 4.0), ("c2",)),
    ]
    assert vip.holders([]) == []
    assert vip.check_holders([{"t": 1.0}], []).broken is None


def test_what_the_client_saw_of_the_virtual_ip() -> None:
    def ping(t: float, holder: str) -> Any:
        return op(0, "ping", None, t, t + 0.01, answer={"holder": holder, "mac": "02:00"})

    history = [ping(0, "c1"), ping(1, "c1"), ping(4, "c2"), ping(5, "c2")]
    (found,) = vip.check(history, None, {})
    assert found.why == "the client got answers from c1 → c2; the longest gap is 3.00 s"
    assert found.counts == {"changes": 1, "gap": 3.0}
    (found,) = vip.check([op(0, "ping", None, 0, None)], None, {})
    assert found.broken is None


def test_spells_and_what_faults_do_not_explain() -> None:
    observations = [{"t": float(t), "bad": t in (1, 2, 5)} for t in range(6)]
    assert spells(observations, lambda o: o["bad"]) == [(1.0, 3.0), (5.0, 5.0)]
    assert outside((1, 9), []) == 8
    assert outside((1, 9), [(0, 4), (3, 6)]) == 3
    assert outside((1, 9), [(10, 12)]) == 8
    assert outside((1, 9), [(5, 20)]) == 0


GOOD: dict[str, dict[str, Any]] = {
    "galera": {"size": 3, "expected": 3, "components": 1, "members": {"c1": "Primary, Synced"}},
    "rabbitmq": {"size": 3, "expected": 3, "partitioned": False, "leaderless": []},
    "redis": {"size": 3, "expected": 3, "master": "c1", "members": {"c1": "names c1"}},
    "mongodb": {"size": 3, "expected": 3, "primary": "c1", "primaries": ["c1"]},
}


@pytest.mark.parametrize("kind", GOOD)
def test_members_that_agree(kind: str) -> None:
    observations = [{"t": float(t), "clusters": {kind: GOOD[kind]}} for t in range(40)]
    found = members.check(observations, [])
    assert list(found) == [kind]
    assert broken(found[kind]) == []


@pytest.mark.parametrize(
    ("kind", "bad", "check", "said"),
    [
        ("galera", {"components": 2}, "two primaries", "two primary components for 39.0 s"),
        ("galera", {"size": 2}, "members agree", "2 of 3 members take part"),
        ("galera", {"uuids": {"c1": "a", "c2": "b"}}, "members agree", "the state UUID differs"),
        (
            "galera",
            {"committed": {"c1": 7, "c2": 8}},
            "members agree",
            "c1 has committed 7, another had 8 already 5 s earlier",
        ),
        ("rabbitmq", {"partitioned": True}, "members agree", "see different clusters"),
        ("rabbitmq", {"leaderless": ["q"]}, "leaderless", "though nothing was broken"),
        ("redis", {"master": None}, "members agree", "there is no master"),
        ("redis", {"masters": ["c1", "c2"]}, "members agree", "c1 and c2 are masters"),
        (
            "redis",
            {"members": {"c1": "names c1", "c2": "names c2"}},
            "members agree",
            "sentinels differ: names c1, names c2",
        ),
        ("mongodb", {"primary": None}, "members agree", "there is no primary"),
        ("mongodb", {"primaries": ["c1", "c2"]}, "two primaries", "two primaries for 39.0 s"),
    ],
)
def test_members_that_do_not(kind: str, bad: dict[str, Any], check: str, said: str) -> None:
    state = GOOD[kind] | bad
    observations = [{"t": float(t), "clusters": {kind: state}} for t in range(40)]
    found = members.check(observations, [])[kind]
    assert check in broken(found)
    assert any(said in finding.why for finding in found if finding.check == check)


def test_members_that_commit_one_after_another_agree() -> None:
    """The member asked first has committed less; none is behind for long."""
    observations = [
        {"t": float(t), "clusters": {"galera": GOOD["galera"] | {"committed": committed}}}
        for t in range(20)
        for committed in [{"c1": 10 * t, "c2": 10 * t + 3, "c3": 10 * t + 6}]
    ]
    assert broken(members.check(observations, [])["galera"]) == []


def test_two_leaders_for_a_blink_are_one_change() -> None:
    states = [GOOD["mongodb"]] * 5 + [GOOD["mongodb"] | {"primaries": ["c1", "c2"]}] * 10
    observations = [
        {"t": float(t), "clusters": {"mongodb": state}}
        for t, state in enumerate([*states, GOOD["mongodb"]])
    ]
    assert broken(members.check(observations, [])["mongodb"]) == []


def test_windows() -> None:
    history = [
        op(0, "add", 1, 0, 0.1),
        op(0, "add", 2, 1, 1.5, "fail"),
        op(0, "add", 3, 2, None),
        op(0, "add", 4, 5, 5.3),
    ]
    seen = windows.window(history)
    assert (seen.acknowledged, seen.failed, seen.unknown) == (2, 1, 1)
    assert (seen.first_error, seen.last_error, seen.errors) == (1, 2, 1)
    assert seen.gap == (0.1, 5.3)
    assert seen.latency["max"] == pytest.approx(0.3)
    assert windows.longest_gap([]) == (0.0, 0.0)
    assert windows.percentile([], 50) == 0
    assert windows.percentile([1, 2, 3, 4], 50) == 2
    assert windows.percentile([1, 2, 3, 4], 95) == 4
    assert windows.overlap((0, 10), [(1, 3), (2, 4), (9, 12)]) == 4


def test_gaps_are_the_clients_own_where_it_slept() -> None:
    history = [op(0, "add", 1, 0, 0.1), op(0, "add", 2, 5, 5.3)]
    assert "did not run" not in errors(history).why
    assert "the client itself did not run for 4.00 s" in errors(history, lags=[(1, 5)]).why


def test_who_is_not_served_again_is_broken() -> None:
    early = [op(0, "add", n, float(n), n + 0.1) for n in range(10)]
    late = [op(0, "add", n, 100.0 + n, 100.5 + n, "fail") for n in range(30)]
    found = errors([*early, *late], (10.0, 30.0))
    assert found.broken
    assert found.why.startswith("nothing was acknowledged from 9.1 s to the end, 120.4 s: ")
    asked = [op(0, "add", n, float(n), n + 0.1, "fail") for n in range(10, 30)]
    again = [op(0, "add", n, float(n), n + 0.1) for n in range(30, 60)]
    assert errors([*early, *asked, *again], (10.0, 30.0)).broken is False


def test_who_is_silent_once_in_a_while_is_not_broken() -> None:
    history = [op(0, "add", n, float(n), n + 0.1) for n in range(60) if n not in (20, 21)]
    assert errors(history).broken is False
    gone = [
        op(0, "add", n, float(n), n + 0.1, "ok" if n < 20 or n > 32 else "info") for n in range(60)
    ]
    assert errors(gone).why == (
        "nothing was acknowledged from 19.1 s to 33.1 s, 14.0 s: 6.9 s are all that is ordinary,"
        " and no fault explains more"
    )


def test_a_client_that_is_left_behind_shows_beside_others() -> None:
    history = [
        op(n % 4, "add", n, n / 4, n / 4 + 0.05, "fail" if n % 4 == 3 and n > 100 else "ok")
        for n in range(400)
    ]
    clients = served(history, SET, explained())[1]
    assert clients.broken
    assert clients.why.startswith("1 of 4 clients were left behind: client 3 got no answer for")


def test_the_latency_before_is_the_baseline_after() -> None:
    def took(n: int) -> float:
        return 0.5 if 30 <= n < 50 else 0.02

    history = [op(0, "add", n, float(n), n + took(n)) for n in range(100)]
    reported = served(history, SET, explained((20, 30)), faults=[(20, 30)])[2]
    assert (reported.broken, reported.aspect) == (False, "nothing")
    assert reported.counts["latency"] == pytest.approx(19, abs=2)
    for limit, broken_ in (("40s", False), ("10s", True)):
        found = served(history, SET, explained((20, 30)), faults=[(20, 30)], limit=limit)[2]
        assert (found.broken, found.aspect) == (broken_, "always")
