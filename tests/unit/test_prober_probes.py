"""The prober's kinds of probe, against real sockets."""

from __future__ import annotations

import socket
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.prober import bson, http_answer, module, mongodb_answer, redis_answer, server

probes = module("probes")


def ask(port: int, kind: str, **fields: object) -> tuple[bool, str]:
    answer: tuple[bool, str] = probes.ask({"host": "127.0.0.1", kind: {"port": port, **fields}})
    return answer


@pytest.fixture
def closed() -> int:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("kind", ["tcp", "http", "redis"])
def test_nothing_listens(kind: str, closed: int) -> None:
    assert ask(closed, kind) == (False, "connection refused")


def test_tcp_accepts() -> None:
    with server(lambda _said: b"") as port:
        assert ask(port, "tcp") == (True, "it accepts connections")


def test_tcp_expects_what_may_come_in_pieces() -> None:
    with server(lambda said: b"VERSION 1.6\r\n" if said == b"version\r\n" else b"") as port:
        assert ask(port, "tcp", send="version\r\n", expect="VERSION")[0]
        ready, detail = ask(port, "tcp", send="other\r\n", expect="VERSION")
    assert not ready
    assert detail == "it said nothing"


def test_no_answer_is_no_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert ask(port, "tcp", expect="x") == (False, "no answer within 0.05 s")


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (200, {}, (True, "HTTP 200")),
        (503, {}, (False, "HTTP 503")),
        (300, {"status": [200, 300]}, (True, "HTTP 300")),
        (200, {"expect": '"running":true'}, (False, "HTTP 200, but it said 'body'")),
        (200, {"expect": "^bo"}, (True, "HTTP 200")),
    ],
)
def test_http(status: int, fields: dict[str, Any], expected: tuple[bool, str]) -> None:
    with server(http_answer(status, "body")) as port:
        assert ask(port, "http", **fields) == expected


def test_http_sends_path_and_login() -> None:
    heard: list[bytes] = []

    def answer(said: bytes) -> bytes:
        heard.append(said)
        return http_answer(200)(said)

    with server(answer) as port:
        ask(port, "http", path="/api/nodes", user="lab", password="pw")
    assert heard[-1].startswith(b"GET /api/nodes HTTP/1.1\r\n")
    assert b"Authorization: Basic bGFiOnB3\r\n" in heard[-1]


def test_http_of_something_else() -> None:
    with server(lambda _said: b"SSH-2.0-OpenSSH\r\n") as port:
        ready, detail = ask(port, "http")
    assert not ready
    assert detail == "it does not speak HTTP (BadStatusLine)"


@pytest.mark.parametrize(
    ("replies", "fields", "ready"),
    [
        ({"PING": "+PONG\r\n"}, {}, True),
        ({"PING": "-NOAUTH Authentication required.\r\n"}, {}, False),
        ({"AUTH": "+OK\r\n", "PING": "+PONG\r\n"}, {"password": "pw"}, True),
        ({"AUTH": "-WRONGPASS no\r\n", "PING": "+PONG\r\n"}, {"password": "pw"}, False),
        ({"INFO": "$11\r\nrole:master\r\n"}, {"command": ["INFO"], "expect": "role:m"}, True),
        ({"INFO": "$-1\r\n"}, {"command": ["INFO"], "expect": "role"}, False),
    ],
)
def test_redis(replies: dict[str, str], fields: dict[str, Any], ready: bool) -> None:
    with server(redis_answer(**replies)) as port:
        assert ask(port, "redis", **fields)[0] is ready


def test_redis_reads_nested_replies() -> None:
    reply = "*2\r\n*2\r\n$4\r\nname\r\n$3\r\nlab\r\n:5\r\n"
    with server(redis_answer(MASTERS=reply)) as port:
        said = probes.command("127.0.0.1", {"port": port}, "SENTINEL", "MASTERS")
    assert said == [["name", "lab"], 5]


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        ({"isWritablePrimary": True}, (True, "primary")),
        ({"isWritablePrimary": False, "secondary": True}, (True, "secondary")),
        ({"isWritablePrimary": False, "secondary": False}, (False, "no member yet")),
    ],
)
def test_mongodb(
    monkeypatch: pytest.MonkeyPatch, hello: dict[str, object], expected: tuple[bool, str]
) -> None:
    monkeypatch.setitem(sys.modules, "bson", bson())
    with server(mongodb_answer(**hello)) as port:
        assert ask(port, "mongodb") == expected


