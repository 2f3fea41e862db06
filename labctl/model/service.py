"""The model of ``compose/<service>/service.yml``: the catalogue's vocabulary, closed and typed.

A service is one process in the catalogue; an instance is a service on a node. Consumers loop over
what services declare here (HAProxy over ``endpoint``, the databases job over ``database``,
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
"""How much of the catalogue a lab has; each includes the one before."""
PROFILES: tuple[Profile, ...] = get_args(Profile)


class Row(Document):
    """The row of the design's table that a service implements (``labctl services``)."""

    system: str
    process: str
    mode: RowMode
    strategy: str


class RetiredDoc(Document):
    """A row of the design's table whose process no longer exists; this service does its job."""

    process: str
    successor: str
    """What does its job now, in words: ``glance-api talks to the database itself``."""
    system: str | None = None
    """As in the service's own row when left out; the same for ``mode`` and ``strategy``."""
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
"""What a container may be given. SYS_ADMIN is given only by ``network_namespaces``."""


class ContainerDoc(Document):
    """How the container runs: a subset of Compose's vocabulary, with Compose's names."""

    cap_add: tuple[Capability, ...] = ()
    """All others are dropped. The reason for each is in docs/security.md."""
    network_namespaces: bool = False
    """It creates or enters network namespaces. That needs the capability SYS_ADMIN, and mounting,
    which AppArmor's profile for containers forbids: the container gets the capability and runs
    without the profile. /proc and /sys stay as restricted as in every other container."""
    devices: tuple[str, ...] = ()
    """Jinja2 expands them; one that expands to nothing is left out."""
    environment: dict[str, str] = Field(default_factory=dict)
    sysctls: dict[str, str] = Field(default_factory=dict)
    tmpfs: dict[str, str] = Field(default_factory=dict)
    """path → mount options."""
    ulimits: dict[str, int] = Field(default_factory=dict)
    volumes: dict[Name, AbsolutePath] = Field(default_factory=dict)
    """volume (one for each instance) → path."""
    node_volumes: dict[Name, AbsolutePath] = Field(default_factory=dict)
    """volume that all instances of the node share → path: for sockets, and files that one writes
    for another."""
    lab_volumes: dict[Name, AbsolutePath] = Field(default_factory=dict)
    """volume that the whole lab shares → path: replaces a shared file system (NFS), and like one
    survives the loss of any node."""
    stop_signal: str = "SIGTERM"
    stop_grace_period: Seconds = 10
    mem_limit: Size | None = None
    cpu_shares: Annotated[int, Field(ge=2, le=262144)] | None = None
    """Weight when CPU time is short; the default is 1024."""


class FileDoc(Document):
    """A file that is rendered into the container before it starts."""

    template: str
    """Jinja2 template in the service's directory; a file without ``.j2`` is copied unchanged.
    Shared ones are in other directories of the catalogue: ``openstack/nova.conf.j2``."""
    path: AbsolutePath
    mode: Mode = "0400"
    user: str | None = None
    """Owner by name in the image; the service's own user when left out."""
    bootstrap: bool = False
    """Only for an instance that bootstraps its cluster (see ClusterDoc)."""
    restored: bool = False
    """Only in a lab from a checkpoint, put once on a volume of the instance (see CheckpointDoc)."""
    handout: str | None = None
    """Also written, for the user, into the lab's directory under this name, mode 0600."""


class ClusterDoc(Document):
    """A service whose instances form a cluster."""

    kind: Literal["galera", "rabbitmq", "redis", "mongodb"]
    """How ``status`` inspects it."""
    majority: bool = True
    """A majority decides, so an even number of instances is an error."""
    start: Literal["together", "seed"] = "together"
    """``seed``: in a new cluster the first instance starts alone, the others when it is ready."""
    joins: Literal["together", "in turn"] = "together"
    """``in turn``: a member starts when the one before it is ready."""
    member_file: AbsolutePath | None = None
    """A file whose presence shows that an instance's volume has been part of the cluster;
    ``{node}`` in it is the name of its node."""
    data: Name | None = None
    """Another service, whose instances hold the data on which this one decides."""


class RecoveryDoc(Document):
    """How a member of a cluster is told how recent its data are, and to start all the same.

    What the answers mean, and what is done about them, is in labctl/planning/recovery/stores. In
    commands, ``{node}`` is the name of the instance's node.
    """

    position: tuple[str, ...] = ()
    """Command that prints how recent an instance's data are, and nothing where there are none. Run
    with the volumes and files of an instance that does not run, or in one that does."""
    ask: tuple[str, ...] = ()
    """Command that prints the same of an instance that runs, if it is another."""
    lead: tuple[str, ...] = ()
    """Command, run with a stopped instance's volumes and files, that has it take ``{leader}`` (a
    node; ``{address}`` is its address) for the leader when it starts: without waiting for others
    where that is itself."""
    gave_up: str = ""
    """Regex that the end of the log of an instance matches that waited for others in vain."""


