"""Commands that break a lab on purpose and repair it: kill, stop, pause, cut, heal and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labctl.cli.options import (
    EngineOption,
    JsonOption,
    LabOption,
    attach,
    attach_and_expire,
    flat_options,
)
from labctl.errors import LabError

if TYPE_CHECKING:
    from labctl.engine.port import Engine
    from labctl.faults.model import Evidence, Fault
    from labctl.faults.targets import Target
    from labctl.running.lifecycle import Prepared

TargetsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NODE[/SERVICE]...",
        help="Nodes, instances, or parts that one of them plays now: vip-holder, galera-writer, "
        "redis-master, mongo-primary, rabbit-leader.",
    ),
]
LeaseOption = Annotated[
    str,
    typer.Option(
        "--for", metavar="TIME", help="Undone after this (90s, 5m, 1h), even if labctl was killed."
    ),
]


@dataclass(frozen=True)
class _Halt:
    """The arguments of ``kill``, ``stop`` and ``pause``: what to end or freeze, for how long."""

    targets: TargetsArgument
    lease: LeaseOption = "1h"
    lab: LabOption = None
    as_json: JsonOption = False
    engine: EngineOption = None


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl kill vip-holder/haproxy --for 5m")(flat_options(kill))
    app.command(epilog="Example: labctl stop c2")(flat_options(stop))
    app.command(epilog="Example: labctl pause galera-writer --for 30s")(flat_options(pause))
    app.command(epilog="Example: labctl unpause c1/mariadb")(unpause)
    app.command(epilog="Example: labctl start c2/haproxy")(start)
    app.command(epilog="Examples: labctl cut c1; labctl cut c1,c2 c3; labctl cut c1 --one-way out")(
        cut
    )
    app.command(epilog="Example: labctl heal")(heal)


def kill(asked: _Halt) -> None:
    """Kill instances with SIGKILL, or cut the power of whole nodes, for a time.

    A node that is to stay off is switched off by 'labctl node off'.
    """
    _halt("kill", asked)


def stop(asked: _Halt) -> None:
    """Stop instances or whole nodes gracefully."""
    _halt("stop", asked)


def pause(asked: _Halt) -> None:
    """Freeze instances or whole nodes: the kernel still accepts connections, nothing answers."""
    _halt("pause", asked)


def unpause(targets: TargetsArgument, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Resume what is frozen."""
    from labctl.faults import verbs

    driver, prepared = attach_and_expire(engine, lab)
    found = _resolve(driver, prepared, targets)
    verbs.unpause(driver, prepared.lab, found)
    _print_lines([f"{target.name} runs again" for target in found])


def start(targets: TargetsArgument, lab: LabOption = None, engine: EngineOption = None) -> None:
    """Start what is not running, whatever ended it; a node's holder first.

    Does not wait until it serves: for a whole node, 'labctl node on' does.
    """
    from labctl.faults import verbs

    driver, prepared = attach_and_expire(engine, lab)
    found = _resolve(driver, prepared, targets)
    verbs.start(driver, prepared.lab, found)
    _print_lines([f"{target.name} is started" for target in found])


def cut(
    groups: Annotated[
        list[str],
        typer.Argument(
            metavar="NODE[,NODE]...",
            help="One group is cut off from all other nodes, several from each other.",
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
    driver, prepared = attach_and_expire(engine, lab)
    sides = [
        [target.node for target in _resolve(driver, prepared, group.split(","))] for group in groups
    ]
    fault = faults.cut(prepared.lab, sides, direction=direction, lease=parse_duration(lease))
    _inject(driver, fault, as_json=as_json)


def heal(lab: LabOption = None, as_json: JsonOption = False, engine: EngineOption = None) -> None:
    """Undo every fault, and prove that nothing is left of them.

    Exit code 1 when something is left, with a sentence for each fault on standard error.
    """
    from labctl.cli import show
    from labctl.faults import verbs

    driver, prepared = attach(engine, lab)
    healing = verbs.heal_all(driver, prepared.lab, sweep=True)
    if as_json:
        show.as_json([evidence.to_json() for evidence in healing.done])
    elif healing.done or not healing.left:
        _print_lines([evidence.said for evidence in healing.done] or ["there was nothing to heal"])
    for line in (*healing.files, *healing.left.values()):
        typer.echo(f"labctl: {line}", err=True)
    if healing.left:
        raise typer.Exit(LabError.exit_code)


def _halt(kind: Literal["kill", "stop", "pause"], asked: _Halt) -> None:
    from labctl import faults
    from labctl.faults.model import parse_duration

    seconds = parse_duration(asked.lease)
    driver, prepared = attach_and_expire(asked.engine, asked.lab)
    found = _resolve(driver, prepared, asked.targets)
    fault = faults.halt(driver, prepared.lab, kind, found, lease=seconds)
    _inject(driver, fault, as_json=asked.as_json)


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
    _print_lines([f"{evidence.said} ({evidence.took:.2f} s); {until}"])


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _print_lines(lines: list[str]) -> None:
    from labctl.cli.show import out

    for line in lines:
        out().print(line, soft_wrap=True)
