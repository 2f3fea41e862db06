"""Any lab, in any state, becomes any other; what serves goes on while it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from labctl.documents.topologies import load_topology, shipped
from labctl.engine.port import ContainerSpec
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.model.service import PROFILES
from labctl.model.topology import Choice, NetworkDoc, TopologyDoc
from labctl.planning.condition import Condition
from labctl.planning.desired import Desired, Unit
from labctl.planning.plan import make_plan
from labctl.planning.steps import AwaitReady, Plan
from labctl.planning.turns import in_the_way
from labctl.running import execute
from labctl.running.observe import observe
from tests.unit.labs_random import IMAGES, ReadyEngine, catalog, rendered, requests, resolved
from tests.unit.test_plan_random import Silent


@pytest.fixture(autouse=True, scope="module")
def at_once() -> Iterator[None]:
    """What nobody can ask is taken for started at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "UNASKED", 0.0)
        yield


@dataclass
class Member:
    """Of a cluster, as far as it counts for the majority."""

    container: str
    running: bool


@dataclass
class Watch:
    """Notes when a cluster that had its majority loses it."""

    engine: Watched
    desired: Desired
    exempt: frozenset[str]
    members: dict[str, set[str]] = field(default_factory=dict)
    """Service → containers that belong to its cluster."""
    whole: set[str] = field(default_factory=set)
    """Services whose majority has been running."""
    broken: list[str] = field(default_factory=list)

    def look(self, doing: str) -> None:
        """After every change."""
        boxes = self.engine._boxes
        here: dict[str, set[str]] = {}
        for name, box in boxes.items():
            labels = box.spec.labels
            service = self.desired.lab.services.get(labels.get("labctl.service", ""))
            if labels.get("labctl.kind") == "instance" and service and service.doc.cluster:
                here.setdefault(service.name, set())
                if box.status == "running" and self._holder_runs(box.spec):
                    here[service.name].add(name)
        wanted = {unit.spec.name for unit in self.desired.instances.values()}
        for service in {*here, *self.members}:
            running = here.get(service, set())
            known = self.members.setdefault(service, set())
            known |= running
            # Who left for good belongs no more.
            known -= {name for name in known if name not in boxes and name not in wanted}
            if 2 * len(running) > len(known):
                self.whole.add(service)
            elif service in self.whole and service not in self.exempt and known:
                self.whole.discard(service)
                self.broken.append(f"{doing}: {service} has {sorted(running)} of {sorted(known)}")

    def _holder_runs(self, spec: ContainerSpec) -> bool:
        holder = self.engine._boxes.get(spec.join or "")
        return holder is not None and holder.status == "running"


class Watched(ReadyEngine):
    """Has every change looked at."""

    watch: Watch | None = None

    @contextmanager
    def _doing(self, method: str, name: str) -> Iterator[None]:
        with super()._doing(method, name):
            yield
            if self.watch is not None and method in ("remove", "stop", "start", "kill"):
                self.watch.look(f"{method} {name}")


@dataclass(frozen=True)
class Asked:
    """Everything that decides what a lab consists of."""

    topology: TopologyDoc
    choice: Choice
    images: Mapping[str, str] = field(default_factory=lambda: IMAGES)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def lab(self) -> Lab:
        return resolved(self.topology, self.choice)

    def desired(self) -> Desired:
        return rendered(self.lab(), self.images, self.secrets)


@st.composite
def changes(draw: st.DrawFn, asked: Asked) -> Asked:
    """The same lab with something changed."""
    doc = asked.topology.model_dump(mode="json", exclude_defaults=True)
    images, secrets, choice = dict(asked.images), dict(asked.secrets), asked.choice
    for kind in draw(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=3)):
        note(kind)
        if not doc["nodes"]:
            break
        if kind == "image":
            role = draw(st.sampled_from(sorted(images)))
            images[role] = f"labctl/{role}:2"
        elif kind == "images":
            images = {role: f"labctl/{role}:3" for role in images}
        elif kind == "secret":
            names = sorted(secret for secret in _secrets(asked))
            if names:
                secrets[draw(st.sampled_from(names))] = "another"
        elif kind == "profile":
            choice = choice.model_copy(update={"profile": draw(st.sampled_from(PROFILES))})
        else:
            CHANGES[kind](draw, doc)
    return Asked(TopologyDoc.model_validate(doc), choice, images, secrets)


def _secrets(asked: Asked) -> list[str]:
    services = asked.lab().services.values()
    return [f"{service.name}.{name}" for service in services for name in service.doc.secrets]


