"""Options that several commands share, said once."""

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
        help="docker, podman or a socket's URL; else $DOCKER_HOST, else what is there.",
    ),
]


def lab_name(text: str) -> str:
    """Parse the name of a lab; InputError when none can have it."""
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
        help="Which lab, if several.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name", "-n", metavar="NAME", parser=lab_name, help="The lab's name; else the topology's."
    ),
]
TopologyArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TOPOLOGY]",
        help="A shipped topology ('labctl topologies'), a file, or - for standard input; "
        "else the lab that is there.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Say it as JSON, for machines.")]


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
        help="The lab's subnet; else the topology's, else a free /24 of 198.18.0.0/15.",
    ),
]


ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="PROFILE",
        help="support, core, full, or auto: the largest that fits this machine. "
        "Else as the lab was asked for before, else the topology's, else full.",
    ),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="SERVICE[:ROLE]", help="A service more, with what it needs; repeatable."
    ),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="SERVICE", help="A service less; repeatable."),
]


@contextmanager
def interruptible(advice: str) -> Iterator[None]:
    """Work of which an interrupt leaves something half-done: what to do about it is said then."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"interrupted; {advice}")
        raise


@contextmanager
def quiet() -> Iterator[None]:
    """Work that an interrupt is the usual end of: nothing is said."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("")
        raise


@dataclass(frozen=True)
class Wanted:
    """The lab that is asked for, as ``up``, ``plan`` and ``render`` take it."""

    topology: TopologyArgument = None
    name: NameOption = None
    subnet: SubnetOption = None
    profile: ProfileOption = None
    added: WithOption = None
    dropped: WithoutOption = None

    @property
    def choice(self) -> Choice:
        """What of the topology."""
        return chosen(self.profile, self.added, self.dropped)


def unfolded(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: a first parameter that is a dataclass becomes its fields."""
    first, *others = signature(command, eval_str=True).parameters.values()
    folded = first.annotation
    fields = signature(folded, eval_str=True).parameters

    @wraps(command)
    def unfolding(**given: Any) -> None:
        command(folded(**{name: given.pop(name) for name in fields}), **given)

    taken = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*fields.values(), *others)]
    unfolding.__signature__ = Signature(taken)  # type: ignore[attr-defined]
    unfolding.__annotations__ = {each.name: each.annotation for each in taken}
    return unfolding


def chosen(profile: str | None, added: list[str] | None, dropped: list[str] | None) -> Choice:
    """What --profile (but auto), --with and --without say."""
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
    """The engine to work with (imported late: help and completion need none)."""
    from labctl.engine.choose import connect as choose

    return choose(choice)


def attach(engine: str | None, name: str | None) -> tuple[Engine, Prepared]:
    """The engine and the lab a command is about: the lab first, as a wrong name needs no engine."""
    from labctl.running import lifecycle

    prepared = lifecycle.current(name)
    return connect(engine), prepared


def reach(engine: str | None, name: str | None) -> tuple[Engine, Prepared]:
    """The same for commands that look at a lab or use it: what is overdue is said, not undone."""
    driver, prepared = attach(engine, name)
    say_overdue(prepared)
    return driver, prepared


def say_overdue(prepared: Prepared) -> None:
    """Say which faults outlive their leases: on standard error, apart from what was asked for."""
    from labctl.faults import verbs

    for fault in verbs.overdue(prepared.lab):
        typer.echo(f"labctl: {fault.title} is overdue: `labctl heal` undoes it", err=True)


def change(engine: str | None, name: str | None) -> tuple[Engine, Prepared]:
    """The same for commands that make faults or undo some: first, what is overdue is undone.

    What cannot be undone is said, and keeps nobody from the command. Of faults that are left a
    guardian takes care, were it that theirs has been killed.
    """
    from labctl.faults import lease, verbs

    driver, prepared = attach(engine, name)
    healing = verbs.expire(driver, prepared.lab)
    said = [*healing.files, *(evidence.said for evidence in healing.done), *healing.left.values()]
    for line in said:
        typer.echo(f"labctl: {line}", err=True)
    if verbs.active(prepared.lab):
        lease.summon(prepared.lab.name, driver.url)
    return driver, prepared
