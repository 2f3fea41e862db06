"""What a shipped topology comes to, written down: rendered files, plan, containers, compose.yml.

A difference is either a defect or a decision. For a decision: ``LABCTL_GOLDEN=write`` and run
this again, then read the difference before committing it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from labctl.documents import shipped
from labctl.documents.catalog import load_catalog
from labctl.documents.reader import load_with_source, read_yaml
from labctl.images.definitions import roles
from labctl.model.topology import TopologyDoc
from labctl.planning.composefile import compose
from labctl.planning.desired import Desired, build_desired
from labctl.planning.plan import make_plan
from labctl.planning.render import Renderer
from labctl.planning.steps import Observed
from labctl.resolve.resolution import resolve
from labctl.state import secrets

HERE = Path(__file__).parent / "expected"


def desired(name: str, secret: Callable[[str], str] = "<{}>".format) -> Desired:
    """A shipped topology; its secrets say their own names, or what ``secret`` makes of these."""
    catalogue = shipped.data_dir("compose")
    topology, source = load_with_source(shipped.data_dir("topologies") / f"{name}.yml", TopologyDoc)
    lab = resolve(
        topology, load_catalog(catalogue), subnet=IPv4Network("198.18.0.0/24"), source=source
    )
    values = {name: secret(name) for name in secrets.wanted(lab)}
    users = read_yaml(shipped.data_dir("images") / "users.yml")
    images = {role: f"labctl/{role}:zed" for role in roles()}
    return build_desired(lab, Renderer(lab, values, users, catalogue), images, ("parent", "host"))


def files(lab: Desired) -> Iterator[tuple[str, str]]:
    """``node/service/path`` → content, of the first node of each service and of every job."""
    for name, unit in {**lab.instances, **lab.jobs}.items():
        node, _, service = name.partition("/")
        if name in lab.instances and lab.lab.services[service].nodes[0].name != node:
            continue
        for entry in (*unit.files, *unit.bootstrap_files):
            if entry.path.endswith(".py"):
                continue  # copied, not rendered
            owner = f"# {entry.mode:04o} {entry.uid}:{entry.gid}\n"
            yield f"{name}{entry.path}", owner + entry.data.decode()


def check(path: Path, text: str) -> None:
    if os.environ.get("LABCTL_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is not there: see the module's docstring"
    assert text == path.read_text()


@pytest.mark.parametrize("topology", ["three-controller", "segregated", "single"])
def test_plan(topology: str) -> None:
    plan = make_plan(desired(topology), Observed())
    lines = [f"{step.title}: {', '.join(sorted(step.needs))}\n" for step in plan.steps.values()]
    check(HERE / topology / "plan.txt", "".join(lines))


def test_rendered_files() -> None:
    for name, text in files(desired("three-controller")):
        check(HERE / "three-controller" / name, text)


def test_containers() -> None:
    lab = desired("single")
    units = {**lab.holders, **lab.instances, **lab.jobs}
    told = {
        name: {
            "command": " ".join(unit.spec.command),
            "user": unit.spec.user,
            "capabilities": list(unit.spec.cap_add),
            "volumes": [f"{m.volume}:{m.target}" for m in unit.spec.volumes],
            "tmpfs": dict(unit.spec.tmpfs),
        }
        for name, unit in units.items()
    }
    check(HERE / "single" / "containers.yml", yaml.safe_dump(told, sort_keys=True))


def test_compose_document() -> None:
    document = compose(desired("single"))
    for service in document["services"].values():
        service["labels"].pop("labctl.hash", None)
    document.pop("configs")
    check(HERE / "single" / "compose.yml", yaml.safe_dump(document, sort_keys=False))


def test_rendering_is_repeatable() -> None:
    first, second = desired("three-controller"), desired("three-controller")
    assert [u.hash for u in first.instances.values()] == [u.hash for u in second.instances.values()]