def _subnet(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    doc["network"] = {"subnet": draw(st.sampled_from(["198.18.0.0/24", "198.18.1.0/24"]))}


def _vip(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    network = doc["network"]["subnet"].rpartition(".")[0]
    doc["network"]["vip"] = f"{network}.{draw(st.integers(200, 202))}"


def _setting(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    listed = sorted({name for services in doc["roles"].values() for name in services})
    able = {
        name: sorted(k for k, v in catalog()[name].settings.items() if type(v) is int)
        for name in listed
    }
    name = draw(st.sampled_from(sorted(name for name, keys in able.items() if keys) or [""]))
    if name:
        key = draw(st.sampled_from(able[name]))
        value = catalog()[name].settings[key] + draw(st.integers(0, 3))
        doc.setdefault("services", {}).setdefault(name, {})[key] = value


def _address(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    network = doc["network"]["subnet"].rpartition(".")[0]
    node = draw(st.sampled_from(sorted(doc["nodes"])))
    doc["nodes"][node]["address"] = f"{network}.{draw(st.integers(10, 14))}"


def _swap(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    """Nodes in another order have each other's addresses, where they have none of their own."""
    names = draw(st.permutations(sorted(doc["nodes"])))
    doc["nodes"] = {name: doc["nodes"][name] for name in names}


def _add(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    like = doc["nodes"][draw(st.sampled_from(sorted(doc["nodes"])))]
    roles = [role for role in like["roles"] if role != "client"]
    for name in draw(st.sampled_from([("m1",), ("m1", "m2"), ("a0",)])):
        if roles:
            doc["nodes"].setdefault(name, {"roles": roles})


def _remove(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    doc["nodes"].pop(draw(st.sampled_from(sorted(doc["nodes"]))))


def _rename(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    node = draw(st.sampled_from(sorted(doc["nodes"])))
    keep = draw(st.booleans())
    doc["nodes"] = {
        ("x" + name if name == node or not keep else name): value
        for name, value in doc["nodes"].items()
    }


def _role(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    node = draw(st.sampled_from(sorted(doc["nodes"])))
    role = draw(st.sampled_from(sorted(doc["roles"])))
    roles = doc["nodes"][node]["roles"]
    roles.remove(role) if role in roles and len(roles) > 1 else roles.append(role)
    doc["nodes"][node]["roles"] = list(dict.fromkeys(roles))


def _service(draw: st.DrawFn, doc: dict[str, Any]) -> None:
    role = draw(st.sampled_from(sorted(doc["roles"])))
    name = draw(st.sampled_from(sorted(catalog())))
    services = doc["roles"][role]
    services.remove(name) if name in services and len(services) > 1 else services.append(name)
    doc["roles"][role] = list(dict.fromkeys(services))


CHANGES: dict[str, Any] = {
    "image": None,
    "images": None,
    "secret": None,
    "profile": None,
    "subnet": _subnet,
    "vip": _vip,
    "setting": _setting,
    "address": _address,
    "swap": _swap,
    "add": _add,
    "remove": _remove,
    "rename": _rename,
    "role": _role,
    "service": _service,
}


def bring_up(engine: ReadyEngine, desired: Desired) -> None:
    plan = impatient(make_plan(desired, observe(engine, desired)))
    execute.Executor(engine, desired, plan, (), Silent()).run()


def impatient(plan: Plan) -> Plan:
    """The same, in which nobody waits for minutes: here everything answers at once, or never."""
    return Plan(
        {
            name: replace(step, timeout=10.0) if isinstance(step, AwaitReady) else step
            for name, step in plan.steps.items()
        }
    )


def damage(draw: st.DrawFn, engine: ReadyEngine, desired: Desired) -> None:
    """A random part of the lab is dead, half-made or gone."""
    for kind in draw(st.lists(st.sampled_from(sorted(DAMAGE)), min_size=1, max_size=3)):
        names = sorted(box.name for box in engine.containers("random"))
        if not names:
            break
        for name in draw(st.lists(st.sampled_from(names), max_size=4, unique=True)):
            note(f"{kind} {name}")
            DAMAGE[kind](engine, name)
    if draw(st.integers(0, 5)) == 0:
        note("everything ended, and the network is gone")
        engine.restart()
        engine.remove_network(desired.network.name)
    elif draw(st.integers(0, 5)) == 0:
        note("the link is gone")
        engine.links.clear()


def _pause(engine: ReadyEngine, name: str) -> None:
    if engine._boxes[name].status == "running":
        engine.pause(name)


def _remake(engine: ReadyEngine, name: str) -> None:
    spec = engine._boxes[name].spec
    engine.remove(name)
    if spec.join is None or spec.join in engine._boxes:
        engine.create(spec)


def _lose(engine: ReadyEngine, name: str) -> None:
    """A container and its volumes: an engine keeps those that anything has mounted."""
    spec = engine._boxes[name].spec
    engine.remove(name)
    left = {mount.volume for box in engine._boxes.values() for mount in box.spec.volumes}
    for mount in spec.volumes:
        if mount.volume not in left:
            engine.remove_volume(mount.volume)


DAMAGE: dict[str, Callable[[ReadyEngine, str], None]] = {
    "kill": ReadyEngine.kill,
    "pause": _pause,
    "remove": ReadyEngine.remove,
    "half-made": _remake,
    "lose": _lose,
}


def exempt(condition: Condition) -> frozenset[str]:
    """Clusters that no plan can keep: the change is to their network, or to what they agree on."""
    lab = condition.lab
    if condition.rewired:
        return frozenset(lab.services)
    clusters = [s for s in lab.services.values() if s.doc.cluster]
    # One or two members have no majority without each of them.
    few = {s.name for s in clusters if min(condition.members(s), len(s.nodes)) <= 2}
    disagree = {i.service.name for i in lab.instances if condition.disagrees(i)}
    # Nodes that exchange addresses go together, and one that is off waits for its address.
    waiting = [
        node.name
        for node in lab.nodes
        if (ahead := in_the_way(condition, node.name))
        and (node.name in ahead or not condition.runs(lab.holder(node)))
    ]
    # So do those that are to move, where what must agree is on them.
    waiting += [node.name for node in lab.nodes if disagree and condition.moves(node)]
    there = {i.service.name for node in waiting for i in lab.on_node(node)}
    return frozenset(few | disagree | there)


def lasting(desired: Desired) -> list[Unit]:
    return [u for group in (desired.holders, desired.instances) for u in group.values()]


def check_result(engine: ReadyEngine, desired: Desired) -> None:
    there = {c.name: (c.status, c.labels["labctl.hash"]) for c in engine.containers("random")}
    for unit in lasting(desired):
        assert there.pop(unit.spec.name, None) == ("running", unit.hash), unit.spec.name
    disks = {unit.spec.name for unit in desired.disks.values()}
    assert {name: there.pop(name)[0] for name in disks} == dict.fromkeys(disks, "running")
    jobs = {unit.spec.name for unit in desired.jobs.values()}
    assert there.keys() <= jobs, there.keys() - jobs
    for unit in desired.holders.values():
        hosts = engine._boxes[unit.spec.name].files["/etc/hosts"].data
        assert hosts.decode() == desired.names, unit.spec.name
    again = make_plan(desired, observe(engine, desired, ask_host=True))
    assert not again.steps, list(again.steps)


def check_change(
    before: Desired, after: Desired, draw: st.DrawFn | None, renew: Mapping[str, bool]
) -> None:
    engine = Watched(before)
    bring_up(engine, before)
    if draw is not None:
        damage(draw, engine, before)
    volumes = set(engine.volumes("random"))
    engine.aim(after)
    observed = replace(observe(engine, after, ask_host=True), renew=renew)
    condition = Condition(after, observed)
    plan = impatient(make_plan(after, observed))
    watch = Watch(engine, after, exempt(condition))
    watch.look("before")
    engine.watch = watch
    execute.Executor(engine, after, plan, observed.ready, Silent()).run()
    engine.watch = None
    check_result(engine, after)
    lost = volumes - set(engine.volumes("random"))
    emptied = tuple(f"random-{node}-" for node, empty in renew.items() if empty)
    assert all(volume.startswith(emptied) for volume in lost), lost
    begun_anew = {
        mount.volume
        for instance in after.lab.instances
        for mount in after.instances[instance.name].spec.volumes
        if renew.get(instance.node.name) and mount.volume.startswith(emptied)
    }
    removed = {name for method, name in engine.calls if method == "remove_volume"}
    assert begun_anew & volumes <= removed, begun_anew & volumes - removed
    assert not watch.broken, watch.broken
    event(f"{len(plan.steps) and max(int(s.partition('#')[2] or 0) for s in plan.steps)} stages")


@st.composite
def shipped_ones(draw: st.DrawFn) -> tuple[TopologyDoc, Choice]:
    """Three controllers as they are shipped."""
    topology, _ = load_topology(shipped()["three-controller"])
    here = {"name": "random", "network": NetworkDoc(subnet=IPv4Network("198.18.0.0/24"))}
    profile = draw(st.sampled_from(["support", "support", "core"]))
    return topology.model_copy(update=here), Choice(profile=profile)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(requests(), shipped_ones()), st.data())
def test_any_lab_becomes_any_other(
    request: tuple[TopologyDoc, Choice], data: st.DataObject
) -> None:
    asked = Asked(*request)
    try:
        before = asked.desired()
        after = data.draw(changes(asked)).desired()
    except (InputError, ValueError):
        return
    nodes = st.sampled_from(sorted(after.holders))
    renew = data.draw(st.dictionaries(nodes, st.booleans(), max_size=data.draw(st.integers(0, 2))))
    check_change(before, after, data.draw if data.draw(st.booleans()) else None, renew)
