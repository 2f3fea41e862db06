"""The command that brings back what is lost of a lab."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli.options import EngineOption, JsonOption, LabOption, connect, interruptible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.planning.recovery.model import Diagnosis
    from labctl.planning.steps import Plan

_UNFINISHED = "the next 'labctl recover' goes on where this one ended"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: labctl recover --dry-run mariadb")(recover)


def recover(
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]...", help="What to recover; by default everything."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is the matter and what would be done.")
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Bring a lab back after any loss, and say why before each step; does nothing if all is well.

    Each cluster is diagnosed: it goes on from its most recent data, and where only a person can
    choose, nothing is done, the choices are named, and the exit code is 1. Faults are healed first;
    what they have ended is brought back like any other loss.
    """
    from labctl.cli import show
    from labctl.cli.progress import display
    from labctl.running import lifecycle
    from labctl.running.recover import check_services
    from labctl.state import store

    wanted = tuple(dict.fromkeys(services or ()))
    prepared = lifecycle.current(lab)
    check_services(prepared.lab, wanted)
    driver, name = connect(engine), prepared.lab.name
    with store.lock(name), interruptible(_UNFINISHED), display() as report:
        found, made = lifecycle.diagnose(driver, prepared, report, wanted)
        lost = bool(made.steps) or not all(d.well for d in found.diagnoses)
        if lost and not dry_run:
            made = lifecycle.recover(driver, prepared, report, wanted)
    if as_json:
        show.as_json(document(name, found.diagnoses, made, done=lost and not dry_run))
    elif not lost:
        show.out().print(f"nothing of lab {name} is lost; nothing to do")
    elif dry_run:
        explain(found.diagnoses, made)
    else:
        show.out().print(f"lab {name} is recovered")
    if any(d.stops for d in found.diagnoses):
        raise typer.Exit(1)


def document(lab: str, diagnoses: Sequence[Diagnosis], made: Plan, *, done: bool) -> dict[str, Any]:
    """The document of ``--json``; ``plan`` are the titles of the steps that end it."""
    return {
        "lab": lab,
        "recovered": done,
        "diagnoses": [
            asdict(each) | {"steps": [{**asdict(s), "title": s.title} for s in each.steps]}
            for each in diagnoses
        ],
        "plan": [step.title for step in made.steps.values()],
    }


def explain(diagnoses: Sequence[Diagnosis], made: Plan) -> None:
    """Print what is the matter with each cluster, and each step with its reason."""
    from labctl.cli.show import out

    console = out()
    for each in diagnoses:
        if each.well:
            continue
        console.print(each.sentence, markup=False, soft_wrap=True)
        for number, step in enumerate(each.steps, 1):
            console.print(f"  {number}. {step.title}: {step.reason}", markup=False, soft_wrap=True)
    if made.steps:
        console.print("then")
    for done in made.steps.values():
        console.print(f"  {done.title}", markup=False, soft_wrap=True)
