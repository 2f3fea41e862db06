"""Whatever is asked for is refused in a sentence, or planned and done."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import HealthCheck, event, given, settings

from labctl.documents.topologies import load_topology, shipped
from labctl.errors import InputError
from labctl.model.topology import Choice, TopologyDoc
from labctl.planning.composefile import compose
from labctl.planning.desired import Desired
from labctl.planning.plan import make_plan
from labctl.planning.steps import AwaitReady, Observed, Plan, Step
from labctl.running import execute
from labctl.running.observe import observe
from labctl.running.probe import Answer
from tests.unit.labs_random import ReadyEngine, rendered, requests, resolved


class Silent:
    """A report that says nothing."""

    def planned(self, plan: Plan) -> None: ...
    def started(self, step: Step) -> None: ...
    def note(self, text: str) -> None: ...
    def answer(self, name: str, answer: Answer) -> None: ...
    def done(self, step: Step, seconds: float) -> None: ...


@pytest.fixture(autouse=True, scope="module")
def at_once():
    """What nobody can ask is taken for started at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "UNASKED", 0.0)
        yield


def ancestors(plan: Plan) -> dict[str, set[str]]:
    """Step → every step that is done before it."""
    found: dict[str, set[str]] = {}
    for step in plan.steps.values():
        found[step.id] = set(step.needs).union(*(found[need] for need in step.needs))
    return found


def check_needs(wanted: Desired, plan: Plan) -> None:
    """Everything has a step, and each service's needs are ready, with their jobs, before it."""
    before = ancestors(plan)
    services = wanted.lab.services

    def done(need: str) -> set[str]:
        name, _, job = need.partition("/")
        if job:
            return {f"job:{need}"}
        jobs = {f"job:{name}/{job.name}" for job in services[name].doc.jobs}
        return jobs | {f"start:{i.name}" for i in wanted.lab.of_service(services[name])}

    for instance in wanted.lab.instances:
        doc, own = instance.service.doc, instance.service.name
        needs = set().union(*(done(need) for need in doc.needs))
        needs |= {f"job:{own}/{job.name}" for job in doc.jobs if job.when == "before"}
        assert needs | {f"holder:{instance.node.name}"} <= before[f"start:{instance.name}"]
    for name in wanted.jobs:
        service, _, job = name.partition("/")
        doc = next(each for each in services[service].doc.jobs if each.name == job)
        assert set().union(*(done(need) for need in doc.needs)) <= before[f"job:{name}"]
    asked = {p for s in plan.steps.values() if isinstance(s, AwaitReady) for p in s.probes}
    assert asked == wanted.probes.keys()
    for step in plan.steps.values():
        if isinstance(step, AwaitReady):
            assert f"start:{wanted.lab.toolbox.name}" in before[step.id]


def check_compose(wanted: Desired) -> None:
    """No service of the Compose document waits for itself."""
    services = compose(wanted)["services"]
    graph = {name: set(each.get("depends_on", ())) for name, each in services.items()}
    while free := [name for name, needs in graph.items() if not needs]:
        for name in free:
            del graph[name]
        graph = {name: needs.difference(free) for name, needs in graph.items()}
    assert not graph


def check_all(wanted: Desired) -> None:
    plan = make_plan(wanted, Observed())
    check_needs(wanted, plan)
    check_compose(wanted)
    engine = ReadyEngine(wanted)
    plan = make_plan(wanted, observe(engine, wanted))
    execute.Executor(engine, wanted, plan, (), Silent()).run()
    there = {c.name: (c.status, c.labels["labctl.hash"]) for c in engine.containers("random")}
    lasting = [wanted.holders, wanted.disks, wanted.instances]
    units = [unit for group in lasting for unit in group.values()]
    should = {unit.spec.name: ("running", unit.hash) for unit in units}
    should |= {unit.spec.name: ("exited", unit.hash) for unit in wanted.jobs.values()}
    assert there == should
    assert make_plan(wanted, observe(engine, wanted)).steps == {}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_any_topology_is_refused_or_comes_up(request: tuple[TopologyDoc, Choice]) -> None:
    try:
        lab = resolved(*request)
    except InputError as error:
        event(str(error).partition(";")[0][:40])
        return
    event("planned")
    check_all(rendered(lab))


def shipped_roles() -> list[tuple[str, str, str]]:
    """Each pair of roles of the shipped topologies; the single one has those of another."""
    return [
        (name, *pair)
        for name in ("three-controller", "segregated")
        for pair in combinations(sorted(load_topology(shipped()[name])[0].roles), 2)
    ]


@pytest.mark.parametrize(("name", "one", "other"), shipped_roles())
def test_any_two_roles_may_be_on_one_node(name: str, one: str, other: str) -> None:
    """A node of one role is one of the other too, and what the two share runs there once."""
    topology, _ = load_topology(shipped()[name])
    both, merged = (
        next(node for node, doc in topology.nodes.items() if role in doc.roles)
        for role in (one, other)
    )
    nodes = {node: doc for node, doc in topology.nodes.items() if node != merged}
    nodes[both] = nodes[both].model_copy(update={"roles": (one, other)})
    lab = resolved(topology.model_copy(update={"nodes": nodes}), Choice(profile="full"))
    may = sorted(s.name for s in lab.services.values() if lab.node(both) in s.candidates)
    assert may == sorted({*topology.roles[one], *topology.roles[other]})
    wanted = rendered(lab)
    check_needs(wanted, make_plan(wanted, Observed()))
    check_compose(wanted)
