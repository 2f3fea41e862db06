"""What ``compose/<service>/service.yml`` may say: the catalogue's vocabulary, closed and typed.

A service is one process in the catalogue; an instance is a service on a node. Consumers loop
over what is declared here (HAProxy over ``endpoint``, the databases job over ``database``,
Keystone's registration over ``catalog``), so a new service needs a directory and no Python.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints

from labctl.model.document import AbsolutePath, Document, Mode, Name, Port, Seconds, Size
from labctl.model.probes import ProbeDoc

RowMode = Literal["A/A", "A/P", "-"]
"""Active/active, active/passive, or neither."""
Profile = Literal["support", "core", "full"]
"""How much of the catalogue a lab has; each holds the one before."""
PROFILES: tuple[Profile, ...] = get_args(Profile)


class Row(Document):
    """The row of the design's table that a service stands for (``labctl services``)."""

    system: str
    process: str
    mode: RowMode
    strategy: str


class RetiredDoc(Document):
    """A row of the design's table whose process there is no more; this service does its job."""

    process: str
    successor: str
    """Who does its job now, in words: ``glance-api talks to the database itself``."""
    system: str | None = None
    """The service's own row's when left out; so are ``mode`` and ``strategy``."""
    mode: RowMode | None = None
    strategy: str | None = None


Capability = Literal[
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETGID",
    "SETPCAP",
    "SETUID",
]
"""What a container may be given. SYS_ADMIN comes with ``network_namespaces`` only."""


class ContainerDoc(Document):
    """How the container runs: a subset of Compose's vocabulary, with Compose's names."""

    cap_add: tuple[Capability, ...] = ()
    """All others are dropped. Each is written down with its reason in docs/security.md."""
    network_namespaces: bool = False
    """It makes or enters network namespaces. That takes the capability SYS_ADMIN and mounting,
    which AppArmor's profile for containers forbids: the container has the one and not the other.
    /proc and /sys stay as restricted as in every other container."""
    devices: tuple[str, ...] = ()
    """Jinja2 expands them; one that comes to nothing is left out."""
    environment: dict[str, str] = Field(default_factory=dict)
    sysctls: dict[str, str] = Field(default_factory=dict)
    tmpfs: dict[str, str] = Field(default_factory=dict)
    """path → mount options."""
    ulimits: dict[str, int] = Field(default_factory=dict)
    volumes: dict[Name, AbsolutePath] = Field(default_factory=dict)
    """volume (made for each instance) → path."""
    node_volumes: dict[Name, AbsolutePath] = Field(default_factory=dict)
    """volume that all instances of the node share → path: sockets, what one writes for another."""
    lab_volumes: dict[Name, AbsolutePath] = Field(default_factory=dict)
    """volume that the whole lab shares → path: stands in for a shared file system (NFS), and like
    one outlives any node."""
    stop_signal: str = "SIGTERM"
    stop_grace_period: Seconds = 10
    mem_limit: Size | None = None
    cpu_shares: Annotated[int, Field(ge=2, le=262144)] | None = None
    """Weight when there is less CPU time than is asked for; others have 1024."""


class FileDoc(Document):
    """A file that is rendered into the container before it starts."""

    template: str
    """Jinja2 template in the service's directory; a name without ``.j2`` is copied as it is.
    What services share lies in a directory of the catalogue too: ``openstack/nova.conf.j2``."""
    path: AbsolutePath
    mode: Mode = "0400"
    user: str | None = None
    """Owner by name in the image; the service's own user when left out."""
    bootstrap: bool = False
    """Only for an instance that founds its cluster (see ClusterDoc)."""
    handout: str | None = None
    """Also written, for the person, into the lab's directory under this name, mode 0600."""


class ClusterDoc(Document):
    """A service whose instances form a cluster of its own."""

    kind: Literal["galera", "rabbitmq", "redis", "mongodb"]
    """Which inspection ``status`` makes of it."""
    majority: bool = True
    """A majority decides, so an even number of instances is an error (one is allowed)."""
    start: Literal["together", "seed"] = "together"
    """``seed``: in a new cluster the first instance alone, the others when it is ready."""
    joins: Literal["together", "in turn"] = "together"
    """``in turn``: a member starts when the one before it is ready."""
    member_file: AbsolutePath | None = None
    """A file that says that an instance's volume has already been part of the cluster."""
    position: tuple[str, ...] = ()
    """Command, run with a stopped instance's volumes and files, that prints IDENTITY:NUMBER: how
    far its data have got. When no member is left, the farthest founds the cluster anew."""


