"""Commands about a lab as a whole: up, down, status, plan, render."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.options import (
    AUTO,
    EngineOption,
    JsonOption,
    LabOption,
    Wanted,
    attach,
    attach_and_warn,
    connect,
    flat_options,
    interruptible,
    warn_overdue,
)
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.engine.port import Engine
    from labctl.running.filling import Filling
    from labctl.running.lifecycle import Prepared
    from labctl.state.store import Record

_UNFINISHED = "the next 'labctl up' finishes what was started, 'labctl down' removes it"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl up three-controller --name demo")(flat_options(up))
    app.command(epilog="Example: labctl down --lab demo")(down)
    app.command(epilog="Example: labctl status --json | jq .vip.holders")(status)
    app.command(epilog="Example: labctl move cinder-volume --to c2")(move)
    app.command(epilog="Example: labctl plan segregated")(flat_options(plan))
    app.command(epilog="Example: labctl render single -o lab/")(flat_options(render))


def up(
    wanted: Wanted,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="CHECKPOINT",
            help="Make a new lab with the data of a checkpoint ('labctl checkpoint list'); without "
            "a topology, one like the lab that the checkpoint is of.",
        ),
    ] = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Bring a lab up, or repair it; does nothing if all is well.

    Refused, with exit code 3 and the profile that would fit, when the machine is too small.
    """
    from labctl.benchmark.metering import weigh
    from labctl.cli import show
    from labctl.cli.progress import Timed, display
    from labctl.planning.fit import memory_bytes
    from labctl.running import lifecycle
    from labctl.state import store

    driver = cache(lambda: connect(engine))
    with ExitStack() as stack:
        origin = None
        if checkpoint is None:
            record = _record(wanted, lambda: driver().subnets())
        else:
            origin, record = stack.enter_context(_from(checkpoint, wanted, driver))
        stack.enter_context(store.lock(record.name))
        stack.enter_context(interruptible(_UNFINISHED))
        with display() as shown:
            report = Timed(shown)
            if wanted.profile == AUTO:
                record = lifecycle.fitting(driver(), record)
            prepared = lifecycle.prepare(record, origin.secrets if origin else {})
            if wanted.profile == AUTO:
                report.note(f"profile {prepared.lab.profile} fits this machine")
            prepared, made = lifecycle.up(driver(), prepared, report, origin=origin)
        # Measuring every process takes a second: worth it only when something was started.
        image = prepared.desired.images["client"]
        real = weigh(driver(), record.name, image) if made.steps else None
    predicted = memory_bytes(prepared.lab)
    if as_json:
        show.as_json(
            {
                "lab": record.name,
                "topology": prepared.lab.topology,
                "profile": prepared.lab.profile,
                "vip": prepared.lab.vip,
                "began": report.began,
                "steps": report.steps,
                "memory": {"predicted": predicted, "real": real},
                "directory": str(record.directory),
            }
        )
        return
    weight = f"{_gib(real)} (PSS), predicted {_gib(predicted)}" if real else None
    _summary(prepared, changed=bool(made.steps), memory=weight)


@contextmanager
def _from(
    name: str, wanted: Wanted, driver: Callable[[], Engine]
) -> Iterator[tuple[Filling, Record]]:
    """A checkpoint that is whole and fits, and the record of the lab that is to have its data."""
    from labctl.resolve.request import request_record
    from labctl.running.checkpoints import check_fit, request
    from labctl.running.filling import Filling
    from labctl.state import checkpoints

    checkpoints.find(name)
    if wanted.profile == AUTO:
        raise InputError(
            f"--profile {AUTO} depends on the machine, and a checkpoint fits one profile; name it, "
            "or leave the option out"
        )
    with checkpoints.claimed(name):
        manifest = checkpoints.load(name)
        if wanted.topology is None:
            same = request(manifest, wanted.name, wanted.subnet)
            same = replace(same, choice=same.choice.updated_by(wanted.choice))
            record = request_record(same, lambda: driver().subnets())
            record = replace(record, placed=manifest.placed)
        else:
            record = _record(wanted, lambda: driver().subnets())
        check_fit(name, manifest, record)
        checkpoints.verify(name, manifest)
        yield Filling(name, manifest), record


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.2f} GiB"


def _record(wanted: Wanted, taken: Callable[[], list[str]]) -> Record:
    """The record of the requested lab: of a topology, or of the lab that exists already."""
    from labctl.resolve.request import Request, request_record
    from labctl.state import store

    choice = wanted.choice
    if wanted.topology is not None:
        request = Request(wanted.topology, wanted.name, wanted.subnet, choice)
        return request_record(request, taken)
    record = store.choose(wanted.name)
    return replace(record, choice=record.choice.updated_by(choice))


