"""What planning costs as labs grow: CPU-seconds from documents to a plan. No engine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from labctl.documents.catalog import load_catalog
from labctl.documents.images import roles, user_ids
from labctl.documents.shipped import data_dir
from labctl.documents.topologies import load_topology, shipped
from labctl.model.lab import CLIENT
from labctl.model.service import ServiceDoc
from labctl.model.topology import TopologyDoc
from labctl.planning.desired import NODE_IMAGE, build_desired
from labctl.planning.plan import make_plan
from labctl.planning.render import Renderer
from labctl.planning.steps import Observed
from labctl.resolve.resolution import resolve
from labctl.state import secrets

SIZES = (10, 50, 100, 200)
"""Nodes of the labs that are planned."""
SERVICES = 40
"""Services on each node of a dense lab."""
_SUBNET = IPv4Network("198.18.0.0/16")

Document = dict[str, Any]


@dataclass(frozen=True)
class _Case:
    topology: TopologyDoc
    catalog: Mapping[str, ServiceDoc]
    templates: Path
    users: Mapping[str, int]


def measure(say: Callable[[str], None], sizes: Sequence[int] = SIZES) -> list[Document]:
    """For each number of nodes, what each phase takes of a lab of each of two kinds.

    ``shipped``: three-controller with further compute nodes, all of the catalogue. ``dense``: a
    made-up catalogue, of which every node runs 40 services.
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="labctl-") as directory:
        for kind, make in (("shipped", _shipped), ("dense", _dense)):
            for nodes in sizes:
                say(f"planning a lab of {nodes} nodes ({kind})")
                found.append({"kind": kind, "nodes": nodes, **_figures(make(nodes, directory))})
    return found


def _figures(case: _Case) -> Document:
    marks = [time.process_time()]
    lab = resolve(case.topology, case.catalog, subnet=_SUBNET)
    marks.append(time.process_time())
    values = dict.fromkeys(secrets.wanted(lab), "secret")
    images = {role: f"{role}:1" for role in (*roles(), NODE_IMAGE)}
    desired = build_desired(
        lab, Renderer(lab, values, case.users, case.templates), images, ("parent", "host")
    )
    marks.append(time.process_time())
    plan = make_plan(desired, Observed())
    marks.append(time.process_time())
    phases = zip(("resolve", "render", "plan"), marks, marks[1:], strict=False)
    return {
        "instances": len(lab.instances),
        "steps": len(plan.steps),
        "edges": sum(len(step.needs) for step in plan.steps.values()),
        "cpu": round(marks[-1] - marks[0], 3),
        "cpu_parts": {name: round(then - first, 3) for name, first, then in phases},
    }


def rows(found: Sequence[Document]) -> Iterator[tuple[str, str, str]]:
    """The table: one lab a row."""
    for row in found:
        parts = ", ".join(f"{name} {cpu:.2f}" for name, cpu in row["cpu_parts"].items())
        size = f"{row['instances']} instances, {row['steps']} steps"
        yield (
            f"plan {row['nodes']} nodes ({row['kind']})",
            f"{row['cpu']:.2f} CPU-s",
            (f"{size}; {parts}"),
        )


def _shipped(nodes: int, _directory: str) -> _Case:
    topology, _ = load_topology(shipped()["three-controller"])
    there = dict(topology.nodes)
    further = range(len(there) - 3, nodes - 3)
    there |= {f"cmp{number}": there["cmp1"] for number in further}
    return _Case(
        topology.model_copy(update={"nodes": there}),
        load_catalog(),
        data_dir("compose"),
        user_ids(),
    )


def _dense(nodes: int, directory: str) -> _Case:
    """A catalogue in which each service needs two others."""
    catalog = {f"s{number}": _service(number) for number in range(SERVICES)}
    for name in catalog:
        home = Path(directory) / name
        home.mkdir(exist_ok=True)
        (home / "service.conf.j2").write_text(
            "[service]\naddress = {{ node.address }}\nfirst = {{ hosts('s0')[0] }}\n"
            "timeout = {{ settings.timeout }}\n"
        )
    catalog["toolbox"] = ServiceDoc.model_validate({**_BASE, "image": CLIENT, "command": ["run"]})
    node = {"roles": ["all"]}
    topology = {
        "name": "dense",
        "description": "Every service on every node",
        "nodes": {f"n{number}": node for number in range(nodes - 1)}
        | {CLIENT: {"roles": ["all", CLIENT]}},
        "roles": {"all": list(catalog)[:SERVICES], CLIENT: ["toolbox"]},
    }
    document = TopologyDoc.model_validate(topology)
    return _Case(document, catalog, Path(directory), {"lab": 900})


_BASE: Document = {
    "description": "a service",
    "image": "controller",
    "user": "lab",
    "ready": {"running": True},
    "memory": "10M",
    "cost": 1.0,
}


def _service(number: int) -> ServiceDoc:
    return ServiceDoc.model_validate(
        {
            **_BASE,
            "command": ["run", "--listen", "{{ node.address }}"],
            "needs": [f"s{other}" for other in sorted({number - 1, number // 2}) if number],
            "files": [{"template": "service.conf.j2", "path": "/etc/service.conf"}],
            "settings": {"timeout": 30},
            "ready": {"tcp": {"port": 9000 + number}},
            "jobs": [{"name": "schema", "description": "d", "when": "before", "command": ["make"]}],
        }
    )
