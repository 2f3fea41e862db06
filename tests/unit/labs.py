"""A small lab for unit tests: three nodes and a client, one cluster, one service behind it."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from labctl.engine.port import Container
from labctl.model.service import ServiceDoc
from labctl.model.topology import TopologyDoc
from labctl.planning.desired import Desired, Unit, build_desired
from labctl.planning.render import Renderer
from labctl.planning.steps import Observed
from labctl.resolve.resolution import resolve

IMAGES = {"node": "node:1", "database": "database:1", "controller": "controller:1", "client": "c:1"}
CLOCK = {"database-clock": "database-clock:1"}
"""Only where a lab asks for it."""
USERS = {"mysql": 902, "keystone": 907, "lab": 908}


def service(**fields: Any) -> ServiceDoc:
    """A service document with what every one must have."""
    base: dict[str, Any] = {
        "description": "a service",
        "image": "controller",
        "user": "keystone",
        "command": ["run"],
        "ready": {"running": True},
        "memory": "10M",
        "cost": 1.0,
    }
    return ServiceDoc.model_validate(base | fields)


def catalogue(directory: Path, joins: str = "together") -> dict[str, ServiceDoc]:
    """store (a cluster with a seed), api (needs it, with a job before), toolbox."""
    (directory / "store").mkdir(exist_ok=True)
    (directory / "store" / "token").write_text("go\n")
    (directory / "store" / "conf.j2").write_text("{{ node.address }} {{ settings.size }}\n")
    return {
        "store": service(
            image="database",
            user="mysql",
            settings={"size": 3, "fake_clock": False, "disk": None},
            container={"volumes": {"data": "/data"}},
            files=[
                {"template": "conf.j2", "path": "/etc/store"},
                {"template": "token", "path": "/run/labctl/bootstrap", "bootstrap": True},
            ],
            ready={"tcp": {"port": 3306}, "timeout": 30},
            cluster={
                "kind": "galera",
                "start": "seed",
                "joins": joins,
                "member_file": "/data/member",
            },
            recovery={"position": ["position"]},
            actions=[
                {
                    "name": "doze",
                    "description": "d",
                    "command": ["doze", "on"],
                    "undo": ["doze", "off"],
                    "proof": ["doze"],
                    "shows": "^dozing",
                    "timeout": 0.1,
                }
            ],
            jobs=[
                {
                    "name": "databases",
                    "description": "d",
                    "when": "seed",
                    "image": "client",
                    "user": "lab",
                    "command": ["make"],
                }
            ],
        ),
        "api": service(
            needs=["store"],
            ready={"tcp": {"port": 5000}},
            vip_ready={"tcp": {"port": 5000}},
            jobs=[
                {
                    "name": "schema",
                    "description": "d",
                    "when": "before",
                    "needs": ["store/databases"],
                    "command": ["make"],
                }
            ],
        ),
        "toolbox": service(image="client", user="lab", cost=0.1),
    }


def desired(directory: Path, *, joins: str = "together", **settings: Any) -> Desired:
    """The small lab, with settings of ``store`` overridden."""
    topology = TopologyDoc.model_validate(
        {
            "name": "small",
            "description": "d",
            "nodes": {
                "c1": {"roles": ["controller"]},
                "c2": {"roles": ["controller"]},
                "c3": {"roles": ["controller"]},
                "client": {"roles": ["client"]},
            },
            "roles": {"controller": ["store", "api"], "client": ["toolbox"]},
            "services": {"store": settings} if settings else {},
        }
    )
    lab = resolve(topology, catalogue(directory, joins), subnet=IPv4Network("198.18.9.0/24"))
    renderer = Renderer(lab, {}, USERS, directory)
    return build_desired(lab, renderer, IMAGES | CLOCK, ("lp", "lh"))


def running(wanted: Desired) -> Observed:
    """What is observed of the lab when all is well."""
    units = [*wanted.holders.values(), *wanted.disks.values(), *wanted.instances.values()]
    containers = {u.spec.name: container(u) for u in units}
    for unit in wanted.jobs.values():
        containers[unit.spec.name] = container(unit, "exited", 0)
    return Observed(
        images=frozenset(IMAGES.values()),
        link=True,
        filtered=True,
        network=wanted.network,
        containers=containers,
        members=frozenset(f"{n}/store" for n in ("c1", "c2", "c3")),
        ready=frozenset(wanted.probes),
        names=wanted.names,
        volumes=frozenset(mount.volume for u in units for mount in u.spec.volumes),
        done={name: unit.hash for name, unit in wanted.jobs.items()},
    )


def container(unit: Unit, status: str = "running", exit_code: int | None = None) -> Container:
    """A container of the lab as the engine would report it."""
    spec = unit.spec
    return Container(
        "id-" + spec.name,
        spec.name,
        "image",
        status,  # type: ignore[arg-type]
        spec.labels,
        exit_code,
    )
