"""Numbers as messages of a quorum queue, published with confirms to any of the nodes."""

from __future__ import annotations

import base64
import json
import random
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pika
import pika.exceptions

from labctl.workloads.client import Config, RefusedError

_QUIET = 3.0
"""Seconds without a message after which a queue counts as drained."""


class Queue:
    """A quorum queue for one run."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._name: str = config["name"]
        self._connection: Any = None
        self._channel: Any = None

    def prepare(self) -> Mapping[str, Any]:
        """Declare the queue; says which node leads it."""
        channel = self._open()
        channel.queue_declare(self._name, durable=True, arguments={"x-queue-type": "quorum"})
        return {"member": self._leader()}

    def write(self, value: int) -> None:
        """Publish a persistent message; the broker's confirm is the acknowledgement."""
        if self._channel is None:
            try:
                self._open()
            except (pika.exceptions.AMQPError, OSError) as error:
                raise RefusedError(f"no connection: {error!r}") from None
        try:
            self._channel.basic_publish(
                "",
                self._name,
                str(value).encode(),
                pika.BasicProperties(delivery_mode=2),
                mandatory=True,
            )
        except pika.exceptions.UnroutableError as error:
            raise RefusedError(str(error)) from None

    def read(self) -> Mapping[str, list[int]]:
        """Drain the queue, acknowledging every message."""
        channel, found = self._open(), []
        for method, _, body in channel.consume(self._name, inactivity_timeout=_QUIET):
            if method is None:
                break
            found.append(int(body))
            channel.basic_ack(method.delivery_tag)
        channel.cancel()
        self.close()
        return {"queue": found}

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            with suppress(pika.exceptions.AMQPError, OSError):
                connection.close()

    def _open(self) -> Any:
        """A channel with confirms to the first node that answers, in a random order."""
        wait = self._config["timeout"]
        account = pika.PlainCredentials(self._config["user"], self._config["password"])
        hosts = list(self._config["members"].values())
        random.shuffle(hosts)
        self._connection = pika.BlockingConnection(
            [
                pika.ConnectionParameters(
                    host,
                    self._config["port"],
                    credentials=account,
                    # A confirm is waited for until the peer counts as dead: two heartbeats.
                    heartbeat=max(2, round(wait)),
                    socket_timeout=wait,
                    stack_timeout=2 * wait,
                    blocked_connection_timeout=wait,
                )
                for host in hosts
            ]
        )
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        return self._channel

    def _leader(self) -> str:
        """The node that leads the queue, as the management API of some node says."""
        host = next(iter(self._config["members"].values()))
        account = f"{self._config['user']}:{self._config['password']}".encode()
        request = urllib.request.Request(
            f"http://{host}:{self._config['api_port']}/api/queues/%2F/{self._name}",
            headers={"Authorization": "Basic " + base64.b64encode(account).decode()},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            queue = json.load(answer)
        return str(queue["leader"]).partition("@")[2]


def connect(config: Config) -> Queue:
    """For the loop."""
    return Queue(config)