class ChangeDoc(Document):
    """How a service is changed while the lab is running.

    Instances are replaced node by node while the others serve. Where that cannot be, it is said
    here. Commands run as the service's own user in a running instance's container.
    """

    drain: tuple[tuple[str, ...], ...] = ()
    """Commands run in an instance before it is stopped, while others go on. One that fails ends
    the draining, not the change: the instance is then stopped as it is."""
    drained_by: Name | None = None
    """The service that hands the work over to others. Where it goes as well, on the same node, it
    goes last."""
    forget: tuple[str, ...] = ()
    """Command run in a remaining instance when another has ended for good; ``{node}`` in it is the
    name of the node that has left. It must do no harm when it is run again."""
    join: tuple[str, ...] = ()
    """Command run in an instance that is ready, and new in a cluster that was there before it;
    ``{node}`` in it is the name of its node."""
    together: tuple[str, ...] = ()
    """Settings on which all instances must agree: when one changes, all are replaced at once. So
    they are when the virtual IP or one of the service's secrets changes."""
    fixed: tuple[str, ...] = ()
    """Settings that are written into the data: they cannot change while those are there."""


class CheckpointDoc(Document):
    """What a checkpoint keeps of the volumes of a service's instances, and a lab gets from it.

    What is mounted below /run is never kept.
    """

    keep: Literal["each", "newest", "nothing"] = "each"
    """``newest``: only those of the instance with the most recent data, which every instance gets;
    ``nothing``: of what can be learnt or made again."""
    newest: tuple[str, ...] = ()
    """Command, run with a stopped instance's volumes and files, that prints IDENTITY:NUMBER: how
    recent its data are. That of ``recovery.position`` when left out."""
    omit: tuple[str, ...] = ()
    """Files that are left out, as paths on a volume (with shell patterns): those that hold
    addresses, and those that are large and made again."""
    together: bool = False
    """The instances of a cluster that starts from a seed need none here: all have the same data,
    and start at once. A file that is ``restored`` says who they are."""


class EndpointDoc(Document):
    """A port that HAProxy serves on the virtual IP."""

    port: Port
    """On the virtual IP, and on the nodes unless ``node_port`` differs."""
    node_port: Port | None = None
    mode: Literal["http", "tcp"] = "http"
    check: tuple[str, ...] = ()
    """HAProxy lines for the backend that define the health check."""
    check_port: Port | None = None
    options: tuple[str, ...] = ()
    """Further HAProxy lines for the backend (Jinja2 expands them)."""
    server_options: str = (  # a busy API, which answers late for lack of a thread, is not dead
        "check inter 4s fastinter 500ms downinter 1s fall 4 rise 2 on-marked-down shutdown-sessions"
    )
    single: bool = False
    """One active server, the others are backups; no automatic fail-back."""
    timeout_server: str = "60s"


SqlName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class DatabaseDoc(Document):
    """A database of the service's own, and a user that may use only that."""

    name: SqlName
    user: SqlName
    also: tuple[SqlName, ...] = ()
    """Further databases for the same user."""


class MongodbDoc(Document):
    """A user of the document store with all rights in the named databases, and no others."""

    user: SqlName
    databases: tuple[SqlName, ...]


class HeartbeatsDoc(Document):
    """Where a control plane records when each of its processes last reported.

    It is read from the service's own database, once for all processes: the same data as its API
    shows, without a login for each query.
    """

    port: Port
    """Port of the database on the virtual IP; the account is that of ``database``."""
    query: str
    """SQL for rows of process, host and seconds since the last report (Jinja2 expands it)."""
    within: str
    """Seconds (a number, or Jinja2 for one) without a report after which the control plane counts
    a process as down."""


class CatalogDoc(Document):
    """An entry in Keystone's catalog; ``path`` follows ``http://VIP:port``."""

    type: str
    name: str
    description: str = ""
    path: str = ""


class DomainDoc(Document):
    """A domain in Keystone; its administrator's password is the secret ``domain``."""

    name: str
    admin: str
    """User of that domain that may administer it, and nothing else."""
    roles: tuple[str, ...] = ("admin",)


class IdentityDoc(Document):
    """A service user in Keystone, and what else the service expects there."""

    user: str
    roles: tuple[str, ...] = ("admin",)
    project: str = "service"
    creates_roles: tuple[str, ...] = ()
    """Roles that its policies name and that must be created."""
    domain: DomainDoc | None = None


class JobDoc(Document):
    """A one-shot container, run once for a lab, which records its success.

    It must be harmless to repeat: it runs again when it was changed, when labctl missed its end,
    and when a store that it works on (its service's, or one that it needs) has lost all its data.
    """

    name: Name
    description: str
    when: Literal["before", "seed", "started", "ready"] = "ready"
    """Before any instance starts, when the seed is ready, when all instances run, or when all are
    ready."""
    needs: tuple[str, ...] = ()
    """Services (ready) or service/job (done) that it waits for."""
    image: Name | None = None
    """Image role; the default is the service's own."""
    user: str | None = None
    command: tuple[str, ...]
    files: tuple[FileDoc, ...] = ()
    tmpfs: dict[str, str] = Field(default_factory=dict)
    cost: float = 1.0
    """CPU-seconds, for the plan's critical path."""
    timeout: Seconds = 300
    renews: bool = False
    """It writes addresses or secrets of the lab into the data: in a lab from a checkpoint, which
    has its own, it runs again. Other jobs are done there."""


