"""What is done, refused and unknown of what Galera is asked; PyMySQL is a fake."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from labctl.workloads.loop import operate
from tests.unit.workload_fakes import BASE, dice, end, error, fake, importer


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield from importer(monkeypatch)


class Sql:
    """A server: what is raised at statements that begin so, and the rows of reads."""

    def __init__(self) -> None:
        self.raises: dict[str, Exception] = {}
        self.rows: list[tuple[Any, ...]] = []
        self.said: list[str] = []
        self.changed = 1
        error_class = error("MySQLError")
        self.error = error("OperationalError", error_class)
        err = types.SimpleNamespace(MySQLError=error_class, OperationalError=self.error)
        self.module = fake("pymysql", err=err, connect=self.connect)

    def connect(self, **_: Any) -> Sql:
        self.note("CONNECT")
        return self

    def note(self, text: str) -> None:
        self.said.append(text)
        for begin, raised in self.raises.items():
            if text.startswith(begin):
                raise raised

    def cursor(self) -> Any:
        return nullcontext(self)

    def execute(self, text: str, _: Any = None) -> int:
        self.note(text)
        return self.changed

    def fetchone(self) -> Any:
        return self.rows[0] if self.rows else None

    def fetchall(self) -> Any:
        return self.rows

    def begin(self) -> None:
        self.note("BEGIN")

    def commit(self) -> None:
        self.note("COMMIT")

    def rollback(self) -> None:
        self.note("ROLLBACK")

    def close(self) -> None:
        self.said.append("CLOSE")


@pytest.mark.parametrize(
    ("statement", "code", "ends"),
    [
        ("CONNECT", 2003, "fail"),
        ("INSERT", 1213, "fail"),  # lost its certification
        ("INSERT", 1047, "fail"),  # not Primary
        ("INSERT", 2013, "info"),  # the connection was lost, or no answer in time
        ("INSERT", 1053, "info"),
    ],
)
def test_galera_a_write_ends(load: Any, statement: str, code: int, ends: str) -> None:
    sql = Sql()
    session = load("galera", pymysql=sql.module).Set(BASE).session(0, dice())
    assert end(session, "add", 1)["type"] == "ok"
    session.close()
    sql.raises[statement] = sql.error(code, "no")
    assert end(session, "add", 2)["type"] == ends
    assert sql.said[-1] == "CLOSE" or statement == "CONNECT"


def test_galera_a_register_compares(load: Any) -> None:
    sql = Sql()
    session = load("galera", pymysql=sql.module).Register(BASE).session(0, dice())
    sql.rows = [(4,)]
    assert end(session, "read", [1, None], True)["value"] == [1, 4]
    assert end(session, "cas", [1, [4, 5]])["type"] == "ok"
    sql.changed = 0
    ended = end(session, "cas", [1, [5, 6]])
    assert (ended["type"], ended["error"]) == ("fail", "RefusedError: the value is not 5")
    sql.raises["SELECT"] = sql.error(2013, "lost")
    assert end(session, "read", [1, None], True)["type"] == "fail"


def test_galera_reads_elsewhere_only_after_an_acknowledged_write(load: Any) -> None:
    sql = Sql()
    module = load("galera", pymysql=sql.module)
    session = module.ReadAfterWrite({**BASE, "sync_wait": True}).session(1, dice())
    done = []
    for operation in session.steps(7):
        done.append((operation.f, operation.at))
        session.apply(operation)
    assert done == [("write", ""), ("read", "c1"), ("read", "c2")]
    assert "SET SESSION wsrep_sync_wait = 1" in sql.said
    session.close()
    sql.raises["INSERT"] = sql.error(2013, "lost")
    events: list[dict[str, Any]] = []
    for operation in session.steps(8):
        operate(session, operation, lambda **event: events.append(event))
    assert [event["type"] for event in events] == ["invoke", "info"]


def test_galera_reads_go_through_the_virtual_ip_when_told_so(load: Any) -> None:
    sql = Sql()
    hosts: list[str] = []
    sql.module.connect = lambda host, **_: hosts.append(host) or sql  # type: ignore[func-returns-value]
    module = load("galera", pymysql=sql.module)
    session = module.ReadAfterWrite({**BASE, "through_vip": True}).session(1, dice())
    done = []
    for operation in session.steps(7):
        done.append((operation.f, operation.at))
        session.apply(operation)
    assert done == [("write", ""), ("read", ""), ("read", "")]
    # A connection each, for HAProxy sends connections where it will.
    assert hosts == ["vip", "vip", "vip"]


@pytest.mark.parametrize(
    ("statement", "code", "ends"),
    [
        ("SELECT", 2013, "fail"),  # rolled back with its connection
        ("UPDATE", 1213, "fail"),
        ("COMMIT", 1213, "fail"),
        ("COMMIT", 2013, "info"),
    ],
)
def test_galera_a_transfer_ends(load: Any, statement: str, code: int, ends: str) -> None:
    sql = Sql()
    sql.rows = [(0, 10), (1, 10), (2, 10)]
    session = load("galera_transactions", pymysql=sql.module).Bank(BASE).session(0, dice())
    assert end(session, "read", None, True)["value"] == {"0": 10, "1": 10, "2": 10}
    move = {"from": 0, "to": 1, "amount": 3}
    assert end(session, "transfer", move)["value"] == move
    sql.raises[statement] = sql.error(code, "no")
    assert end(session, "transfer", move)["type"] == ends


def test_galera_a_transfer_needs_money(load: Any) -> None:
    sql = Sql()
    sql.rows = [(0, 1), (1, 10)]
    session = load("galera_transactions", pymysql=sql.module).Bank(BASE).session(0, dice())
    ended = end(session, "transfer", {"from": 0, "to": 1, "amount": 3})
    assert (ended["type"], ended["error"]) == ("fail", "RefusedError: account 0 has 1")
    assert "ROLLBACK" in sql.said and "COMMIT" not in sql.said


def test_galera_lists_are_read_in_the_transaction(load: Any) -> None:
    sql = Sql()
    sql.rows = [("3,5",)]
    session = load("galera_transactions", pymysql=sql.module).Append(BASE).session(0, dice())
    asked = [["append", 1, 9], ["r", 0, None]]
    assert end(session, "txn", asked)["value"] == [["append", 1, 9], ["r", 0, [3, 5]]]


def test_galera_transactions_append_to_several_lists_and_read_several(load: Any) -> None:
    sql = Sql()
    sql.rows = [("3,5",)]
    lists = load("galera_transactions", pymysql=sql.module).Append
    session = lists({**BASE, "keys": 5}).session(0, dice())
    asked = [next(session.steps(number)).value for number in range(200)]
    assert {len(parts) for parts in asked} == {2, 3, 4}
    elements = [value for parts in asked for f, _, value in parts if f == "append"]
    assert len(set(elements)) == len(elements) > 200
    assert any(len({key for f, key, _ in parts if f == "append"}) > 1 for parts in asked)
    assert not any("FOR UPDATE" in said for said in sql.said)
    session = lists({**BASE, "keys": 5, "lock_reads": True}).session(0, dice())
    for number in range(50):
        parts = next(session.steps(number)).value
        assert [key for _, key, _ in parts] == sorted(key for _, key, _ in parts)
    end(session, "txn", [["r", 0, None]])
    assert "FOR UPDATE" in sql.said[-2]


def test_galera_a_set_is_read_only_after_an_acknowledged_write(load: Any) -> None:
    sql = Sql()
    sql.rows = [(7,), (9,)]
    session = load("galera", pymysql=sql.module).Set(BASE).session(0, dice())
    events: list[dict[str, Any]] = []
    for operation in session.steps(9):
        operate(session, operation, lambda **event: events.append(event))
    assert [(e["type"], e["f"]) for e in events][1:] == [
        ("ok", "add"),
        ("invoke", "read"),
        ("ok", "read"),
    ]
    assert events[-1]["value"] == [7, 9]
    sql.raises["INSERT"] = sql.error(1047, "not Primary")
    assert [operation.f for operation in session.steps(19)] == ["add"]
    assert [operation.f for operation in session.steps(10)] == ["add"]


def test_galera_tellers_are_spread_and_do_not_lock_when_told_so(load: Any) -> None:
    sql = Sql()
    sql.rows = [(0, 10), (1, 10)]
    module = load("galera_transactions", pymysql=sql.module)
    session = module.Bank({**BASE, "spread": True, "locking": False}).session(1, dice())
    assert {next(session.steps(number)).at for number in range(6)} == {"c2"}
    move = {"from": 0, "to": 1, "amount": 3}
    assert end(session, "transfer", move)["type"] == "ok"
    assert not any("FOR UPDATE" in said for said in sql.said)
    session = module.Bank(BASE).session(1, dice())
    assert next(session.steps(1)).at == ""
    end(session, "transfer", move)
    assert any("FOR UPDATE" in said for said in sql.said)
