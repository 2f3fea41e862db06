"""Messages of a quorum or classic queue: published with confirms, consumed all the time."""

from __future__ import annotations

import base64
import json
import random as randomness
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from labctl.workloads.entry import Driver, Entry, members
from labctl.workloads.model import Config, Done, Helper, Operation, Record, RefusedError

if TYPE_CHECKING:
    from labctl.model.lab import Lab

pika: Any = Driver("pika")
_exceptions: Any = Driver("pika.exceptions")

_QUIET = 3.0
"""Seconds without a message after which the queue counts as drained."""
_PREFETCH = 10
_NOT_FOUND = 404
_TRANSIENT, _PERSISTENT = 1, 2
"""Delivery modes of a message."""


class Queue:
    """A queue for one run; ``as`` says of which type."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def prepare(self) -> dict[str, Any]:
        """Declare the queue; returns the node that leads it."""
        broker = Broker(self.config)
        broker.channel().queue_declare(
            self.config["id"],
            durable=_durable(self.config),
            arguments={"x-queue-type": self.config["as"]},
        )
        broker.close()
        return {"member": self._leader(), "queue": self.config["id"]}

    def session(self, worker: int, random: Random) -> _Publisher:  # noqa: ARG002 - all are alike
        """A publisher."""
        return _Publisher(self.config)

    def helpers(self) -> list[Helper]:
        """The consumers; their process numbers follow those of the workers."""
        first: int = self.config["workers"]
        numbers = range(first, first + self.config["consumers"])
        return [partial(consume, self.config, number) for number in numbers]

    def final(self) -> dict[str, list[int]]:
        """Drain the queue, acknowledging every message; a queue that is gone has none."""
        broker, found = Broker(self.config), list[int]()
        channel = broker.channel()
        try:
            for method, _, body in channel.consume(self.config["id"], inactivity_timeout=_QUIET):
                if method is None:
                    break
                found.append(int(body))
                channel.basic_ack(method.delivery_tag)
            channel.cancel()
        except _exceptions.ChannelClosedByBroker as error:
            if not _no_queue(error):
                raise
        broker.close()
        return {"queue": found}

    def clean(self) -> None:
        """Delete the queue."""
        broker = Broker(self.config)
        broker.channel().queue_delete(self.config["id"])
        broker.close()

    def _leader(self) -> str:
        """The node that leads the queue, according to the management API."""
        host = next(iter(self.config["members"].values()))
        account = f"{self.config['user']}:{self.config['password']}".encode()
        request = urllib.request.Request(
            f"http://{host}:{self.config['api_port']}/api/queues/%2F/{self.config['id']}",
            headers={"Authorization": "Basic " + base64.b64encode(account).decode()},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            queue = json.load(answer)
        # A classic queue has no leader, but the one node that it is on.
        return str(queue.get("leader") or queue["node"]).partition("@")[2]


def _durable(config: Config) -> bool:
    """Whether the queue is durable, which a quorum queue always is."""
    return bool(config.get("durable", True))


def _no_queue(error: Any) -> bool:
    """Whether there is no such queue; one whose node is down is not found either, but exists."""
    return error.reply_code == _NOT_FOUND and "no queue" in error.reply_text


class Broker:
    """A channel with confirms to the first node that answers, tried in random order."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._connection: Any = None
        self._channel: Any = None
        self.at = ""
        """The node that it is connected to."""

    def channel(self) -> Any:
        """The open channel. RefusedError when no node gives one."""
        if self._channel is None:
            try:
                self._connect()
            except (_exceptions.AMQPError, OSError) as error:
                self.close()
                raise RefusedError(f"no connection: {error!r}") from None
        return self._channel

    def _connect(self) -> None:
        members = list(self._config["members"].items())
        randomness.shuffle(members)
        for self.at, host in members:
            try:
                self._connection = pika.BlockingConnection(self._parameters(host))
                break
            except (_exceptions.AMQPError, OSError):
                if (self.at, host) == members[-1]:
                    raise
        with self.limit():
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
            self._channel.basic_qos(prefetch_count=_PREFETCH)

    def _parameters(self, host: str) -> Any:
        wait = self._config["timeout"]
        return pika.ConnectionParameters(
            host,
            self._config["port"],
            credentials=pika.PlainCredentials(self._config["user"], self._config["password"]),
            heartbeat=max(2, round(wait)),
            socket_timeout=wait,
            stack_timeout=2 * wait,
            blocked_connection_timeout=wait,
        )

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Raise TimeoutError when the body takes too long.

        Pika waits for a confirm as long as the broker sends heartbeats; its own timers fire while
        it waits.
        """
        loop = self._connection._impl.ioloop
        timer = loop.call_later(self._config["timeout"], _late)
        try:
            yield
        finally:
            loop.remove_timeout(timer)

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            with suppress(Exception):
                self._connection = connection
                with self.limit():
                    connection.close()
            self._connection = None


def _late() -> None:
    raise TimeoutError("no answer in time")


class _Publisher:
    def __init__(self, config: Config) -> None:
        self._queue: str = config["id"]
        self._mode = _PERSISTENT if _durable(config) else _TRANSIENT
        self._broker = Broker(config)

    def steps(self, number: int) -> Iterator[Operation]:
        yield Operation("enqueue", number)

    def apply(self, operation: Operation) -> Done:
        channel = self._broker.channel()
        try:
            with self._broker.limit():
                channel.basic_publish(
                    "",
                    self._queue,
                    str(operation.value).encode(),
                    pika.BasicProperties(delivery_mode=self._mode),
                    mandatory=True,
                )
        except _exceptions.UnroutableError as error:
            raise RefusedError(str(error)) from None
        return Done(operation.value, at=self._broker.at)

    def close(self) -> None:
        self._broker.close()


def consume(config: Config, process: int, record: Record, stop: Callable[[], bool]) -> None:
    """Take messages until told to stop, whatever happens to the brokers.

    A message counts as delivered before it is acknowledged: if the acknowledgement is lost, the
    message is delivered again.
    """
    broker, pause = Broker(config), threading.Event()
    while not stop():
        try:
            channel = broker.channel()
            for method, _, body in channel.consume(config["id"], inactivity_timeout=0.5):
                if method is not None:
                    said = {"p": process, "f": "dequeue", "at": broker.at}
                    record(type="invoke", value=method.redelivered, **said)
                    record(type="ok", value=int(body), **said)
                    channel.basic_ack(method.delivery_tag)
                if stop():
                    break
        except (_exceptions.AMQPError, OSError, RefusedError):
            pause.wait(0.3)
            broker.close()
    broker.close()


def _place(lab: Lab, secrets: Mapping[str, str]) -> dict[str, Any]:
    user = lab.services["rabbitmq"].settings["user"]
    account = {"user": user, "password": secrets["rabbitmq.password"]}
    return {"port": 5672, "api_port": 15672, **account, "members": members(lab, "rabbitmq")}


_QUORUM = Entry(
    kind="rabbitmq",
    way="quorum",
    make=Queue,
    services=("rabbitmq",),
    place=_place,
    operations="``enqueue``: number; ``dequeue`` by consumers: whether it is delivered again → "
    "number",
    check="queue",
    settings={"consumers": 2},
    promised_by={"queue_type": "quorum"},
)

ENTRIES = (
    _QUORUM,
    replace(
        _QUORUM,
        way="classic",
        # It is ``durable``, or goes with its node, as its messages do.
        settings={"consumers": 2, "durable": True},
        promised_by={"queue_type": "classic"},
    ),
)