def _summary(prepared: Prepared, *, changed: bool, memory: str | None) -> None:
    """Print the lab's main facts and what to do next."""
    from labctl.cli.show import out
    from labctl.state import store

    lab, directory = prepared.lab, prepared.record.directory
    console = out()
    console.print(f"lab {lab.name} is {'up' if changed else 'as it should be; nothing to do'}")
    clouds = directory / "clouds.yaml"
    rows = {"profile": lab.profile, "virtual IP": lab.vip}
    if memory is not None:
        rows["memory"] = memory
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
    """Remove a lab completely: containers, network, volumes, link, secrets.

    Exit code 0 also when it is already down; 2 for a name that no lab here ever had.
    """
    from labctl.cli.show import out
    from labctl.running import lifecycle
    from labctl.state import store

    name = store.chosen(lab)
    known = store.known(name)
    driver = connect(engine)
    if not known and not lifecycle.exists(driver, name):
        raise store.no_such_lab(name)
    with store.lock(name), interruptible("'labctl down' again removes the rest"):
        removed = lifecycle.down(driver, name)
    kinds = Counter(line.partition(" ")[0] for line in removed)
    counts = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.items())
    out().print(f"lab {name} is down: {counts or 'nothing was there'}")


def status(lab: LabOption = None, as_json: JsonOption = False, engine: EngineOption = None) -> None:
    """Show a lab's state: virtual IP, every instance, every cluster.

    Exit code 0 when the lab is healthy, 1 when it is degraded or down.
    """
    from labctl.cli import show
    from labctl.running import status as looks

    driver, prepared = attach(engine, lab)
    document = looks.status(driver, prepared.desired)
    show.as_json(document) if as_json else show.status(document)
    if document["state"] != "healthy":
        raise typer.Exit(1)


def move(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="A service with one active instance.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="NODE", help="The node to run it on.")],
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Move an active/passive service to another node, even if the one it ran on is dead.

    The old instance is stopped and removed first, so that there are never two. The lab remembers
    the new place: 'up' does not move it back. Does nothing when it is there already.
    """
    from labctl.cli.progress import display
    from labctl.cli.show import out
    from labctl.running import moving
    from labctl.state import store

    driver, prepared = attach_and_warn(engine, lab)
    with store.lock(prepared.lab.name), interruptible(_UNFINISHED), display() as report:
        moved = moving.move(driver, prepared, service, to, report)
    out().print(f"{service} now runs on {to}" if moved else f"{service} already runs on {to}")


def plan(
    wanted: Wanted,
    diff: Annotated[
        bool,
        typer.Option("--diff", help="Show why each container is replaced: image, files, settings."),
    ] = False,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Show what 'up' would do now, without changing anything."""
    from labctl.cli import show
    from labctl.running import lifecycle
    from labctl.running.differences import differences

    driver = cache(lambda: connect(engine))
    record = _record(wanted, lambda: driver().subnets())
    if wanted.profile == AUTO:
        record = lifecycle.fitting(driver(), record)
    prepared = lifecycle.prepare(record)
    made = lifecycle.plan(driver(), prepared)
    secrets = prepared.secrets.values()
    found = differences(driver(), prepared.desired, made, secrets) if diff else []
    warn_overdue(prepared)
    if as_json:
        show.as_json(show.plan_document(made, found if diff else None))
    elif made.steps:
        show.differences(found) if diff else show.plan(made)
    else:
        show.out().print(f"lab {prepared.lab.name} is as it should be; nothing to do")


def render(
    wanted: Wanted,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|DIR",
            help="The file to write (- is standard output), or a directory that exists or ends "
            "with /, in which compose.yml is written.",
        ),
    ] = "compose.yml",
) -> None:
    """Write a whole lab as one compose.yml that 'docker compose' accepts; needs no engine.

    It holds the lab's secrets, so its mode is 0600. To start it, Compose needs the images
    ('labctl images build') and the network's parent interface.
    """
    from labctl.cli.show import out
    from labctl.documents.reader import dump, dumps
    from labctl.planning.composefile import compose
    from labctl.running import lifecycle

    if wanted.profile == AUTO:
        raise InputError(f"--profile {AUTO} depends on a machine, render on none; name a profile")
    document = compose(lifecycle.prepare(_record(wanted, list)).desired)
    if output == "-":
        sys.stdout.write(dumps(document))
        return
    path = _file(output)
    if path.exists() and not path.is_file():
        path.write_text(dumps(document), encoding="utf-8")  # a device or a pipe is not replaced
    else:
        dump(path, document, 0o600)
    out().print(str(path), soft_wrap=True, markup=False)


def _file(output: str) -> Path:
    """The file that --output names, with links resolved."""
    if not output or "\0" in output:
        raise InputError("--output is not a path: name a file or a directory")
    path = Path(output)
    return (path / "compose.yml" if output.endswith("/") or path.is_dir() else path).resolve()
