"""Any state of any cluster: what a diagnosis may never do, and that it ends with all of it back.

Each world below knows the truth about a cluster (who really is primary, who waits for whom), shows
what can be seen of it, and obeys a step the way the store would. The diagnosis is asked again and
again, and its first step done, until it has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.planning.recovery import agents, stores
from labctl.planning.recovery.model import DESTRUCTIVE, Cluster, Diagnosis, Member, Step

NODES = ("c1", "c2", "c3")
MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sound(cluster: Cluster, kind: str) -> Diagnosis:
    """The diagnosis, with what holds of every one."""
    store = stores.registered()[kind]
    found = store.diagnose(cluster)
    assert found.situation in store.situations
    assert found.sentence
    assert "\n" not in found.sentence
    names = {m.name for m in cluster.everyone}
    for step in found.steps:
        assert step.reason
        assert set(step.members) <= names
        assert step.title
    if found.stops:
        assert not found.steps
        assert "labctl" in found.sentence or "or" in found.sentence
    return found


@dataclass
class World:
    """What all worlds do alike; ``truth`` maps a member to what is so."""

    cluster: Cluster
    kind: str
    done: list[Step] = field(default_factory=list)

    def member(self, name: str) -> Member:
        return next(m for m in self.cluster.everyone if m.name == name)

    def change(self, name: str, **what: object) -> None:
        def changed(members: tuple[Member, ...]) -> tuple[Member, ...]:
            return tuple(replace(m, **what) if m.name == name else m for m in members)  # type: ignore[arg-type]

        self.cluster = replace(
            self.cluster,
            members=changed(self.cluster.members),
            stores=changed(self.cluster.stores),
        )

    def go(self) -> Diagnosis:
        """Diagnose and do until nothing is left to be done."""
        for _ in range(25):
            found = sound(self.cluster, self.kind)
            if found.stops or not found.steps:
                return found
            step = found.steps[0]
            frozen = any(m.runs and m.frozen for m in self.cluster.everyone)
            assert not (frozen and step.action in DESTRUCTIVE), "one that is frozen may lead"
            self.judge(step)
            self.done.append(step)
            self.do(step)
            if step.action != "wait":
                self.cluster = replace(self.cluster, waited=False)
            self.settle()
        raise AssertionError(f"it does not end: {[s.title for s in self.done]}")

    def do(self, step: Step) -> None:
        if step.action == "wait":
            self.cluster = replace(self.cluster, waited=True)
            return
        for name in step.members:
            getattr(self, step.action)(name)

    def thaw(self, name: str) -> None:
        self.change(name, frozen=False)

    def stop(self, name: str) -> None:
        self.change(name, runs=False, serves=False, says="", data=None, stranded=False)

    def judge(self, step: Step) -> None:
        """What may never be done."""

    def settle(self) -> None:
        """What happens by itself."""


# Galera

HERE, THERE, NOBODY = "aaaa", "bbbb", "00000000-0000-0000-0000-000000000000"


@dataclass
class Galera(World):
    truth: dict[str, str] = field(default_factory=dict)
    """Member → what its position command would print, ``!`` for an error."""
    primary: set[str] = field(default_factory=set)
    recovers: bool = False
    """Whether those that run find each other while they are watched."""

    def judge(self, step: Step) -> None:
        if step.action == "stop":
            assert not self.primary & set(step.members), "stopped a primary component"
            alive = [m for m in self.cluster.members if m.runs]
            alone = len(alive) < 2 and all(m.says.startswith("non-Primary") for m in alive)
            assert self.cluster.waited or alone, "gave them no time to find each other"
        if step.action == "bootstrap":
            assert not self.primary, "a second primary component"
            (chosen,) = step.members
            assert not any(m.runs for m in self.cluster.members)
            positions = {}
            for name, said in self.truth.items():
                assert said != "!", "founded although a position was not readable"
                uuid, _, number = said.rpartition(":")
                if uuid not in ("", NOBODY):
                    positions[name] = (uuid, int(number))
            assert len({uuid for uuid, _ in positions.values()}) <= 1
            if positions:
                assert positions[chosen][1] == max(n for _, n in positions.values())
            else:
                assert not self.cluster.filled

    def read(self, name: str) -> None:
        assert not self.member(name).runs, "a position was read that still changes"
        said = self.truth[name]
        broken = said == "!"
        self.change(name, data=None if broken else said, unreadable="broken" if broken else "")

    def bootstrap(self, name: str) -> None:
        if self.truth[name] in ("", f"{NOBODY}:-1"):
            self.truth[name] = f"{HERE}:0"
        self.primary = {name}
        self.change(name, runs=True)

    def start(self, name: str) -> None:
        self.change(name, runs=True)
        if self.primary:
            self.primary.add(name)

    def restart(self, name: str) -> None:
        assert name not in self.primary
        self.start(name)

    def settle(self) -> None:
        alive = {m.name for m in self.cluster.members if m.runs and not m.frozen}
        if self.cluster.waited and not self.primary and self.recovers and len(alive) > 1:
            self.primary = {n for n in alive if self.truth[n].startswith(HERE)}
        # Members that are out join a primary component that they can reach.
        if self.primary & alive:
            self.primary |= {n for n in alive if self.member(n).answers}
        best = max((self.truth[n] for n in self.primary), default="")
        for name in self.primary:
            self.truth[name] = best
        for m in self.cluster.members:
            inside = m.name in self.primary
            if m.runs and not m.frozen and m.answers:
                self.change(
                    m.name, serves=inside, says="Primary, Synced" if inside else "non-Primary, In"
                )


@st.composite
def galera(draw: st.DrawFn) -> Galera:
    positions = st.one_of(
        st.integers(0, 9).map(lambda n: f"{HERE}:{n}"),
        st.sampled_from(["", f"{NOBODY}:-1", f"{HERE}:-1", f"{THERE}:5", "!", "nonsense"]),
    )
    same = st.integers(0, 9).map(lambda n: f"{HERE}:{n}")
    truth = {f"{n}/mariadb": draw(draw(st.sampled_from([same, positions]))) for n in NODES}
    members, primary = [], set()
    for name in truth:
        state = draw(st.sampled_from(["ended", "ended", "running", "frozen", "silent", "starting"]))
        members.append(
            Member(
                name,
                runs=state != "ended",
                frozen=state == "frozen",
                answers=state not in ("silent", "frozen"),
                says={"silent": "no answer within 2 s", "starting": "connection refused"}.get(
                    state, ""
                ),
            )
        )
        if state in ("running", "frozen", "silent") and draw(st.booleans()):
            primary.add(name)
    good = {n for n in primary if truth[n].startswith(HERE) and not truth[n].endswith("-1")}
    cluster = Cluster(
        "mariadb", tuple(members), filled=draw(st.booleans()), waited=draw(st.booleans())
    )
    # Watched by an earlier look that saw the same: frozen ones would have been let go on.
    world = Galera(cluster, "galera", truth=truth, primary=good, recovers=draw(st.booleans()))
    world.settle()
    return world


@MANY
@given(galera())
def test_galera(world: Galera) -> None:
    found = world.go()
    if found.stops:
        assert not any(s.action == "bootstrap" for s in world.done)
        assert found.situation in ("silent", "unreadable", "conflict", "empty")
    else:
        left = [m for m in world.cluster.members if not m.serves]
        assert all(not m.answers for m in left), f"{found}: {left}"


# RabbitMQ


@dataclass
class Rabbit(World):
    waits: dict[str, set[str]] = field(default_factory=dict)
    """Member's node → the nodes whose tables it really waits for; absent: it has no data."""
    noted: dict[str, set[str]] = field(default_factory=dict)
    """What its file says, which may be less."""
    known: set[str] = field(default_factory=set)
    """Nodes that are members for those that have data."""
    forced: set[str] = field(default_factory=set)

    def judge(self, step: Step) -> None:
        if step.action == "force":
            assert not any(m.runs for m in self.cluster.members), "forced beside one that runs"
            assert not any(s.action == "force" for s in self.done), "forced twice"
            assert "last resort" in step.reason
            alone = self.waits[step.leader.partition("/")[0]] - {step.leader.partition("/")[0]}
            assert alone, "forced one that starts by itself"
        if step.action == "start":
            serving = any(m.serves for m in self.cluster.members)
            if not any(m.runs for m in self.cluster.members) and not self.forced:
                lost = set(NODES) - self.waits.keys()
                hopeless = all(noted & lost for noted in self.noted.values())
                assert not hopeless, "they wait for what is lost"
            with_data = [m for m in self.cluster.members if m.node in self.waits]
            for name in step.members:
                blank = name.partition("/")[0] not in self.waits
                assert not (blank and with_data and not serving), "a second cluster was founded"
                if blank and serving:
                    assert name.partition("/")[0] not in self.known, "it would be refused"

    def read(self, name: str) -> None:
        node = name.partition("/")[0]
        if self.member(name).runs:
            self.change(name, data=str([f"rabbit@{n}" for n in sorted(self.known)]))
            return
        said = str([f"rabbit@{n}" for n in sorted(self.noted.get(node, ()))])
        self.change(name, data=said + (" forced" if node in self.forced else ""))

    def force(self, name: str) -> None:
        self.forced.add(name.partition("/")[0])
        self.change(name, data=None)

    def forget(self, name: str) -> None:
        self.known.discard(name.partition("/")[0])
        self.change(self.done[-1].leader, data=None)

    def start(self, name: str) -> None:
        self.change(name, runs=True, gave_up=False, data=None)

    def restart(self, name: str) -> None:
        assert not self.member(name).serves or self.member(name).stranded
        self.change(name, stranded=False)

    def settle(self) -> None:
        alive = {m.node for m in self.cluster.members if m.runs and not m.stranded}
        serving = {m.node for m in self.cluster.members if m.serves}
        if serving:
            serving |= alive
            for node in alive - self.waits.keys():
                self.waits[node], self.blank = set(NODES), False
            self.known |= alive
        else:
            free = {n for n in alive if n in self.waits and self._closure(n) <= alive}
            serving = alive & self.waits.keys() if free else set()
        for m in self.cluster.members:
            serves = m.runs and m.node in serving
            self.change(m.name, serves=serves, blank=m.node not in self.waits)
            if m.runs and not serves and not m.stranded and not serving and self.cluster.waited:
                self.change(m.name, runs=False, gave_up=True, data=None)

    def _closure(self, node: str) -> set[str]:
        found, pending = set[str](), [node]
        while pending:
            one = pending.pop()
            if one in found:
                continue
            found.add(one)
            if one not in self.forced:
                pending += self.waits.get(one, set())
        return found