class SecretDoc(Document):
    """A secret that is generated at random for each lab."""

    kind: Literal["password", "hex", "fernet", "keyfile"] = "password"
    length: Annotated[int, Field(ge=8, le=1024)] = 24
    lasting: bool = False
    """The data cannot be read, or found, without it: a lab from a checkpoint keeps it."""


class VerifyDoc(Document):
    """A step of ``labctl verify``: it uses the service as its users do, through the virtual IP.

    The script runs in the client node; its function gets one argument with all it needs
    (labctl/verify/context.py), and raises if the service does not do its job.
    """

    name: Name
    """Unique in the catalogue."""
    description: str
    script: str = "verify.py"
    """Python file in the service's directory, or in another one: ``cinder-api/verify.py``."""
    function: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = "run"
    """Function in the script; a script may have several steps."""
    needs: tuple[Name, ...] = ()
    """Steps that must have passed first. In a lab that lacks one, this step is left out."""
    after: tuple[Name, ...] = ()
    """Steps that run first if they run at all."""
    proves: tuple[Name, ...] = ()
    """Other services whose row of the table it proves, besides its own."""
    timeout: Seconds = 60
    """How long it may take on a machine of its own; three times as long is allowed."""

    def file(self, service: str) -> str:
        """The script's path in the catalogue, for a step of this service."""
        return self.script if "/" in self.script else f"{service}/{self.script}"

    @property
    def before(self) -> tuple[str, ...]:
        """The steps that run before it, if they run at all."""
        return (*self.needs, *self.after)


class ActionDoc(Document):
    """A fault that the service's own commands can cause in an instance.

    The commands run in the instance's container. They must hold no secrets: the journal has them.
    """

    name: Name
    """Its name in scenarios."""
    description: str
    """What it does, in one line."""
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """Makes the fault."""
    undo: tuple[str, ...] = ()
    """Undoes it; empty where it is over as soon as it is done."""
    proof: Annotated[tuple[str, ...], Field(min_length=1)]
    """Prints the instance's state, which shows whether the action is in force."""
    shows: str
    """Regex that the proof's output matches only while the action is in force."""
    user: str | None = None
    """The user that runs the commands; the default is the service's own."""
    timeout: Seconds = 60
    """How long until the proof must show it, and until it must no longer show it."""


class ServiceDoc(Document):
    """One process of the catalogue."""

    description: str
    row: Row | None = None
    retired: tuple[RetiredDoc, ...] = ()
    """Other rows of the table that it implements, because their own process is retired."""
    profile: Profile = "full"
    """The smallest profile that includes it."""
    active: Literal["all", "one"] = "all"
    """``one``: active/passive. It runs on one of the nodes whose role lists it: the first, until
    ``labctl move`` moves it to another. One-shot jobs stay on the first."""
    image: Name
    """Directory in ``images/`` of the image that it runs in."""
    user: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Services (ready) or service/job (done) that its instances wait for before they start."""
    uses: tuple[Name, ...] = ()
    """Services that it needs in the lab (its files may name them) but does not wait for: they may
    start later."""
    beside: tuple[Name, ...] = ()
    """Services that an instance needs on its own node: they must run there, too."""
    container: ContainerDoc = ContainerDoc()
    files: tuple[FileDoc, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    """What a topology may override under ``services.<name>``, with defaults. A service that is
    known to run under libfaketime declares ``fake_clock: false``: true runs it that way, so that
    its clock can be changed. One that can run on a disk of its own declares ``disk: null``: a size
    gives it one, in memory, so that it can fill up."""
    ready: ProbeDoc
    """Sent to each instance at its node's address."""
    vip_ready: ProbeDoc | None = None
    """Sent to the virtual IP, once: what consumers will find there."""
    cluster: ClusterDoc | None = None
    recovery: RecoveryDoc = RecoveryDoc()
    change: ChangeDoc = ChangeDoc()
    checkpoint: CheckpointDoc = CheckpointDoc()
    endpoint: EndpointDoc | None = None
    database: DatabaseDoc | None = None
    mongodb: MongodbDoc | None = None
    identity: IdentityDoc | None = None
    catalog: tuple[CatalogDoc, ...] = ()
    heartbeats: HeartbeatsDoc | None = None
    """Which of its processes are up; used for those whose ``ready`` is ``reports``."""
    secrets: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], SecretDoc] = (
        Field(default_factory=dict)
    )
    jobs: tuple[JobDoc, ...] = ()
    verify: tuple[VerifyDoc, ...] = ()
    actions: tuple[ActionDoc, ...] = ()
    """Faults of its own that it offers."""
    memory: Size
    """What one instance takes (PSS, measured), to check whether the machine is large enough."""
    cost: float
    """CPU-seconds from start to ready (measured), for the plan's critical path."""
