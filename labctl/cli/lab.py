"""Commands about a lab as a whole: up, down, status, plan, render."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.options import (
    EngineOption,
    JsonOption,
    LabOption,
    SubnetOption,
    connect,
    reach,
)

if TYPE_CHECKING:
    from labctl.lab import Prepared
    from labctl.store import Record

TopologyArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TOPOLOGY]",
        help="A shipped topology ('labctl topologies') or a file; else the lab that is there.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", "-n", metavar="NAME", help="The lab's name; else the topology's."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl up three-controller --name demo")(up)
    app.command(epilog="Example: labctl down --lab demo")(down)
    app.command(epilog="Example: labctl status --json | jq .vip.holders")(status)
    app.command(epilog="Example: labctl plan segregated")(plan)
    app.command(epilog="Example: labctl render single -o lab/")(render)


def up(
    topology: TopologyArgument = None,
    name: NameOption = None,
    subnet: SubnetOption = None,
    engine: EngineOption = None,
) -> None:
    """Bring a lab up, or repair what is not as it should be; nothing when all is well."""
    from labctl import lab, store
    from labctl.cli.progress import display

    driver = cache(lambda: connect(engine))
    record = _record(lambda: driver().subnets(), topology, name, subnet)
    with store.lock(record.name):
        prepared = lab.prepare(record)
        with display() as report:
            made = lab.up(driver(), prepared, report)
    _summary(prepared, changed=bool(made.steps))


def _record(
    taken: Callable[[], list[str]],
    topology: str | None,
    name: str | None,
    subnet: IPv4Network | None,
) -> Record:
    """The lab that is asked for: a topology's, or the one that is there already."""
    from labctl import lab, store

    if topology is None:
        return store.choose(name)
    return lab.request_record(lab.Request(topology, name, subnet), taken)


def _summary(prepared: Prepared, *, changed: bool) -> None:
    """What to do next."""
    from labctl import store
    from labctl.cli.show import out

    lab, directory = prepared.lab, prepared.record.directory
    console = out()
    console.print(f"lab {lab.name} is {'up' if changed else 'as it should be; nothing to do'}")
    clouds = directory / "clouds.yaml"
    rows = {"virtual IP": lab.vip}
    if clouds.exists():
        rows["clouds.yaml"] = str(clouds)
        rows["from here"] = (
            f"OS_CLIENT_CONFIG_FILE={clouds} openstack --os-cloud {lab.name} token issue"
        )
    rows["client shell"] = f"labctl shell --lab {lab.name}"
    rows["state"] = f"labctl status --lab {lab.name}"
    rows["reports"] = str(directory / store.REPORTS)
    rows["take it down"] = f"labctl down --lab {lab.name}"
    width = max(map(len, rows))
    for key, value in rows.items():
        console.print(f"  {key:<{width}}  {value}", soft_wrap=True)


def down(lab: LabOption = None, engine: EngineOption = None) -> None:
    """Remove a lab: containers, network, volumes, link, secrets; nothing of it is left."""
    from labctl import lab as labs
    from labctl import store
    from labctl.cli.show import out

    driver = connect(engine)
    wanted = lab or os.environ.get("LABCTL_LAB")
    name = wanted or store.choose(None).name
    with store.lock(name):
        removed = labs.down(driver, name)
    kinds = [line.partition(" ")[0] for line in removed]
    counts = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
    out().print(f"lab {name} is down: {counts or 'nothing was there'}")


def status(lab: LabOption = None, as_json: JsonOption = False, engine: EngineOption = None) -> None:
    """Say what a lab is like: state, virtual IP, every instance, every cluster.

    Exit code 0 when the lab is healthy, 1 when it is degraded or down.
    """
    from labctl import status as looks
    from labctl.cli import show

    driver, prepared = reach(engine, lab)
    document = looks.status(driver, prepared.desired)
    show.as_json(document) if as_json else show.status(document)
    if document["state"] != "healthy":
        raise typer.Exit(1)


def plan(
    topology: TopologyArgument = None,
    name: NameOption = None,
    subnet: SubnetOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Say what 'up' would do now; nothing is touched."""
    from labctl import lab
    from labctl.cli import show

    driver = cache(lambda: connect(engine))
    prepared = lab.prepare(_record(lambda: driver().subnets(), topology, name, subnet))
    made = lab.plan(driver(), prepared)
    if as_json:
        show.as_json(show.plan_document(made))
    elif made.steps:
        show.plan(made)
    else:
        show.out().print(f"lab {prepared.lab.name} is as it should be; nothing to do")


def render(
    topology: TopologyArgument = None,
    name: NameOption = None,
    subnet: SubnetOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where compose.yml goes.")
    ] = Path(),
) -> None:
    """Write a whole lab as one compose.yml that 'docker compose' accepts; needs no engine.

    It holds the lab's secrets, so its mode is 0600. Compose starts it where the images
    ('labctl images build') and the interface that the network stands on are there.
    """
    from labctl import lab
    from labctl.cli.show import out
    from labctl.composefile import compose
    from labctl.documents import dump

    prepared = lab.prepare(_record(list, topology, name, subnet))
    output.mkdir(parents=True, exist_ok=True)
    path = output / "compose.yml"
    dump(path, compose(prepared.desired), 0o600)
    out().print(str(path))