@st.composite
def rabbit(draw: st.DrawFn) -> Rabbit:
    order = draw(st.permutations(NODES))
    at_once = draw(st.booleans())
    waits = {n: set(NODES if at_once else order[i:]) for i, n in enumerate(order)}
    noted = {n: draw(st.sampled_from([w, {n} if not at_once else w])) for n, w in waits.items()}
    for lost in draw(st.sets(st.sampled_from(NODES), max_size=2)):
        del waits[lost], noted[lost]
    members = []
    for n in NODES:
        runs = n in waits and draw(st.booleans())
        members.append(
            Member(
                f"{n}/rabbitmq",
                runs=runs,
                frozen=runs and draw(st.integers(0, 4)) == 0,
                stranded=False,
                blank=n not in waits,
                gave_up=False,
            )
        )
    known = set(NODES) if draw(st.booleans()) else set(waits)
    world = Rabbit(
        Cluster("rabbitmq", tuple(members), waited=draw(st.booleans())),
        "rabbitmq",
        waits=waits,
        noted=noted,
        known=known,
    )
    world.settle()
    return world


@MANY
@given(rabbit())
def test_rabbitmq(world: Rabbit) -> None:
    found = world.go()
    assert not found.stops
    assert all(m.serves for m in world.cluster.members)


