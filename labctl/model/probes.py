"""Probes: the questions that tell whether a service is ready, as the catalogue writes them."""

from __future__ import annotations

from labctl.model.document import Document, Name, Port, Seconds


class ProbeDoc(Document):
    """A question asked over the network from the client node; exactly one kind is set.

    Strings are Jinja2 templates, so a probe can contain a secret; probes are sent to the client as
    a file with mode 0600.
    """

    running: bool | None = None
    """The engine says that it runs: for services that do not listen."""
    ping: bool | None = None
    """It answers an ICMP echo."""
    tcp: TcpProbe | None = None
    http: HttpProbe | None = None
    mysql: MysqlProbe | None = None
    redis: RedisProbe | None = None
    mongodb: MongodbProbe | None = None
    reports: ReportsProbe | None = None
    timeout: Seconds = 300
    """How long ``up`` waits before it gives up on the instance."""


class TcpProbe(Document):
    """A connection; the answer to ``send`` (if any) must contain ``expect``."""

    port: Port
    send: str | None = None
    expect: str | None = None


class HttpProbe(Document):
    """A GET: its status must be in ``status``, its body must match ``expect`` (regex) if given."""

    port: Port
    path: str = "/"
    status: tuple[int, ...] = (200,)
    expect: str | None = None
    user: str | None = None
    password: str | None = None


class MysqlProbe(Document):
    """A query whose first value matches ``expect`` (regex)."""

    port: Port
    user: str
    password: str
    query: str
    expect: str


class RedisProbe(Document):
    """A command whose reply, as text, matches ``expect`` (regex)."""

    port: Port
    password: str | None = None
    command: tuple[str, ...] = ("PING",)
    expect: str = "PONG"


class MongodbProbe(Document):
    """``hello`` says primary or secondary."""

    port: Port
    user: str | None = None
    password: str | None = None


class ReportsProbe(Document):
    """Its control plane counts it as up, because it has reported recently.

    For agents and workers, which listen on no port: a running process alone proves little.
    """

    to: Name
    """The service in whose ``heartbeats`` it is."""
    process: str = "{{ service.name }}"
    host: str = "{{ node.name }}"
    """``process`` and ``host`` are the names under which it reports."""


ProbeDoc.model_rebuild()
