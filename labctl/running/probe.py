"""Readiness, probed over the network by one prober in a container of the client node."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labctl.engine.port import Engine, FileEntry, Stream
from labctl.errors import EngineError, LabError
from labctl.model.lab import Lab, Service
from labctl.planning.desired import Desired

PROBER = "labctl-prober"
SPEC_PATH = "/run/labctl/probes.json"
"""What the prober of an ``up`` re-reads all the time; nothing else writes it."""
ONCE_PATH = "/run/labctl/look.json"
"""Default file for :func:`inspect`, which asks once."""


@dataclass(frozen=True)
class Answer:
    """A probe's result: ready or not, and why in a few words."""

    ready: bool
    detail: str


@dataclass(frozen=True)
class Inspection:
    """The results of all probes, and every cluster as its members see it."""

    probes: Mapping[str, Answer] = field(default_factory=dict)
    clusters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    vip: Mapping[str, Any] = field(default_factory=dict)


def client_container(lab: Lab) -> str:
    """The container in the client node that runs the prober."""
    return lab.container(lab.toolbox)


def inspect(
    engine: Engine,
    desired: Desired,
    running: Collection[str] | None = None,
    *,
    probes: Collection[str] | None = None,
    path: str = ONCE_PATH,
    timeout: float = 15,
) -> Inspection:
    """Ask every probe and inspect every cluster once. LabError when the client cannot be used.

    ``running`` are the names of running containers: other instances are not asked, because a dead
    node costs seconds of waiting. ``probes`` limits the probes to ask. Callers that may ask at the
    same time need different values of ``path``, the file with the questions. ``timeout`` is in
    seconds.
    """
    container = client_container(desired.lab)
    wanted = desired.probes if probes is None else probes
    asked = [name for name in wanted if _may_answer(desired, name, running)]
    put_spec(engine, desired, asked, final=True, path=path)
    try:
        result = engine.exec(container, [PROBER, path, "--once"], timeout=timeout)
    except EngineError as error:
        raise LabError(f"the client node cannot be asked: {error}") from None
    if result.code != 0:
        raise LabError(f"the prober in {container} failed: {_last_line(result.stderr)}")
    answer = json.loads(result.stdout)
    return Inspection(
        probes={
            name: Answer(bool(probe["ready"]), str(probe["detail"]))
            for name, probe in answer["probes"].items()
        },
        clusters=answer["clusters"],
        vip=answer["vip"],
    )


def _may_answer(desired: Desired, name: str, running: Collection[str] | None) -> bool:
    unit = desired.instances.get(name)
    return running is None or unit is None or unit.spec.name in running


def watch(engine: Engine, desired: Desired) -> Stream:
    """Start the prober, which writes a JSON line whenever a probe's answer changes."""
    return engine.exec_stream(client_container(desired.lab), [PROBER, SPEC_PATH])


def parse(line: str) -> tuple[str, Answer] | None:
    """Parse a line of :func:`watch`; None when it is not the prober's."""
    try:
        data = json.loads(line)
        return str(data["id"]), Answer(bool(data["ready"]), str(data["detail"]))
    except (ValueError, KeyError, TypeError):
        return None


def put_spec(
    engine: Engine,
    desired: Desired,
    probes: Iterable[str],
    *,
    final: bool,
    path: str = SPEC_PATH,
) -> None:
    """Tell the prober what to ask; a running one reads it again. Holds secrets: mode 0400."""
    lab = desired.lab
    spec = {
        "vip": lab.vip,
        "final": final,
        "probes": [desired.probes[name] for name in sorted(probes)],
        "clusters": [_cluster(desired, service) for service in _clustered(lab)],
    }
    uid = int(_client_user(desired))
    entry = FileEntry(path, json.dumps(spec).encode(), 0o400, uid, uid)
    engine.put_files(client_container(lab), [entry])


def _client_user(desired: Desired) -> str:
    return desired.instances[desired.lab.toolbox.name].spec.user.partition(":")[0]


def _clustered(lab: Lab) -> list[Service]:
    return [service for service in lab.services.values() if service.doc.cluster is not None]


def _cluster(desired: Desired, service: Service) -> dict[str, Any]:
    """How to inspect a cluster: its members, and port and credentials of its readiness probe."""
    assert service.doc.cluster is not None  # noqa: S101 - _clustered chose it
    question: dict[str, Any] = {
        "service": service.name,
        "kind": service.doc.cluster.kind,
        "members": [{"name": node.name, "address": node.address} for node in service.nodes],
    }
    question |= _fields(desired.probes.get(f"{service.nodes[0].name}/{service.name}"))
    through_vip = _fields(desired.probes.get(f"vip/{service.name}"))
    if "port" in through_vip:
        question["vip_port"] = through_vip["port"]
    return question


def _fields(probe: Mapping[str, Any] | None) -> dict[str, Any]:
    """Port, user and password of a probe, whatever its kind."""
    for value in (probe or {}).values():
        if isinstance(value, Mapping):
            return {key: value[key] for key in ("port", "user", "password") if key in value}
    return {}


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it gave no reason"