@MANY
@given(st.lists(st.booleans(), min_size=3, max_size=3), st.integers(0, 2), st.booleans())
def test_rabbitmq_stranded_members_are_restarted_and_no_others(
    stranded: list[bool], safe: int, ended: bool
) -> None:
    stranded[safe] = False
    members = [
        Member(f"{n}/rabbitmq", serves=True, stranded=s)
        for n, s in zip(NODES, stranded, strict=True)
    ]
    if ended and not any(stranded):
        members[safe - 1] = replace(members[safe - 1], runs=False, serves=False, blank=False)
    found = sound(Cluster("rabbitmq", tuple(members)), "rabbitmq")
    restarted = {n for s in found.steps if s.action == "restart" for n in s.members}
    assert restarted == {m.name for m in members if m.stranded}


# MongoDB


@dataclass
class Mongo(World):
    configured: set[str] = field(default_factory=set)
    slow: bool = False
    """Whether they elect only while they are watched."""

    def judge(self, step: Step) -> None:
        assert step.action in ("thaw", "wait", "read", "start"), "nothing is forced, unasked"

    def read(self, name: str) -> None:
        said = "rs0" if name in self.configured else "no configuration"
        self.change(name, data=said)

    def start(self, name: str) -> None:
        self.change(name, runs=True, data=None)

    def settle(self) -> None:
        members = self.cluster.members
        alive = {m.name for m in members if m.runs and not m.frozen}
        if alive & self.configured:
            self.configured |= alive
        up = len(alive & self.configured) >= self.cluster.majority
        self.slow = self.slow and not self.cluster.waited
        up = up and not self.slow
        led = [m.name for m in members if m.says == "primary" and m.name in alive]
        first = min(alive & self.configured, default=None)
        primary = (led[0] if led else first) if up else None
        for m in members:
            there = m.name in alive and m.name in self.configured
            says = ("primary" if m.name == primary else "secondary") if there else "no member"
            self.change(m.name, serves=there, says=says if m.runs else "")


