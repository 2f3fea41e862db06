"""The command line: every command, and the one place where errors become an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from labctl import __version__
from labctl.cli import chaos, faults, info, inside, lifecycle, machine, measure, verify
from labctl.cli.live import hush
from labctl.cli.options import INTERRUPTED
from labctl.errors import LabctlError
from labctl.state import paths
from labctl.state.private import private_file

USAGE = 2

_USAGE_ERROR = typer.BadParameter.__mro__[1]
"""What the parser raises, whichever click typer brings along."""

app = typer.Typer(
    name="labctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Stand up a highly available OpenStack control plane in containers, break it on "
    "purpose, and say truthfully what survived.",
    epilog="Start with 'labctl up three-controller'. Exit codes: 0 well, 1 the lab or a verdict "
    "is bad, 2 your document or arguments, 3 the engine or the machine, 4 a run of chaos cannot be "
    "judged, 130 interrupted.",
)
lifecycle.register(app)
inside.register(app)
faults.register(app)
machine.register(app)
info.register(app)
measure.register(app)
verify.register(app)
chaos.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labctl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Only carries the options that come before a command."""


def run() -> None:
    """Entry point of the ``labctl`` program."""
    sys.exit(_guarded())


def _guarded() -> int:
    try:
        code = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted; the next 'labctl up' finishes what was begun, 'labctl down' undoes it")
        code = INTERRUPTED
    except BrokenPipeError:
        hush(sys.stdout)  # nothing is left to be said
        code = 0
    except LabctlError as error:
        _say(str(error))
        code = error.exit_code
    except Exception as error:
        code = _usage(error) if isinstance(error, _USAGE_ERROR) else _defect(error)
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> int:
    """Arguments that make no sense, in the parser's words."""
    told = getattr(error, "format_message", lambda: str(error))()
    _say(f"{told} (see 'labctl --help')")
    return USAGE


def _defect(error: Exception) -> int:
    """A defect of labctl: one line for the person, the traceback in a file for us."""
    path = paths.home() / "defect.log"
    private_file(path, "".join(traceback.format_exception(error)))
    _say(f"a defect in labctl ({type(error).__name__}: {error}); please report {path}")
    return LabctlError.exit_code


def _say(text: str) -> None:
    sys.stderr.write(f"labctl: {text}\n")
