"""Bring back what is lost: diagnose every cluster and agent, and carry out what mends them.

A diagnosis (``planning.recovery``) names steps. Those that come before anything is started are
carried out here, the first of each service at a time, and then everything is looked at again: so
each is decided on what is, whatever happened meanwhile, and a recovery that was cut short goes on
where it was. What is left is in the plan: what starts, who bootstraps, what is restarted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tenacity

from labctl.documents.source import suggestion
from labctl.engine.port import Engine
from labctl.errors import InputError, LabctlError, LabError
from labctl.host.parallel import together
from labctl.model.lab import Lab, Service
from labctl.planning.desired import Desired
from labctl.planning.plan import make_plan
from labctl.planning.recovery import agents, stores
from labctl.planning.recovery.model import Cluster, Diagnosis, Step
from labctl.planning.steps import Observed, Plan
from labctl.running import evidence
from labctl.running.execute import Executor, Report
from labctl.running.observe import observe
from labctl.running.position import TIMEOUT
from labctl.running.probe import inspect

STOP_SECONDS = 10
"""Seconds until a member that does not stop is killed: short, as it is serving nobody."""

PAUSE = 1.0
"""Seconds between two looks at members that are watched."""

AGENTS_PATIENCE = 90.0
"""Seconds in which an agent may report: the longest interval in the catalogue, and a start."""

ATTEMPTS = 3
"""How often the client node is asked before it counts as unable to answer."""

ROUNDS = 30
"""Most looks; each does something, and no cluster needs a dozen."""

QUESTION = "/run/labctl/recover.json"

_BEFORE = ("thaw", "wait", "stop", "read", "force", "follow", "forget")
"""Steps that come before anything is started."""


@dataclass(frozen=True)
class Found:
    """A look at the lab: what exists, and what is the matter."""

    observed: Observed
    clusters: tuple[Cluster, ...]
    diagnoses: tuple[Diagnosis, ...]

    def steps(self, diagnosis: Diagnosis) -> tuple[Step, ...]:
        """The steps of a diagnosis that are done before the plan."""
        found = []
        for step in diagnosis.steps:
            if step.action not in _BEFORE and not self._first(diagnosis, step):
                break
            found.append(step)
        return tuple(found)

    def planned(self) -> Observed:
        """What the plan has to know: also who bootstraps, and what is restarted."""
        steps = [(d.service, s) for d in self.diagnoses for s in d.steps]
        bootstrap = {service: s.members[0] for service, s in steps if s.action == "bootstrap"}
        restart = {name for _, s in steps if s.action == "restart" for name in s.members}
        stranded = self.observed.stranded | frozenset(restart)
        return replace(self.observed, bootstrap_instances=bootstrap, stranded=stranded)

    def _first(self, diagnosis: Diagnosis, step: Step) -> bool:
        """Whether some members have to be started before others of their cluster may be."""
        if step.action != "start":
            return False
        own = next((c for c in self.clusters if c.service == diagnosis.service), None)
        ended = {m.name for m in own.everyone if not m.runs} if own else set()
        return bool(step.members) and not ended <= set(step.members)


class Recovery:
    """Recovers one lab once."""

    def __init__(
        self,
        engine: Engine,
        desired: Desired,
        report: Report,
        services: Collection[str] = (),
    ) -> None:
        """``services``: those to be recovered; all by default."""
        self._engine, self._desired, self._report = engine, desired, report
        self._services = frozenset(services)
        self._known = evidence.Known()
        self._told: set[tuple[str, str]] = set()

    def look(self, observed: Observed) -> Found:
        """Diagnose every cluster and the agents; nothing is changed or read from volumes."""
        lab, kinds = self._desired.lab, stores.registered()
        clusters = [
            evidence.cluster(self._engine, self._desired, observed, s, self._known)
            for s in lab.services.values()
            if s.doc.cluster is not None and s.doc.cluster.kind in kinds
            if self._wanted(s) and self._can_judge(observed, s)
            # Those that a checkpoint has just filled start together, as they were stopped.
            if s.name not in observed.united
        ]
        diagnoses = [kinds[_kind(lab, c.service)].diagnose(c) for c in clusters]
        wanted = [
            agent
            for agent in evidence.agents(self._desired, observed)
            if not self._services or agent.name.partition("/")[2] in self._services
        ]
        if wanted:
            waited = agents.AGENTS in self._known.waited
            found = agents.diagnose(wanted, waited=waited, patience=AGENTS_PATIENCE)
            diagnoses.append(found)
        return Found(observed, tuple(clusters), tuple(diagnoses))

    def foresee(self, observed: Observed) -> Found:
        """Diagnose, having read what can be read of members that do not run; nothing is changed."""
        found = self.look(observed)
        for _ in range(ROUNDS):
            reads = [s for d in found.diagnoses for s in d.steps[:1] if s.action == "read"]
            if not reads:
                break
            evidence.read(
                self._engine,
                self._desired,
                observed,
                [name for step in reads for name in step.members],
                self._known,
            )
            found = self.look(observed)
        return found

    def prepare(self, observed: Observed) -> Observed:
        """Do all that comes before the plan; returns what is then observed, and who bootstraps.

        LabError, before anything is done, when a person has to choose.
        """
        observed = self._with_client(observed)
        for _ in range(ROUNDS):
            observed = self._asked(observed)
            found = self.look(observed)
            stopped = [d.sentence for d in found.diagnoses if d.stops]
            if stopped:
                raise LabError("\n".join(stopped))
            for diagnosis in found.diagnoses:
                self._explain(diagnosis)
            first = [(d, s) for d in found.diagnoses for s in found.steps(d)[:1]]
            if not first:
                return found.planned()
            self._do_all(found, first)
            observed = self._again(observed)
        raise LabError("the lab changes faster than it can be recovered; see 'labctl status'")

    # what is asked

    def _wanted(self, service: Service) -> bool:
        data = service.doc.cluster.data if service.doc.cluster else None
        return not self._services or bool(self._services & {service.name, data})

    def _can_judge(self, observed: Observed, service: Service) -> bool:
        """A running member that could not be asked may be serving: its cluster is left alone."""
        states = (
            evidence.status(self._desired, observed, i)
            for i in self._desired.lab.of_service(service)
        )
        return observed.asked or not any(state in ("running", "paused") for state in states)

    def _with_client(self, observed: Observed) -> Observed:
        """Start the client node's toolbox, if what else runs cannot be asked without it."""
        toolbox = self._desired.lab.toolbox
        others = any(
            evidence.status(self._desired, observed, i) == "running"
            for i in self._desired.lab.instances
            if i.service.doc.cluster is not None
        )
        starts = evidence.status(self._desired, observed, toolbox) in ("exited", "created")
        if observed.asked or not others or not starts or observed.network is None:
            return observed
        self._report.note(f"{toolbox.name} is started first: without it nobody can be asked")
        self._run(observed, [f"start:{toolbox.name}"])
        return self._again(observed)

    def _asked(self, observed: Observed) -> Observed:
        """What is observed, with its answers: a busy machine may be late with them."""
        toolbox = self._desired.lab.toolbox
        for _ in range(ATTEMPTS):
            late = evidence.status(self._desired, observed, toolbox) == "running"
            if observed.asked or not late or observed.network is None:
                return observed
            observed = self._again(observed)
        raise LabError(
            f"{toolbox.name} runs and cannot be asked, so nothing is decided: see "
            f"'labctl logs {toolbox.name}'"
        )

    def _again(self, observed: Observed) -> Observed:
        fresh = observe(self._engine, self._desired, ask_host=True)
        return replace(fresh, renew=observed.renew)

    # what is done

    def _explain(self, diagnosis: Diagnosis) -> None:
        """Say each diagnosis and step once, with its reason, before it is done."""
        if diagnosis.steps and (diagnosis.service, diagnosis.sentence) not in self._told:
            self._told.add((diagnosis.service, diagnosis.sentence))
            self._report.note(diagnosis.sentence)
        for step in diagnosis.steps:
            if step.members and (step.title, step.reason) not in self._told:
                self._told.add((step.title, step.reason))
                self._report.note(f"  {step.title}: {step.reason}")

    def _do_all(self, found: Found, first: Sequence[tuple[Diagnosis, Step]]) -> None:
        """The first step of each diagnosis; what is started is one plan, as one prober watches."""
        starting = [name for _, step in first if step.action == "start" for name in step.members]
        others = [(d.service, step) for d, step in first if step.action != "start"]
        together(lambda each: self._do(found, *each), others)
        if starting:
            self._run(found.observed, [f"ready:{name}" for name in starting])
        for diagnosis, step in first:
            if step.action not in ("read", "wait"):
                self._known.forget(diagnosis.service, (*step.members, step.leader))

    def _do(self, found: Found, service: str, step: Step) -> None:
        if step.action == "wait":
            self._wait(found, service, step)
            return
        if step.action == "read":
            evidence.read(self._engine, self._desired, found.observed, step.members, self._known)
            return
        containers = [self._desired.instances[name].spec.name for name in step.members]
        if step.action == "thaw":
            together(self._engine.unpause, containers)
        elif step.action == "stop":
            together(lambda name: self._engine.stop(name, STOP_SECONDS), containers)
        elif step.action in ("force", "follow"):
            evidence.lead(self._engine, self._desired, step.members, step.leader)
        elif step.action == "forget":
            self._forget(step)

    def _wait(self, found: Found, service: str, step: Step) -> None:
        """Watch members until anything about them changes, or their timers have run out.

        Only if they could be asked in the end, that proves anything.
        """
        own = next((c for c in found.clusters if c.service == service), None)
        patience = own.patience if own else AGENTS_PATIENCE
        names = [name for name in step.members if name in self._desired.probes]
        if not any(evidence.has_node(self._desired, found.observed, name) for name in names):
            self._known.waited.add(service)
            return
        before, heard = found.observed, False

        def changed() -> bool:
            nonlocal heard
            try:
                heard, path = False, f"{QUESTION}-{service}"
                now = inspect(self._engine, self._desired, probes=names, path=path)
                heard = True
            except LabctlError:
                return False
            ready = {name for name, answer in now.probes.items() if answer.ready}
            return ready != before.ready & set(names) or _words(now.clusters, service) != _words(
                before.clusters, service
            )

        came = tenacity.Retrying(
            stop=tenacity.stop_after_delay(patience),
            wait=tenacity.wait_fixed(PAUSE),
            retry=tenacity.retry_if_result(lambda found: not found),
            retry_error_callback=lambda _: False,
        )(changed)
        if heard and not came:
            self._known.waited.add(service)

    def _forget(self, step: Step) -> None:
        """Have the leader forget members, each of which is to join again as a new one."""
        leader = self._desired.instances[step.leader].spec.name
        service = self._desired.lab.services[step.leader.partition("/")[2]]
        for name in step.members:
            node = name.partition("/")[0]
            command = [word.format(node=node) for word in service.doc.change.forget]
            result = self._engine.exec(leader, command, timeout=TIMEOUT)
            if result.code != 0:
                said = "".join((result.stderr or result.stdout).strip().splitlines()[-1:])
                raise LabError(f"{step.leader} could not forget {node}: {said}")

    def _run(self, observed: Observed, targets: Sequence[str]) -> None:
        """Carry out the part of the plan that leads to these steps."""
        plan = part(make_plan(self._desired, observed), targets)
        Executor(
            self._engine, self._desired, plan, observed.ready, self._report, only=frozenset()
        ).run()


