"""Move an active/passive service to another node, as an operator does when its node is dead."""

from __future__ import annotations

from dataclasses import replace

from labctl.documents.source import suggestion
from labctl.engine.port import Engine
from labctl.errors import InputError, LabError
from labctl.model.lab import Instance, Lab
from labctl.planning.plan import make_plan
from labctl.planning.steps import Plan, Step
from labctl.running.execute import Executor, Report
from labctl.running.lifecycle import Prepared, prepare
from labctl.running.observe import observe
from labctl.state import store


def move(engine: Engine, prepared: Prepared, service: str, node: str, report: Report) -> bool:
    """Run ``service`` on ``node`` and nowhere else; False when it already does.

    Only this service is touched: nothing else is repaired, no fault is healed. The new place is
    recorded first, so if this is interrupted, the next ``up`` completes it. InputError when the
    service cannot be moved there, LabError when the node is off or the service does not start.
    """
    _check_movable(prepared.lab, service, node)
    record = prepared.record
    record = replace(record, placed={**record.placed, service: node})
    wanted = prepare(record)
    instance = Instance(wanted.lab.services[service].nodes[0], wanted.lab.services[service])
    states = {c.name: c.status for c in engine.containers(wanted.lab.name)}
    if states.get(wanted.lab.holder(instance.node)) != "running":
        raise LabError(
            f"{node} is off, so {service} cannot run there: 'labctl node on {node}' first"
        )
    observed = observe(engine, wanted.desired)
    plan = _of_service(make_plan(wanted.desired, observed), wanted.lab, instance)
    store.save(record)
    if not plan.steps:
        return False
    ready, mine = observed.ready, {instance.name}
    Executor(engine, wanted.desired, plan, ready, report, only=mine).run()
    return True


def _check_movable(lab: Lab, name: str, node: str) -> None:
    """InputError when there is no such service, or it cannot be moved to the node."""
    if name not in lab.services:
        raise InputError(
            f"there is no service '{name}' in lab '{lab.name}'; {suggestion(name, lab.services)}"
        )
    service = lab.services[name]
    if service.doc.active != "one":
        movable = [s.name for s in lab.services.values() if s.doc.active == "one"]
        raise InputError(
            f"{name} is active on every node that has it; only what is active on one can be moved "
            f"(in this lab: {', '.join(movable) or 'nothing'})"
        )
    candidates = [each.name for each in service.candidates]
    if node not in candidates:
        raise InputError(f"{name} may not run on '{node}'; choose from {', '.join(candidates)}")


def _of_service(plan: Plan, lab: Lab, instance: Instance) -> Plan:
    """Only the steps of the plan that move one instance; the rest of the lab is left alone.

    Needs outside of these steps are taken to be met: the service has just been running with them.
    """
    name = instance.service.name
    ids = {f"start:{instance.name}", f"ready:{instance.name}", f"ready:{name}"}
    ids |= {f"remove:{c}" for c in (lab.container(instance), *lab.elsewhere(instance))}
    ids |= {f"image:{instance.service.image}"}
    kept: dict[str, Step] = {
        step.id: replace(step, needs=step.needs & ids & set(plan.steps))
        for step in plan.steps.values()
        if step.id in ids
    }
    if not any(step.startswith(("start:", "remove:", "ready:")) for step in kept):
        return Plan({})
    return Plan(kept)
