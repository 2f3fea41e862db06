"""Probes: the questions by whose answers a service is ready, as the catalogue writes them."""

from __future__ import annotations

from labctl.model.document import Document, Name, Port, Seconds


class ProbeDoc(Document):
    """A question asked over the network from the client node; exactly one kind is set.

    Values are Jinja2 templates where they are strings, so a probe can hold a secret; they go to
    the client as a file with mode 0600.
    """

    running: bool | None = None
    """The engine says that it runs: for what does not listen."""
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
    """A connection; then ``send`` (if any) must be answered by something that holds ``expect``."""

    port: Port
    send: str | None = None
    expect: str | None = None


class HttpProbe(Document):
    """A GET: status among ``status`` and, if given, a body that matches ``expect`` (regex)."""

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
    """Its control plane counts it as up: it has reported itself lately.

    For agents and workers, which listen on no port: that their process runs says little.
    """

    to: Name
    """The service whose ``heartbeats`` it is among."""
    process: str = "{{ service.name }}"
    host: str = "{{ node.name }}"
    """The two names under which it reports itself."""


ProbeDoc.model_rebuild()
