"""The whole command line, and the exceptions that must get past its parser."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labctl import __version__
from labctl.cli import (
    chaos,
    checkpoints,
    faults,
    info,
    inside,
    lifecycle,
    machine,
    measure,
    nodes,
    recover,
    verify,
)
from labctl.errors import InputError

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises, whichever copy of click typer uses."""


class PassThroughError(Exception):
    """Carries what a command raised past the parser, which would handle it itself."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


class _Group(TyperGroup):
    """Lets interrupts and operating system errors through."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, EOFError, OSError) as error:
            raise PassThroughError(error) from error


_app = typer.Typer(
    name="labctl",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Stand up a highly available OpenStack control plane in containers, break it on "
    "purpose, and report what survived.",
    epilog="Start with 'labctl up three-controller'. Exit codes: 0 success, 1 the lab or a verdict "
    "is bad, 2 your document or arguments, 3 the engine, the machine or its files, 4 a chaos run "
    "proves nothing; 130 ^C, 143 SIGTERM, 129 the terminal hung up, 141 the output has no reader.",
)
lifecycle.register(_app)
nodes.register(_app)
recover.register(_app)
checkpoints.register(_app)
inside.register(_app)
faults.register(_app)
machine.register(_app)
info.register(_app)
measure.register(_app)
verify.register(_app)
chaos.register(_app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labctl {__version__}")
        raise typer.Exit


@_app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Holds the options that come before a command."""


@cache
def parser() -> Any:
    """The commands as the parser has them, made once."""
    return typer.main.get_command(_app)


def run() -> int:
    """Run the command that ``sys.argv`` names, and return its exit code.

    Raises what the command raised, and InputError, in the parser's words, for invalid arguments.
    """
    try:
        code = parser()(standalone_mode=False)
    except PassThroughError as carrier:
        raise carrier.cause from None
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except _USAGE_ERROR as error:
        told = getattr(error, "format_message", error.__str__)()
        raise InputError(f"{told} (see 'labctl --help')") from None
    return code if isinstance(code, int) else 0