def test_mongodb_that_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bson", bson())
    with server(lambda _said: b"") as port:
        ready, detail = ask(port, "mongodb")
    assert not ready
    assert detail in ("it closed the connection", "connection reset by peer")


def fake_pymysql(rows: Callable[[], tuple[Any, ...]]) -> types.ModuleType:
    """A stand-in for the client image's pymysql: one cursor whose fetchall() is ``rows``."""

    class Connection:
        def __enter__(self) -> Connection:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def cursor(self) -> Connection:
            return self

        def execute(self, statement: str) -> None:
            assert statement == "SELECT 1"

        def fetchall(self) -> tuple[Any, ...]:
            return rows()

    module = types.ModuleType("pymysql")
    module.MySQLError = LookupError  # type: ignore[attr-defined]
    module.connect = lambda **_: Connection()  # type: ignore[attr-defined]
    return module


def refuses() -> tuple[Any, ...]:
    raise LookupError(1045, "Access denied for user 'monitor'")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (lambda: (("Primary,4,ON",),), (True, "it says 'Primary,4,ON'")),
        (lambda: (("non-Primary,0,OFF",),), (False, "it says 'non-Primary,0,OFF'")),
        (tuple, (False, "it says 'nothing'")),
        (refuses, (False, "Access denied for user 'monitor'")),
    ],
)
def test_mysql(
    monkeypatch: pytest.MonkeyPatch,
    rows: Callable[[], tuple[Any, ...]],
    expected: tuple[bool, str],
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", fake_pymysql(rows))
    answer = ask(1, "mysql", user="monitor", query="SELECT 1", expect="^Primary,4,ON$")
    assert answer == expected


def test_probes_are_asked_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    meeting = threading.Barrier(12)
    calls = {number: (lambda: meeting.wait(5) >= 0,) for number in range(12)}
    assert all(probes.together(calls).values())


ROWS = (
    ("agent", "c1", 3),
    ("agent", "c2", 20),
    ("agent", "c3", 400),
    ("agent", "c3", 5),
    ("worker", "c1", 400),
)


def reports(process: str, host: str, port: int, **more: object) -> tuple[bool, str]:
    asked = {"user": "nova", "query": "SELECT 1", "within": 20.0, "process": process, "host": host}
    asked |= more
    return ask(port, "reports", **asked)


@pytest.mark.parametrize(
    ("process", "host", "expected"),
    [
        ("agent", "c1", (True, "reported as up")),
        ("agent", "c2", (False, "reported as down: silent for 20 s or more")),
        ("agent", "c3", (True, "reported as up")),
        ("worker", "c1", (False, "reported as down: silent for 20 s or more")),
        ("worker", "c2", (False, "it has not reported itself yet")),
    ],
)
def test_reports(
    monkeypatch: pytest.MonkeyPatch, process: str, host: str, expected: tuple[bool, str]
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", fake_pymysql(lambda: ROWS))
    assert reports(process, host, 1) == expected


@pytest.mark.parametrize(("waited", "ready"), [(0.1, False), (0.9, False), (1.1, True), (9, True)])
def test_what_was_reported_before_somebody_waited_does_not_count(
    monkeypatch: pytest.MonkeyPatch, waited: float, ready: bool
) -> None:
    """A process that was killed and started again is not up because the one before it was."""
    monkeypatch.setitem(sys.modules, "pymysql", fake_pymysql(lambda: ROWS))
    since = probes.time.monotonic() - waited
    assert reports("agent", "c1", 4, since=since)[0] is ready


def test_one_look_asks_a_control_plane_once_for_all_its_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def rows() -> tuple[Any, ...]:
        asked.append(1)
        return ROWS

    monkeypatch.setitem(sys.modules, "pymysql", fake_pymysql(rows))
    calls = {n: (reports, "agent", "c1", 2) for n in range(12)}
    assert all(ready for ready, _ in probes.together(calls).values())
    assert len(asked) == 1
    monkeypatch.setattr(probes.time, "monotonic", lambda: float("1e9"))
    assert reports("agent", "c1", 2)[0]
    assert len(asked) == 2


def test_where_the_database_refuses_nobody_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", fake_pymysql(refuses))
    for host in ("c1", "c2"):
        assert reports("agent", host, 3) == (False, "Access denied for user 'monitor'")