@st.composite
def mongo(draw: st.DrawFn) -> Mongo:
    configured = set(draw(st.sets(st.sampled_from([f"{n}/mongodb" for n in NODES]))))
    members = []
    for n in NODES:
        name, runs = f"{n}/mongodb", draw(st.booleans())
        frozen = runs and draw(st.integers(0, 4)) == 0
        members.append(Member(name, runs=runs, frozen=frozen, blank=name not in configured))
    founded = any(m.runs or not m.blank for m in members)
    world = Mongo(
        Cluster("mongodb", tuple(members), founded=founded),
        "mongodb",
        configured=configured,
        slow=draw(st.booleans()),
    )
    world.settle()
    return world


@MANY
@given(mongo())
def test_mongodb(world: Mongo) -> None:
    configured = bool(world.configured)
    found = world.go()
    if found.situation == "new":
        assert not configured
        return
    assert found.stops == (not configured), found
    assert configured or found.situation == "lost"
    if configured:
        assert [m.says for m in world.cluster.members].count("primary") == 1
        assert all(m.serves for m in world.cluster.members)


# Redis


@dataclass
class Redis(World):
    """``written``: store → when, negative without data; ``sentinel``: what each one's file says."""

    written: dict[str, float] = field(default_factory=dict)
    sentinel: dict[str, tuple[int, str]] = field(default_factory=dict)
    fails_over: bool = True
    follows: dict[str, str] = field(default_factory=dict)
    """Whom each one's own file names as its master."""
    left: bool = True
    """Whether it is known which data are the newest."""
    emptied: bool = False

    def _address(self, node: str) -> str:
        return f"10.0.0.{node[1:]}"

    def judge(self, step: Step) -> None:
        if step.action == "follow":
            assert not any(self.member(name).runs for name in step.members)
            node = step.leader.partition("/")[0]
            assert self.written[node] == max(self.written.values()) >= 0

    def read(self, name: str) -> None:
        node, _, service = name.partition("/")
        if service == "redis":
            said = f"written={self.written[node]}\n" if self.written[node] >= 0 else ""
            said += f"replicaof={self.follows[node]}\n" if node in self.follows else ""
        else:
            known = self.sentinel.get(node)
            said = f"master={self._address(known[1])}\nepoch={known[0]}\n" if known else ""
        self.change(name, data=said)

    def follow(self, name: str) -> None:
        node, _, service = name.partition("/")
        leader = self.done[-1].leader.partition("/")[0]
        if service == "sentinel":
            self.sentinel[node] = (self.sentinel.get(node, (0, ""))[0], leader)
        elif node == leader:
            self.follows.pop(node, None)
        else:
            self.follows[node] = leader
        self.change(name, data=None)

    def start(self, name: str) -> None:
        node, _, service = name.partition("/")
        if service == "sentinel" and node not in self.sentinel:
            others = {self.sentinel[m.node] for m in self.cluster.members if m.serves}
            self.sentinel[node] = max(others, default=(0, NODES[0]))
        self.change(name, runs=True, data=None)

    restart = start

    def settle(self) -> None:
        alive = {m.node for m in self.cluster.stores if m.runs and not m.frozen}
        watching = {m.node for m in self.cluster.members if m.runs and not m.frozen}
        majority = len(watching) >= 2
        if majority and self.sentinel:
            epoch, master = max(
                (self.sentinel[n] for n in self.sentinel if n in watching), default=(0, "")
            )
            if master and master not in alive and alive and self.fails_over:
                new = max(alive, key=lambda n: self.written[n])
                if self.written[new] >= 0:
                    epoch, master, self.left = epoch + 1, new, False
            if master:
                self.sentinel |= dict.fromkeys(watching, (epoch, master))
        highest = max(self.sentinel.values(), default=(0, ""))
        master = highest[1]
        if master in alive:
            if self.written[master] < max(self.written.values()) and self.left:
                self.emptied = True
            for node in alive:
                self.written[node] = max(self.written[master], 0.0)
                self.follows[node] = master
            self.follows.pop(master, None)
        for m in self.cluster.members:
            ready = m.node in watching and majority
            says = f"names {self.sentinel[m.node][1]}" if ready and m.node in self.sentinel else ""
            self.change(m.name, serves=ready and master in alive, says=says)
        for m in self.cluster.stores:
            self.change(m.name, serves=m.node in alive and master in alive)


