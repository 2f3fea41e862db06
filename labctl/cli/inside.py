"""Commands that work inside a lab's containers: exec, shell, logs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli.options import EngineOption, LabOption, attach_and_warn, quiet_interrupt

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
    """The container of NODE (its holder) or NODE/SERVICE; InputError if there is none."""
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
        typer.Option("--interactive", "-i", help="Pass on standard input; a terminal always is."),
    ] = False,
    terminal: Annotated[
        bool,
        typer.Option(
            "--tty", "-t", help="Give it a terminal; the default if input and output are one."
        ),
    ] = False,
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Run a command on a node (in its network namespace) or in a service's container.

    labctl exits with its exit code. What ends labctl (^C, a closed output pipe) ends the command,
    too.
    """
    from labctl.errors import InputError

    at_terminal = sys.stdin.isatty()
    if terminal and not at_terminal:
        raise InputError("--tty needs a terminal, and standard input is not one")
    driver, prepared = attach_and_warn(engine, lab)
    target = container(prepared.lab, place)
    tty = terminal or (at_terminal and sys.stdout.isatty())
    with quiet_interrupt():
        code = driver.exec_attached(target, command, tty=tty, stdin=interactive or at_terminal)
    raise typer.Exit(code)


def shell(lab: LabOption = None, engine: EngineOption = None) -> None:
    """Open a shell in the client node, where 'openstack' is set up; it also reads a pipe."""
    from labctl.running.probe import client_container

    driver, prepared = attach_and_warn(engine, lab)
    target = client_container(prepared.lab)
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    with quiet_interrupt():
        code = driver.exec_attached(target, ["bash", "-l"] if tty else ["bash"], tty=tty)
    raise typer.Exit(code)


def logs(
    place: PlaceArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", metavar="N", min=0, help="Only the last N lines.")
    ] = None,
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Print a service's log."""
    from labctl.cli.output import check

    driver, prepared = attach_and_warn(engine, lab)
    target = container(prepared.lab, place)
    with quiet_interrupt():
        if not follow:
            sys.stdout.write(driver.logs(target, tail))
            return
        for line in driver.follow(target, tail):
            sys.stdout.write(line + "\n")
            check()