class ChangeDoc(Document):
    """How a service is changed while the lab is running.

    Instances are replaced node by node while the others serve. Where that cannot be, it is said
    here. Commands run as the service's own user in a running instance's container.
    """

    drain: tuple[tuple[str, ...], ...] = ()
    """Commands run in an instance before it is stopped, while others go on. One that fails ends
    the draining, not the change: the instance is then stopped as it is."""
    forget: tuple[str, ...] = ()
    """Command run in a remaining instance when another has left for good; ``{node}`` in it is the
    name of the node that left, ``{address}`` its address."""
    together: tuple[str, ...] = ()
    """Settings on which all instances must agree: when one changes, all are replaced at once. So
    they are when the virtual IP or one of the service's secrets changes."""
    fixed: tuple[str, ...] = ()
    """Settings that are written into the data: they cannot change while those are there."""


class EndpointDoc(Document):
    """A port that HAProxy serves on the virtual IP."""

    port: Port
    """On the virtual IP, and on the nodes unless ``node_port`` differs."""
    node_port: Port | None = None
    mode: Literal["http", "tcp"] = "http"
    check: tuple[str, ...] = ()
    """HAProxy lines for the backend that say how a server's health is asked."""
    check_port: Port | None = None
    options: tuple[str, ...] = ()
    """Further HAProxy lines for the backend (Jinja2 expands them)."""
    server_options: str = (  # a busy API, whose answer waits for a thread, is not a dead one
        "check inter 4s fastinter 500ms downinter 1s fall 4 rise 2 on-marked-down shutdown-sessions"
    )
    single: bool = False
    """One active server, the others backup; stays where it is (no automatic fail-back)."""
    timeout_server: str = "60s"


SqlName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class DatabaseDoc(Document):
    """A database of the service's own, and a user who may use only that."""

    name: SqlName
    user: SqlName
    also: tuple[SqlName, ...] = ()
    """Further databases of the same user."""


class MongodbDoc(Document):
    """A user of the document store who may do what it likes in the named databases only."""

    user: SqlName
    databases: tuple[SqlName, ...]


class HeartbeatsDoc(Document):
    """Where a control plane writes down when each of its processes last reported itself.

    It is read from the service's own database, once for all who report: as its API would, and
    without a login for each look.
    """

    port: Port
    """Of the database on the virtual IP; the account is the service's ``database``."""
    query: str
    """SQL for rows of process, host and the seconds since its last report (Jinja2 expands it)."""
    within: str
    """Seconds (a number, or Jinja2 for one) after which the control plane itself counts a process
    that is silent as down."""


class CatalogDoc(Document):
    """An entry in Keystone's catalog; ``path`` follows ``http://VIP:port``."""

    type: str
    name: str
    description: str = ""
    path: str = ""


class DomainDoc(Document):
    """A domain of its own in Keystone; its administrator's password is the secret ``domain``."""

    name: str
    admin: str
    """User of that domain who may administer it, and nothing else."""
    roles: tuple[str, ...] = ("admin",)


class IdentityDoc(Document):
    """A service user in Keystone, and what else the service expects to find there."""

    user: str
    roles: tuple[str, ...] = ("admin",)
    project: str = "service"
    creates_roles: tuple[str, ...] = ()
    """Roles that its policies name and nobody has yet."""
    domain: DomainDoc | None = None


class JobDoc(Document):
    """A one-shot container, run once for a lab: that it ended well is recorded in the lab.

    It must do no harm when it is run again: it is where it was changed, where its end was missed,
    and where a store that it works on (its service's, or one that it needs) has lost all its data.
    """

    name: Name
    description: str
    when: Literal["before", "seed", "started", "ready"] = "ready"
    """Before any instance starts, when the seed is ready, when all run, or when all are ready."""
    needs: tuple[str, ...] = ()
    """Services (ready), or service/job (done), that come first."""
    image: Name | None = None
    """Image role; the service's own when left out."""
    user: str | None = None
    command: tuple[str, ...]
    files: tuple[FileDoc, ...] = ()
    tmpfs: dict[str, str] = Field(default_factory=dict)
    cost: float = 1.0
    """CPU-seconds, for the plan's critical path."""
    timeout: Seconds = 300


