"""Options that several commands share, and how commands attach to a lab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from labctl.engine.port import Engine
    from labctl.model.topology import Choice
    from labctl.running.lifecycle import Prepared

AUTO = "auto"
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        envvar="LABCTL_ENGINE",
        help="docker, podman or a socket's URL; by default $DOCKER_HOST, else what is found.",
    ),
]


def lab_name(text: str) -> str:
    """Parse the name of a lab; InputError when it is not a valid name."""
    from labctl.state.paths import check_name

    return check_name(text)


LabOption = Annotated[
    str | None,
    typer.Option(
        "--lab",
        "-l",
        metavar="NAME",
        envvar="LABCTL_LAB",
        parser=lab_name,
        help="Which lab, if there are several.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        parser=lab_name,
        help="The lab's name; by default the topology's.",
    ),
]
TopologyArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TOPOLOGY]",
        help="A shipped topology ('labctl topologies'), a file, or - for standard input; "
        "by default the lab that exists.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def network(text: str) -> IPv4Network:
    """Parse --subnet."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write it as 198.18.7.0/24") from None


SubnetOption = Annotated[
    IPv4Network | None,
    typer.Option(
        "--subnet",
        metavar="CIDR",
        parser=network,
        help="The lab's subnet; by default the topology's, else a free /24 of 198.18.0.0/15.",
    ),
]


ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="PROFILE",
        help="support, core, full, or auto: the largest that fits this machine. By default "
        "what was chosen for the lab before, else the topology's, else full.",
    ),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="SERVICE[:ROLE]", help="Add a service and what it needs; repeatable."
    ),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="SERVICE", help="Leave out a service; repeatable."),
]


@contextmanager
def interruptible(advice: str) -> Iterator[None]:
    """Add advice to an interrupt of work that is then left half-done."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"interrupted; {advice}")
        raise


@contextmanager
def quiet_interrupt() -> Iterator[None]:
    """Print nothing on an interrupt, for work that usually ends by one."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("")
        raise


@dataclass(frozen=True)
class Wanted:
    """The arguments of ``up``, ``plan`` and ``render``: the lab that is asked for."""

    topology: TopologyArgument = None
    name: NameOption = None
    subnet: SubnetOption = None
    profile: ProfileOption = None
    added: WithOption = None
    dropped: WithoutOption = None

    @property
    def choice(self) -> Choice:
        """Which part of the topology."""
        return chosen(self.profile, self.added, self.dropped)


def flat_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its first parameter, a dataclass, replaced by the fields, as typer needs."""
    first, *others = signature(command, eval_str=True).parameters.values()
    options = first.annotation
    fields = signature(options, eval_str=True).parameters

    @wraps(command)
    def flat(**given: Any) -> None:
        command(options(**{name: given.pop(name) for name in fields}), **given)

    taken = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*fields.values(), *others)]
    flat.__signature__ = Signature(taken)  # type: ignore[attr-defined]
    flat.__annotations__ = {each.name: each.annotation for each in taken}
    return flat


def chosen(profile: str | None, added: list[str] | None, dropped: list[str] | None) -> Choice:
    """The choice that --profile (except auto), --with and --without make."""
    from labctl.errors import InputError
    from labctl.model.service import PROFILES, Profile
    from labctl.model.topology import Choice

    known: dict[str, Profile] = {name: name for name in PROFILES}
    if profile not in (None, AUTO, *known):
        raise InputError(f"--profile is '{profile}', should be one of: {', '.join([*known, AUTO])}")
    wishes = [wish.partition(":") for wish in added or ()]
    return Choice(
        profile=known.get(profile or ""),
        add={service: role or None for service, _, role in wishes},
        drop=tuple(dropped or ()),
    )


def connect(choice: str | None) -> Engine:
    """Connect to the engine (imported late: help and completion need none)."""
    from labctl.engine.choose import connect as choose

    return choose(choice)


def attach(engine: str | None, name: str | None) -> tuple[Engine, Prepared]:
    """The engine and the lab of a command; the lab first, as a wrong name needs no engine."""
    from labctl.running import lifecycle

    prepared = lifecycle.current(name)
    return connect(engine), prepared


def attach_and_warn(engine: str | None, name: str | None) -> tuple[Engine, Prepared]:
    """As :func:`attach`, for commands that look at a lab or use it: warn of overdue faults."""
    driver, prepared = attach(engine, name)
    warn_overdue(prepared)
    return driver, prepared


def warn_overdue(prepared: Prepared) -> None:
    """Name the faults that outlive their leases, on standard error."""
    from labctl.faults import verbs

    for fault in verbs.overdue(prepared.lab):
        typer.echo(f"labctl: {fault.title} is overdue: `labctl heal` undoes it", err=True)


def attach_and_expire(engine: str | None, name: str | None) -> tuple[Engine, Prepared]:
    """As :func:`attach`, for commands that make or undo faults: undo overdue faults first.

    A fault that cannot be undone is reported and does not stop the command. If faults are left, a
    guardian is started in case theirs has been killed.
    """
    from labctl.faults import lease, verbs

    driver, prepared = attach(engine, name)
    healing = verbs.expire(driver, prepared.lab)
    said = [*healing.files, *(evidence.said for evidence in healing.done), *healing.left.values()]
    for line in said:
        typer.echo(f"labctl: {line}", err=True)
    if verbs.active(prepared.lab):
        lease.ensure_guardian(prepared.lab.name, driver.url)
    return driver, prepared
