"""Commands that break a lab on purpose and mend it: kill, stop, pause, cut, heal and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labctl.cli.options import EngineOption, JsonOption, LabOption, reach

if TYPE_CHECKING:
    from labctl.engine.port import Engine
    from labctl.faults.model import Evidence, Fault
    from labctl.faults.targets import Target
    from labctl.running.lifecycle import Prepared

TargetsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NODE[/SERVICE]...",
        help="Nodes, instances, or who plays a part now: vip-holder, galera-writer, "
        "redis-master, mongo-primary, rabbit-leader.",
    ),
]
LeaseOption = Annotated[
    str,
    typer.Option(
        "--for", metavar="TIME", help="Undone after this (90s, 5m, 1h), though labctl be killed."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl kill vip-holder/haproxy --for 5m")(kill)
    app.command(epilog="Example: labctl stop c2")(stop)
    app.command(epilog="Example: labctl pause galera-writer --for 30s")(pause)
    app.command(epilog="Example: labctl unpause c1/mariadb")(unpause)
    app.command(epilog="Example: labctl start c2")(start)
    app.command(epilog="Examples: labctl cut c1; labctl cut c1,c2 c3; labctl cut c1 --one-way out")(
        cut
    )
    app.command(epilog="Example: labctl heal")(heal)


def kill(
    targets: TargetsArgument,
    lease: LeaseOption = "1h",
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Kill instances with SIGKILL, or take the power from whole nodes."""
    _halt("kill", targets, lease, lab, engine, as_json=as_json)


def stop(
    targets: TargetsArgument,
    lease: LeaseOption = "1h",
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Stop instances or whole nodes in good order."""
    _halt("stop", targets, lease, lab, engine, as_json=as_json)


def pause(
    targets: TargetsArgument,
    lease: LeaseOption = "1h",
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Freeze instances or whole nodes: alive for the kernel, dead for everybody else."""
    _halt("pause", targets, lease, lab, engine, as_json=as_json)


def unpause(targets: TargetsArgument, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Thaw what is frozen."""
    from labctl.faults import verbs

    driver, prepared = reach(engine, lab)
    found = _resolve(driver, prepared, targets)
    verbs.unpause(driver, prepared.lab, found)
    _said([f"{target.name} runs again" for target in found])


def start(targets: TargetsArgument, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Start what does not run, a node's holder first; whatever ended it."""
    from labctl.faults import verbs

    driver, prepared = reach(engine, lab)
    found = _resolve(driver, prepared, targets)
    verbs.start(driver, prepared.lab, found)
    _said([f"{target.name} is started" for target in found])


def cut(
    groups: Annotated[
        list[str],
        typer.Argument(
            metavar="NODE[,NODE]...",
            help="One group is cut from all other nodes, several are cut from each other.",
        ),
    ],
    one_way: Annotated[
        str | None,
        typer.Option(
            "--one-way",
            metavar="in|out",
            help="in: the first group does not hear the others; out: it is not heard by them.",
        ),
    ] = None,
    lease: LeaseOption = "1h",
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Cut nodes off from each other at layer 2: nothing passes, ARP and VRRP included."""
    from labctl import faults
    from labctl.errors import InputError
    from labctl.faults.model import parse_duration

    if one_way not in (None, "in", "out"):
        raise InputError(f"--one-way is '{one_way}', should be in or out")
    direction: Literal["both", "in", "out"] = (
        "in" if one_way == "in" else "out" if one_way == "out" else "both"
    )
    driver, prepared = reach(engine, lab)
    sides = [
        [target.node for target in _resolve(driver, prepared, group.split(","))] for group in groups
    ]
    fault = faults.cut(prepared.lab, sides, direction=direction, lease=parse_duration(lease))
    _inject(driver, fault, as_json=as_json)


def heal(lab: LabOption = None, as_json: JsonOption = False, engine: EngineOption = None) -> None:
    """Undo every fault, and prove that nothing of them is left."""
    from labctl.cli import show
    from labctl.faults import verbs

    driver, prepared = reach(engine, lab)
    done = verbs.heal_all(driver, prepared.lab, sweep=True)
    if as_json:
        show.as_json([evidence.to_json() for evidence in done])
    else:
        _said([evidence.said for evidence in done] or ["there was nothing to heal"])


def _halt(
    kind: Literal["kill", "stop", "pause"],
    names: list[str],
    lease: str,
    lab: str | None,
    engine: str | None,
    *,
    as_json: bool,
) -> None:
    from labctl import faults
    from labctl.faults.model import parse_duration

    seconds = parse_duration(lease)
    driver, prepared = reach(engine, lab)
    found = _resolve(driver, prepared, names)
    fault = faults.halt(driver, prepared.lab, kind, found, lease=seconds)
    _inject(driver, fault, as_json=as_json)


def _resolve(driver: Engine, prepared: Prepared, names: Sequence[str]) -> list[Target]:
    from labctl.faults import targets
    from labctl.running.probe import inspect

    return [
        targets.resolve(
            driver, prepared.lab, name, lambda: inspect(driver, prepared.desired).clusters
        )
        for name in names
    ]


def _inject(driver: Engine, fault: Fault, *, as_json: bool) -> None:
    from labctl.cli import show
    from labctl.faults import verbs

    evidence: Evidence = verbs.inject(driver, fault)
    if as_json:
        show.as_json(evidence.to_json())
        return
    until = f"undone by 'labctl heal' or in {_time(fault.lease)}"
    _said([f"{evidence.said} ({evidence.took:.2f} s); {until}"])


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _said(lines: list[str]) -> None:
    from labctl.cli.show import out

    for line in lines:
        out().print(line, soft_wrap=True)
