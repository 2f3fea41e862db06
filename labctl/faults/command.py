"""What a service itself offers to be disturbed with: actions that its catalogue entry declares."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any

from labctl.engine.port import Engine, ExecResult
from labctl.errors import LabError
from labctl.faults import present
from labctl.faults.model import Fault, Member
from labctl.host.parallel import together

_AGAIN = 0.5
"""Seconds between two looks at what an action has done."""


def make(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Run the action's command in every instance. LabError when it fails."""
    together(lambda member: _checked(engine, fault, member, "command"), fault.members)
    return {}


def undo(engine: Engine, fault: Fault, _: Sequence[Fault]) -> None:
    """Run the command that undoes it where the action is still in force."""
    if not fault.terms["undo"]:
        return
    # What an action did to a process has ended with it.
    still = [member for member in present.alive(engine, fault) if _shows(engine, fault, member)]
    together(lambda member: _checked(engine, fault, member, "undo"), still)


def bites(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Prove it by what the proof command says, waiting for it a little."""
    limit = time.monotonic() + fault.terms["timeout"]
    seen: dict[str, object] = {}
    for member in fault.members:
        while not _shows(engine, fault, member):
            if time.monotonic() > limit:
                said = _run(engine, fault, member, "proof").stdout.strip()[:120]
                raise LabError(f"{fault.title} does not bite: {member.name} says {said!r}")
            Event().wait(_AGAIN)
        seen[member.name] = _run(engine, fault, member, "proof").stdout.strip()[:500]
    return seen


def gone(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    """Prove that the action is over: at once, where there is nothing that undoes it."""
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
        last = (result.stderr.strip() or result.stdout.strip() or "it said nothing").splitlines()
        raise LabError(f"{fault.title}: the {which} failed in {member.name}: {last[-1][:160]}")


def _run(engine: Engine, fault: Fault, member: Member, which: str) -> ExecResult:
    terms: Mapping[str, Any] = fault.terms
    return engine.exec(
        member.container, terms[which], user=terms["user"], timeout=terms["timeout"] + 30
    )