class SecretDoc(Document):
    """A secret that is made at random for each lab."""

    kind: Literal["password", "hex", "fernet", "keyfile"] = "password"
    length: Annotated[int, Field(ge=8, le=1024)] = 24


class VerifyDoc(Document):
    """A step of ``labctl verify``: the service is used as its users use it, through the virtual IP.

    The script runs in the client node; its function gets one argument, which has all it needs
    (labctl/verify/context.py), and raises if the service does not do its job.
    """

    name: Name
    """The only step of this name in the catalogue."""
    description: str
    script: str = "verify.py"
    """Python file in the service's directory, or in another's: ``cinder-api/verify.py``."""
    function: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = "run"
    """Function in the script; one script may hold several steps."""
    needs: tuple[Name, ...] = ()
    """Steps that must have passed before. In a lab that lacks one, this step is left out."""
    after: tuple[Name, ...] = ()
    """Steps that come first if they run at all."""
    proves: tuple[Name, ...] = ()
    """Further services whose row of the table it is the proof of, beside its own."""
    timeout: Seconds = 60

    def file(self, service: str) -> str:
        """The script's place below the catalogue, for a step of this service."""
        return self.script if "/" in self.script else f"{service}/{self.script}"

    @property
    def before(self) -> tuple[str, ...]:
        """The steps that come before it, if they run."""
        return (*self.needs, *self.after)


class ActionDoc(Document):
    """Something that the service's own commands do to an instance, so that it can be a fault.

    The commands run in the instance's container. They hold no secret: they end up in a journal.
    """

    name: Name
    """What scenarios call it."""
    description: str
    """What it does, in one line."""
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Makes it."""
    undo: tuple[str, ...] = ()
    """Undoes it; left out where it is over when it is done."""
    proof: Annotated[tuple[str, ...], Field(min_length=1)]
    """Says how the instance is; its output shows whether the action is in force."""
    shows: str
    """Regex that the proof's output matches while the action is in force, and then only."""
    user: str | None = None
    """Who runs the commands; the service's own user when left out."""
    timeout: Seconds = 60
    """How long until the proof must show it, and until it must no more."""


class ServiceDoc(Document):
    """One process of the catalogue."""

    description: str
    row: Row | None = None
    retired: tuple[RetiredDoc, ...] = ()
    """Further rows of the table that it stands for, because their own process is retired."""
    profile: Profile = "full"
    """The smallest profile that it belongs to."""
    active: Literal["all", "one"] = "all"
    """``one``: active/passive. It runs on one of the nodes whose role lists it, the first until
    ``labctl move`` takes it to another. One-shot jobs stay on the first."""
    image: Name
    """Directory in ``images/`` whose image it runs in."""
    user: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Services (ready), or service/job (done), that must come before its instances start."""
    uses: tuple[Name, ...] = ()
    """Services that its files name, or without which it is of no use, and for which it does not
    wait: they are in the lab too, and may start later."""
    beside: tuple[Name, ...] = ()
    """Services without which an instance is of no use on its node: they run there too."""
    container: ContainerDoc = ContainerDoc()
    files: tuple[FileDoc, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    """What a topology may override under ``services.<name>``, with defaults. ``fake_clock: false``
    is for a service that is known to run under libfaketime: true puts it there, so that its clock
    can be set apart. ``disk: null`` is for one that is known to run on a disk of its own: a size
    gives it one, in memory, so that it can be full."""
    ready: ProbeDoc
    """Asked of each instance at its node's address."""
    vip_ready: ProbeDoc | None = None
    """Asked once of the virtual IP: what consumers will meet there."""
    cluster: ClusterDoc | None = None
    change: ChangeDoc = ChangeDoc()
    endpoint: EndpointDoc | None = None
    database: DatabaseDoc | None = None
    mongodb: MongodbDoc | None = None
    identity: IdentityDoc | None = None
    catalog: tuple[CatalogDoc, ...] = ()
    heartbeats: HeartbeatsDoc | None = None
    """Who of its processes is up; asked for each whose ``ready`` says ``reports``."""
    secrets: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], SecretDoc] = (
        Field(default_factory=dict)
    )
    jobs: tuple[JobDoc, ...] = ()
    verify: tuple[VerifyDoc, ...] = ()
    actions: tuple[ActionDoc, ...] = ()
    """What can be done to its instances on purpose, beside killing them."""
    memory: Size
    """What one instance takes (PSS, measured), for the check against the machine."""
    cost: float
    """CPU-seconds from start to ready (measured), for the plan's critical path."""