def part(plan: Plan, targets: Iterable[str]) -> Plan:
    """The steps of a plan that lead to some of them, and these."""
    wanted, pending = set[str](), [t for t in targets if t in plan.steps]
    while pending:
        step = pending.pop()
        if step not in wanted:
            wanted.add(step)
            pending += plan.steps[step].needs
    return Plan({name: step for name, step in plan.steps.items() if name in wanted})


def of_services(plan: Plan, lab: Lab, services: Collection[str]) -> Plan:
    """The steps of a plan that lead to these services, all of it when none is named."""
    if not services:
        return plan
    own = [f"ready:{name}" for name in services]
    for name in services:
        for instance in lab.of_service(lab.services[name]):
            own += [f"{kind}:{instance.name}" for kind in ("start", "ready", "join")]
    return part(plan, own)


def check_services(lab: Lab, services: Collection[str]) -> None:
    """InputError for a service that the lab does not have."""
    for name in services:
        if name not in lab.services:
            raise InputError(
                f"there is no service '{name}' in lab '{lab.name}'; "
                f"{suggestion(name, lab.services)}"
            )


def _words(clusters: Mapping[str, Mapping[str, Any]], service: str) -> object:
    """What a cluster's members say of themselves."""
    return next((c.get("members") for c in clusters.values() if c["service"] == service), None)


def _kind(lab: Lab, service: str) -> str:
    cluster = lab.services[service].doc.cluster
    assert cluster is not None  # noqa: S101 - only clusters have a store
    return cluster.kind
