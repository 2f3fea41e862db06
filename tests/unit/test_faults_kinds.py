"""The registry of kinds: each is complete, and one more needs nothing beside its module."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import create_model

from labctl import faults
from labctl.chaos.document import scenario
from labctl.chaos.document.keys import kind_keys
from labctl.chaos.run.injector import Injector
from labctl.engine.port import Engine
from labctl.errors import LabError
from labctl.faults import Fault, build, journal, kinds, present
from labctl.faults.kind import FaultKind, Key, Request
from labctl.faults.kinds import registered
from tests.unit.faults_world import World
from tests.unit.labs import desired

HANDLERS = ("make", "undo", "had_effect", "gone")
WHOM = {"target", "for", "groups", "isolate", "shape", "of"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LABCTL_HOME", str(tmp_path / "home"))
    return World(desired(tmp_path))


@pytest.mark.parametrize("word", registered())
def test_a_kind_is_complete(word: str) -> None:
    kind = registered()[word]
    assert kind.summary.endswith(".")
    for name in HANDLERS:
        assert len(inspect.signature(getattr(kind, name)).parameters) >= 3, name
    declared = {key.name for key in kind.keys}
    assert declared <= kind.known_keys, "a key that it does not understand"
    assert kind.known_keys - WHOM == declared, "a key that nobody declares"
    assert json.loads(json.dumps(kind.traits)) == kind.traits
    assert kind.halts <= kind.lasts
    if kind.service_problem is not None:
        assert kind.on_instances


def test_two_kinds_cannot_have_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.faults.kinds.clock.KINDS", (registered()["limit"],))
    with pytest.raises(ValueError, match="two modules define the kind of fault 'limit'"):
        registered.__wrapped__()  # type: ignore[attr-defined]


def test_a_fault_of_an_unknown_kind_says_what_to_do(world: World) -> None:
    stranger = build.fresh(world.lab, "gremlin", "node", ["c1"])
    with pytest.raises(LabError) as caught:
        kinds.of(stranger)
    assert str(caught.value) == (
        f"this labctl knows no fault 'gremlin', which is in force in lab '{world.lab.name}'; "
        "heal it with the labctl that made it"
    )
    assert not kinds.repeats(stranger)


def test_two_kinds_share_a_key_only_if_it_is_the_same() -> None:
    one, other = (
        SimpleNamespace(keys=(Key("by", "One."),)),
        SimpleNamespace(keys=(Key("by", "2."),)),
    )
    _, field = kind_keys([one, other, one])["by"]  # type: ignore[list-item]
    assert field.description == "One. 2."
    other.keys = (Key("by", "A number.", int),)
    with pytest.raises(ValueError, match="two kinds of faults take different things by 'by'"):
        kind_keys([one, other])  # type: ignore[list-item]


def test_the_kinds_need_no_library_so_that_a_guardian_stays_small() -> None:
    program = (
        "import sys, labctl.faults.guardian; from labctl.faults.kinds import registered;"
        "registered(); print([m for m in ('docker', 'pydantic', 'yaml', 'jinja2') if m in "
        "sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"


DOZING = "doze"


def _build(request: Request) -> Fault:
    terms = {"depth": request.terms["depth"]}
    return build.on_instances(
        request.engine, request.lab, "nap", request.targets, lease=request.lease, terms=terms
    )


def _run(engine: Engine, fault: Fault, *words: str) -> list[str]:
    return [
        engine.exec(member.container, [DOZING, *words]).stdout.strip()
        for member in present.alive(engine, fault)
    ]


def _make(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    return {"made": _run(engine, fault, "on")}


def _undo(engine: Engine, fault: Fault, _: Sequence[Fault]) -> None:
    _run(engine, fault, "off")


def _had_effect(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    said = _run(engine, fault)
    if said != ["dozing"] * len(fault.members):
        raise LabError(f"{fault.title} had no effect: {said}")
    return {"said": said}


def _gone(engine: Engine, fault: Fault, _: Sequence[Fault]) -> Mapping[str, object]:
    return {"said": _run(engine, fault)}


NAP = FaultKind(
    word="nap",
    summary="Let instances doze.",
    build=_build,
    make=_make,
    undo=_undo,
    had_effect=_had_effect,
    gone=_gone,
    needs=("target", "depth"),
    keys=(Key("depth", "Of a nap: how deep.", int, least=1, read=lambda depth: depth * 10),),
    on_instances=True,
)


@pytest.fixture
def nap(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Any]]:
    """A kind that is defined here, registered; and a model of faults that knows it."""
    known = {**registered(), "nap": NAP}
    monkeypatch.setattr(kinds, "registered", lambda: known)
    monkeypatch.setattr("labctl.chaos.run.injector.registered", lambda: known)
    monkeypatch.setattr(scenario, "FAULTS", known)
    fields: dict[str, Any] = {**kind_keys(known.values()), "fault": (str, ...)}
    return create_model("FaultDoc", __base__=scenario._Whom, **fields)


def test_a_kind_needs_nothing_beside_its_definition(world: World, nap: type[Any]) -> None:
    doc = nap.model_validate({"fault": "nap", "target": "c1/store", "depth": 2})
    with pytest.raises(ValueError, match="nap needs 'depth'"):
        nap.model_validate({"fault": "nap", "target": "c1/store"})
    with pytest.raises(ValueError, match="nap takes no 'percent'"):
        nap.model_validate({"fault": "nap", "target": "c1/store", "depth": 2, "percent": 5})
    action: Any = SimpleNamespace(
        fault="nap", targets=("c1/store",), groups=(), pairs=(), terms=doc.terms, at=0, heal_at=9
    )
    fault = Injector(world, world.lab, dict, 60.0).fault(action)
    assert fault.terms == {"depth": 20}
    before = world.state()
    evidence = faults.inject(world, fault, guard=lambda *_: None)
    assert evidence.said == "nap c1/store: in effect"
    assert [(e.fault.kind, e.state) for e in journal.entries(world.lab.name)] == [("nap", "active")]
    assert world.state() != before
    faults.heal_all(world, world.lab)
    assert (journal.entries(world.lab.name), world.state()) == ([], before)