@st.composite
def redis(draw: st.DrawFn) -> Redis:
    master, former = draw(st.permutations(NODES))[:2]
    epoch = draw(st.integers(0, 3))
    sentinel = {n: (epoch, master) for n in NODES}
    # A failover takes a majority, so one at most missed the last.
    missed = draw(st.sampled_from([*NODES, ""])) if epoch else ""
    if missed:
        sentinel[missed] = (epoch - 1, former)
    for lost in draw(st.sets(st.sampled_from(NODES))):
        del sentinel[lost]
    # The former master may have ended before it could follow.
    away = epoch > 0 and draw(st.booleans())
    written = {n: draw(st.sampled_from([5.0, 6.0, 7.0, -1.0])) for n in NODES}
    # A replica is never ahead of its master.
    if written[master] >= 0:
        written[master] = 9.0
    members, data = [], []
    for n in NODES:
        running = draw(st.booleans()) and not (n == former and away)
        members.append(Member(f"{n}/sentinel", f"10.0.0.{n[1:]}", runs=running and n in sentinel))
        runs = running and written[n] >= 0
        data.append(Member(f"{n}/redis", f"10.0.0.{n[1:]}", runs=runs))
    world = Redis(
        Cluster("sentinel", tuple(members), tuple(data), waited=draw(st.booleans())),
        "redis",
        written=written,
        sentinel=sentinel,
        follows={
            n: master
            for n in NODES
            if n != master and written[n] >= 0 and not (n == former and away)
        },
        left=written[master] >= 0 or all(w in (written[former], -1.0) for w in written.values()),
        fails_over=draw(st.booleans()),
    )
    if (epoch, master) not in sentinel.values() and any(m.runs for m in data):
        # This world takes for the master whom its sentinels name, and has moved on at once.
        world.left = False
    world.settle()
    return world


@MANY
@given(redis())
def test_redis(world: Redis) -> None:
    found = world.go()
    if not found.stops:
        assert all(m.runs for m in world.cluster.everyone)
    assert not world.emptied, [s.title for s in world.done]


# all of them


def test_a_cluster_that_has_lost_everything_is_founded_anew_and_it_is_said() -> None:
    for kind in stores.registered():
        members = tuple(Member(f"{n}/{kind}", runs=False, blank=True) for n in NODES)
        empty = Cluster(kind, members, founded=False)
        found = sound(empty, kind)
        assert (found.situation, [s.action for s in found.steps]) == ("emptied", ["start"])
        assert found.sentence == f"{kind}: all data are lost"
        assert sound(replace(empty, filled=False), kind).well


def test_every_store_says_nothing_of_a_healthy_cluster() -> None:
    says = {"galera": "Primary, Synced", "mongodb": "primary"}
    for kind in stores.registered():
        members = tuple(Member(f"{n}/{kind}", serves=True, says=says.get(kind, "")) for n in NODES)
        found = sound(Cluster(kind, members), kind)
        assert found.well
        assert found.situation == "well"


@MANY
@given(
    st.lists(
        st.builds(
            agents.Agent,
            name=st.sampled_from(["k1/nova-compute", "c1/neutron-l3-agent"]),
            control=st.just("nova-api"),
            runs=st.booleans(),
            reports=st.booleans(),
            heard=st.booleans(),
            reachable=st.booleans(),
        )
    ),
    st.booleans(),
)
def test_only_an_agent_that_is_silent_by_its_own_fault_is_restarted(
    found: list[agents.Agent], waited: bool
) -> None:
    diagnosis = agents.diagnose(found, waited=waited, patience=60)
    guilty = [a for a in found if a.runs and not a.reports and a.heard and a.reachable]
    assert [n for s in diagnosis.steps if s.action == "restart" for n in s.members] == [
        a.name for a in guilty
    ]
    assert [s.action for s in diagnosis.steps] == (
        [] if not guilty else ["restart"] if waited else ["wait", "restart"]
    )
