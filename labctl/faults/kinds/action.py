"""Actions: faults that a service's catalogue entry declares, by commands of the service's own."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

from labctl.engine.port import Engine, ExecResult
from labctl.errors import InputError, LabError
from labctl.faults import build, present
from labctl.faults.kind import FaultKind, Key, Request
from labctl.faults.model import DEFAULT_LEASE, Fault, Member, names
from labctl.faults.targets import Target
from labctl.host.parallel import together

if TYPE_CHECKING:
    from labctl.model.lab import Lab

_AGAIN = 0.5
"""Seconds between two checks of an action's effect."""


def act(
    engine: Engine,
    lab: Lab,
    name: str,
    targets: Sequence[Target],
    *,
    lease: float = DEFAULT_LEASE,
) -> Fault:
    """A fault that runs, in instances of a service, an action that the catalogue declares for it.

    InputError when the service has no such action, LabError when an instance does not run.
    """
    found = []
    for target in targets:
        service = lab.services.get(target.service or "")
        known = {each.name: each for each in service.doc.actions} if service else {}
        if name not in known:
            said = f"it has {names(list(known))}" if known else "it has none"
            raise InputError(f"{target.name} has no action '{name}': {said}")
        found.append(known[name])
    if len({id(each) for each in found}) != 1:
        raise InputError(f"'{name}' is an action of one service: name instances of one service")
    terms = {"said": name, **found[0].model_dump(mode="json", exclude={"name", "description"})}
    return build.on_instances(engine, lab, "action", targets, lease=lease, terms=terms)


def make(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Run the action's command in every instance. LabError when it fails."""
    together(lambda member: _checked(engine, fault, member, "command"), fault.members)
    return {}


def undo(engine: Engine, fault: Fault, _: Sequence[Fault]) -> None:
    """Run the undo command where the action is still in force."""
    if not fault.terms["undo"]:
        return
    # The effect of an action ends with the process.
    still = [member for member in present.alive(engine, fault) if _shows(engine, fault, member)]
    together(lambda member: _checked(engine, fault, member, "undo"), still)


def had_effect(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by the proof command's output, within the action's timeout."""
    limit = time.monotonic() + fault.terms["timeout"]
    seen: dict[str, object] = {}
    for member in fault.members:
        while not _shows(engine, fault, member):
            if time.monotonic() > limit:
                said = _run(engine, fault, member, "proof").stdout.strip()[:120]
                raise LabError(f"{fault.title} had no effect: {member.name} says {said!r}")
            Event().wait(_AGAIN)
        seen[member.name] = _run(engine, fault, member, "proof").stdout.strip()[:500]
    return seen


def gone(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that the action is over; there is nothing to prove if it has no undo command."""
    if not fault.terms["undo"]:
        return {}
    limit = time.monotonic() + fault.terms["timeout"]
    seen: dict[str, object] = {}
    for member in present.alive(engine, fault):
        while _shows(engine, fault, member):
            if time.monotonic() > limit:
                raise LabError(f"{fault.title} is healed, but {member.name} still shows it")
            Event().wait(_AGAIN)
        seen[member.name] = _run(engine, fault, member, "proof").stdout.strip()[:500]
    return seen


def _shows(engine: Engine, fault: Fault, member: Member) -> bool:
    said = _run(engine, fault, member, "proof").stdout
    return re.search(fault.terms["shows"], said) is not None


def _checked(engine: Engine, fault: Fault, member: Member, which: str) -> None:
    result = _run(engine, fault, member, which)
    if result.code != 0:
        last = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()
        raise LabError(f"{fault.title}: the {which} failed in {member.name}: {last[-1][:160]}")


def _run(engine: Engine, fault: Fault, member: Member, which: str) -> ExecResult:
    terms: Mapping[str, Any] = fault.terms
    return engine.exec(
        member.container, terms[which], user=terms["user"], timeout=terms["timeout"] + 30
    )


def _build(request: Request) -> Fault:
    name = request.terms["action"]
    return act(request.engine, request.lab, name, request.targets, lease=request.lease)


def _service_problem(lab: Lab, service: str, terms: Mapping[str, Any]) -> tuple[str, str] | None:
    declared = [action.name for action in lab.services[service].doc.actions]
    name = str(terms["action"])
    if name in declared:
        return None
    # Imported here: the guardian, which imports every kind, reads no documents.
    from labctl.documents.source import suggestion

    return "action", f"{service} has no action '{name}'; {suggestion(name, declared)}"


def _ends_itself(fault: Fault) -> bool:
    return not fault.terms["undo"]


KINDS = (
    FaultKind(
        word="action",
        summary="Run an action that the catalogue declares for a service, in its instances.",
        build=_build,
        make=make,
        undo=undo,
        had_effect=had_effect,
        gone=gone,
        needs=("target", "action"),
        keys=(
            Key(
                "action",
                "An action that the catalogue declares for the service.",
                pattern=r"^[a-z][a-z0-9-]{0,30}$",
            ),
        ),
        on_instances=True,
        ends_itself=_ends_itself,
        service_problem=_service_problem,
    ),
)
