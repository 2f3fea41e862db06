"""What is done, refused and unknown of what stores are asked; their libraries are fakes."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from tests.unit.workload_fakes import BASE, dice, end, error, fake, importer


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield from importer(monkeypatch)


# RabbitMQ


def rabbit(publish: Any = None, connect: Exception | None = None) -> dict[str, types.ModuleType]:
    exceptions = fake("pika.exceptions", AMQPError=error("AMQPError"))
    exceptions.UnroutableError = error("UnroutableError", exceptions.AMQPError)  # type: ignore[attr-defined]
    exceptions.ChannelClosedByBroker = error("ChannelClosedByBroker", exceptions.AMQPError)  # type: ignore[attr-defined]
    exceptions.NackError = error("NackError", exceptions.AMQPError)  # type: ignore[attr-defined]

    class Channel:
        def __getattr__(self, _: str) -> Any:
            return lambda *_, **__: None

        def basic_publish(self, *_: Any, **__: Any) -> None:
            if publish is not None:
                publish(exceptions)

    loop = types.SimpleNamespace(call_later=lambda *_: 1, remove_timeout=lambda _: None)

    class Connection:
        is_open = True
        _impl = types.SimpleNamespace(ioloop=loop)

        def __init__(self, _: Any) -> None:
            if connect is not None:
                raise connect

        def channel(self) -> Channel:
            return Channel()

        def close(self) -> None: ...

    def anything(*_: Any, **__: Any) -> None: ...

    pika = fake(
        "pika",
        exceptions=exceptions,
        BlockingConnection=Connection,
        ConnectionParameters=anything,
        PlainCredentials=anything,
        BasicProperties=anything,
    )
    return {"pika": pika, "pika__exceptions": exceptions}


def raising(name: str) -> Any:
    def publish(exceptions: Any) -> None:
        raise getattr(exceptions, name)("no")

    return publish


def late(_: Any) -> None:
    raise TimeoutError("no answer in time")


@pytest.mark.parametrize(
    ("publish", "connect", "ends"),
    [
        (None, None, "ok"),
        (None, ConnectionRefusedError("refused"), "fail"),
        (raising("UnroutableError"), None, "fail"),
        (raising("NackError"), None, "info"),
        (late, None, "info"),
    ],
)
def test_rabbitmq_a_message_ends(load: Any, publish: Any, connect: Any, ends: str) -> None:
    module = load("rabbitmq", **rabbit(publish, connect))
    session = module.Queue(BASE).session(0, dice())
    ended = end(session, "enqueue", 4)
    assert ended["type"] == ends
    if ends == "ok":
        assert ended["at"] in ("c1", "c2")


@pytest.mark.parametrize(
    ("code", "text", "left"),
    [
        (404, "NOT_FOUND - no queue 'run_1_w' in vhost '/'", {"queue": []}),
        (404, "NOT_FOUND - home node 'rabbit@c1' of durable queue 'run_1_w' is down", None),
        (405, "RESOURCE_LOCKED", None),
    ],
)
def test_rabbitmq_a_queue_that_is_gone_holds_nothing(
    load: Any, code: int, text: str, left: Any
) -> None:
    modules = rabbit()
    module = load("rabbitmq", **modules)
    closed = modules["pika__exceptions"].ChannelClosedByBroker(text)
    closed.reply_code, closed.reply_text = code, text

    def consume(*_: Any, **__: Any) -> Any:
        raise closed

    channel = types.SimpleNamespace(consume=consume)
    module.Broker = lambda _: types.SimpleNamespace(channel=lambda: channel, close=lambda: None)
    if left is None:
        with pytest.raises(type(closed)):
            module.Queue(BASE).final()
    else:
        assert module.Queue(BASE).final() == left


@pytest.mark.parametrize(("durable", "mode"), [(True, 2), (False, 1)])
def test_rabbitmq_messages_last_as_long_as_their_queue(load: Any, durable: bool, mode: int) -> None:
    said: list[tuple[str, Any]] = []

    class Channel:
        def queue_declare(self, _: str, **terms: Any) -> None:
            said.append(("queue", terms["durable"]))

        def basic_publish(self, *given: Any, **_: Any) -> None:
            said.append(("message", given[3]))

    modules = rabbit()
    modules["pika"].BasicProperties = lambda delivery_mode: delivery_mode
    module = load("rabbitmq", **modules)
    module.Broker.channel = lambda _: Channel()
    module.Broker.limit = lambda _: nullcontext()
    module.Queue._leader = lambda _: "c1"
    queue = module.Queue({**BASE, "as": "classic", "durable": durable})
    queue.prepare()
    assert end(queue.session(0, dice()), "enqueue", 4)["type"] == "ok"
    assert said == [("queue", durable), ("message", mode)]


def test_rabbitmq_consumers_come_after_the_workers(load: Any) -> None:
    module = load("rabbitmq", **rabbit())
    [consumer] = module.Queue(BASE).helpers()
    events: list[dict[str, Any]] = []
    method = types.SimpleNamespace(delivery_tag=1, redelivered=False)
    broker = types.SimpleNamespace(
        at="c2",
        channel=lambda: types.SimpleNamespace(
            consume=lambda *_, **__: iter([(method, None, b"7"), (None, None, None)]),
            basic_ack=lambda _: None,
        ),
        close=lambda: None,
    )
    module.Broker = lambda _: broker
    consumer(lambda **event: events.append(event), lambda: bool(events))
    assert [(e["p"], e["type"], e["value"], e["at"]) for e in events] == [
        (2, "invoke", False, "c2"),
        (2, "ok", 7, "c2"),
    ]


# Redis


def redis_modules(answer: Any) -> dict[str, types.ModuleType]:
    base = error("RedisError")
    exceptions = types.SimpleNamespace(
        RedisError=base,
        ResponseError=error("ResponseError", base),
        ConnectionError=error("ConnectionError", base),
        TimeoutError=error("TimeoutError", base),
        BusyLoadingError=error("BusyLoadingError", base),
    )

    class Client:
        connection_pool = types.SimpleNamespace(disconnect=lambda: None)

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def ping(self) -> None:
            answer("ping", exceptions)

        def sadd(self, *_: Any) -> int:
            return int(answer("sadd", exceptions) or 0)

        def incr(self, *_: Any) -> int:
            return int(answer("incr", exceptions) or 0)

    missing = error("MasterNotFoundError", base)

    class Sentinel:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def discover_master(self, _: str) -> tuple[str, int]:
            answer("discover", types.SimpleNamespace(ConnectionError=missing))
            return "10.0.0.2", 6379

    sentinel = fake("redis.sentinel", MasterNotFoundError=missing, Sentinel=Sentinel)
    return {
        "redis": fake("redis", exceptions=exceptions, Redis=Client),
        "redis__sentinel": sentinel,
    }


@pytest.mark.parametrize(
    ("when", "name", "text", "ends"),
    [
        ("discover", "ConnectionError", "no master", "fail"),
        ("ping", "ConnectionError", "refused", "fail"),
        ("sadd", "ResponseError", "NOREPLICAS", "fail"),
        ("sadd", "BusyLoadingError", "LOADING", "fail"),
        ("sadd", "ConnectionError", "Error 111 connecting to c2:6379.", "fail"),
        ("sadd", "ConnectionError", "Connection closed by server.", "info"),
        ("sadd", "TimeoutError", "Timeout reading from socket", "info"),
    ],
)
def test_redis_a_write_ends(load: Any, when: str, name: str, text: str, ends: str) -> None:
    def answer(what: str, exceptions: Any) -> None:
        if what == when:
            raise getattr(exceptions, name)(text)

    module = load("redis", **redis_modules(answer))
    assert end(module.Set(BASE).session(0, dice()), "add", 3)["type"] == ends


def test_redis_counts(load: Any) -> None:
    module = load("redis", **redis_modules(lambda what, _: 8 if what == "incr" else None))
    ended = end(module.Counter(BASE).session(0, dice()), "incr")
    assert (ended["type"], ended["value"], ended["at"]) == ("ok", 8, "c2")


def test_redis_is_read_after_what_was_acknowledged(load: Any) -> None:
    modules = redis_modules(lambda what, _: 8 if what == "incr" else None)
    modules["redis"].Redis.smismember = lambda _, __, asked: [int(n in (3, 9)) for n in asked]
    modules["redis"].Redis.get = lambda *_: b"8"
    module = load("redis", **modules)
    session = module.Set(BASE).session(0, dice())
    answers = [session.apply(operation).value for operation in session.steps(9)]
    assert answers == [9, [3, 9]]
    session = module.Counter(BASE).session(0, dice())
    assert [session.apply(operation).value for operation in session.steps(9)] == [8, 8]
    assert [session.apply(operation).value for operation in session.steps(10)] == [8]


# MongoDB


def mongo(raised: str = "", text: str = "", code: int = 0, matched: int = 1) -> Any:
    again = error("AutoReconnect")
    errors = fake(
        "pymongo.errors",
        AutoReconnect=again,
        NotMasterError=error("NotMasterError", again),
        NetworkTimeout=error("NetworkTimeout", again),
        ServerSelectionTimeoutError=error("ServerSelectionTimeoutError", again),
        DuplicateKeyError=error("DuplicateKeyError"),
        WTimeoutError=error("WTimeoutError"),
    )

    def act(*_: Any, **__: Any) -> Any:
        if raised:
            problem = getattr(errors, raised)(text)
            problem.details = {"code": code}
            raise problem
        return types.SimpleNamespace(matched_count=matched)

    table = types.SimpleNamespace(
        insert_one=act, update_one=act, find_one=lambda *_, **__: {"_id": 1, "v": 6}
    )

    class Client:
        primary = ("10.0.0.1", 27017)

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __getitem__(self, _: str) -> Any:
            return types.SimpleNamespace(get_collection=lambda *_, **__: table)

    return {
        "pymongo": fake("pymongo", MongoClient=Client),
        "pymongo__errors": errors,
        "pymongo__read_concern": fake("pymongo.read_concern", ReadConcern=lambda _: None),
        "pymongo__write_concern": fake("pymongo.write_concern", WriteConcern=lambda *_, **__: None),
    }


@pytest.mark.parametrize(
    ("raised", "text", "code", "ends"),
    [
        ("", "", 0, "ok"),
        ("ServerSelectionTimeoutError", "no primary", 0, "fail"),
        ("NotMasterError", "not master", 10107, "fail"),
        ("AutoReconnect", "c1:27017: [Errno 111] Connection refused", 0, "fail"),
        ("NotMasterError", "interrupted", 11602, "info"),
        ("NetworkTimeout", "timed out", 0, "info"),
        ("WTimeoutError", "waiting for replication timed out", 64, "info"),
    ],
)
def test_mongodb_a_write_ends(load: Any, raised: str, text: str, code: int, ends: str) -> None:
    module = load("mongodb", **mongo(raised, text, code))
    ended = end(module.Set({**BASE, "as": "w1"}).session(0, dice()), "add", 3)
    assert ended["type"] == ends
    if ends == "ok":
        assert ended["at"] == "c1"


def test_mongodb_a_register_compares(load: Any) -> None:
    module = load("mongodb", **mongo(matched=0))
    session = module.Register(BASE).session(0, dice())
    assert end(session, "read", [1, None], True)["value"] == [1, 6]
    assert end(session, "cas", [1, [6, 7]])["error"] == "RefusedError: the value is not 6"
