"""The command that measures: benchmark."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from labctl.cli.options import (
    AUTO,
    EngineOption,
    JsonOption,
    ProfileOption,
    SubnetOption,
    chosen,
    connect,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl benchmark three-controller --repeat 5")(benchmark)


def benchmark(
    topology: Annotated[
        str, typer.Argument(metavar="[TOPOLOGY]", help="A shipped topology or a file.")
    ] = "three-controller",
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", help="Name of the lab that it brings up.")
    ] = "benchmark",
    subnet: SubnetOption = None,
    repeat: Annotated[
        int, typer.Option("--repeat", metavar="N", min=1, help="Trials of each fault.")
    ] = 3,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the lab afterwards; skips Compose.")
    ] = False,
    compose: Annotated[
        bool, typer.Option(help="Measure 'docker compose up --wait' for comparison.")
    ] = True,
    verify: Annotated[bool, typer.Option(help="Run and time 'labctl verify'.")] = True,
    chaos: Annotated[
        bool, typer.Option(help="Measure faults, the client's own rate and the checkers.")
    ] = True,
    changes: Annotated[
        bool, typer.Option(help="Measure rolling changes, and nodes that come and go.")
    ] = True,
    only_chaos: Annotated[
        bool, typer.Option("--only-chaos", help="Bring the lab up, and measure only that.")
    ] = False,
    only_planner: Annotated[
        bool,
        typer.Option("--only-planner", help="Measure only planning, of 10 to 200 nodes; no lab."),
    ] = False,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Measure what a lab costs and how long service is interrupted when something dies.

    A separate lab is brought up and taken down. Other load on the machine distorts the figures, so
    leave it idle. Nothing is asserted. The figures are kept in the lab's reports.
    """
    from labctl.benchmark import report
    from labctl.benchmark.run import Options, run, save
    from labctl.cli import show
    from labctl.errors import InputError
    from labctl.resolve.request import Request

    if only_planner:
        _planner(as_json=as_json)
        return
    if profile == AUTO:
        raise InputError("a benchmark needs a fixed profile, to be repeatable: name one")
    choice = chosen(profile, None, None)
    if only_chaos and not chaos:
        raise InputError("--only-chaos and --no-chaos leave nothing to measure: leave one out")
    options = Options(
        Request(topology, name, subnet, choice),
        repeat=repeat,
        keep=keep,
        compose=compose,
        verify=verify,
        chaos=chaos,
        changes=changes,
        only_chaos=only_chaos,
    )
    document = run(connect(engine), options, _say)
    path = save(name, document)
    if as_json:
        show.as_json(document)
        return
    show.table(["what", "figure", "remark"], report.rows(document))
    show.out().print(f"kept in {path}")


def _planner(*, as_json: bool) -> None:
    from labctl.benchmark import planner
    from labctl.cli import show

    found = planner.measure(_say)
    if as_json:
        show.as_json({"planner": found})
        return
    show.table(["what", "figure", "remark"], planner.rows(found))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
