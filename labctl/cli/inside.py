"""Commands that reach into a lab: exec, shell, logs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.options import EngineOption, LabOption, quiet, reach

if TYPE_CHECKING:
    from labctl.model.lab import Lab

PlaceArgument = Annotated[str, typer.Argument(metavar="NODE[/SERVICE]", help="Where.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        name="exec",
        epilog="Example: labctl exec c1/mariadb -- mariadb -e 'show status like \"wsrep%\"'",
    )(execute)
    app.command(epilog="Example: labctl shell, then: openstack token issue")(shell)
    app.command(epilog="Example: labctl logs c2/keystone --follow")(logs)


def container(lab: Lab, place: str) -> str:
    """The container that NODE (its holder) or NODE/SERVICE denotes; InputError if none."""
    from labctl.errors import InputError

    name, _, service = place.partition("/")
    node = lab.node(name)
    if node is None:
        known = ", ".join(n.name for n in lab.nodes)
        raise InputError(f"lab '{lab.name}' has no node '{name}' (nodes: {known})")
    if not service:
        return lab.holder(node)
    instance = lab.instance(name, service)
    if instance is None:
        known = ", ".join(i.service.name for i in lab.instances if i.node == node)
        raise InputError(f"node {name} has no service '{service}' (services: {known})")
    return lab.container(instance)


def execute(
    place: PlaceArgument,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="What to run.")],
    interactive: Annotated[
        bool,
        typer.Option("--interactive", "-i", help="Pass standard input on; a terminal always is."),
    ] = False,
    terminal: Annotated[
        bool,
        typer.Option(
            "--tty", "-t", help="Give it a terminal; done anyway when input and output are one."
        ),
    ] = False,
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Run a command on a node (in its network namespace) or in a service's container.

    Its exit code is labctl's. What ends labctl (^C, a reader of its output that goes away) ends
    the command, too.
    """
    from labctl.errors import InputError

    at_terminal = sys.stdin.isatty()
    if terminal and not at_terminal:
        raise InputError("--tty gives the command this terminal, and standard input is none")
    driver, prepared = reach(engine, lab)
    target = container(prepared.lab, place)
    tty = terminal or (at_terminal and sys.stdout.isatty())
    with quiet():
        code = driver.exec_attached(target, command, tty=tty, stdin=interactive or at_terminal)
    raise typer.Exit(code)


def shell(lab: LabOption = None, engine: EngineOption = None) -> None:
    """Open a shell in the client node, where 'openstack' is set up; or feed it commands."""
    from labctl.running.probe import client_container

    driver, prepared = reach(engine, lab)
    target = client_container(prepared.lab)
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    with quiet():
        code = driver.exec_attached(target, ["bash", "-l"] if tty else ["bash"], tty=tty)
    raise typer.Exit(code)


def logs(
    place: PlaceArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="Only the last N lines.")
    ] = None,
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Print what a service has said."""
    from labctl.cli.output import check

    driver, prepared = reach(engine, lab)
    target = container(prepared.lab, place)
    with quiet():
        if not follow:
            sys.stdout.write(driver.logs(target, tail))
            return
        for line in driver.follow(target, tail):
            sys.stdout.write(line + "\n")
            check()
