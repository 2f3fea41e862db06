"""The command that uses every service of a lab: verify."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from labctl.cli.live import Live
from labctl.cli.options import EngineOption, JsonOption, LabOption, attach_and_warn

if TYPE_CHECKING:
    from labctl.verify.choice import Step
    from labctl.verify.run import StepReport

_COLOURS = {"passed": "green", "failed": "bold red", "not run": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: labctl verify --step server --step volume")(verify)


def verify(
    steps: Annotated[
        list[str] | None,
        typer.Option("--step", "-s", metavar="NAME", help="Only this step and what it needs."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep what the steps create: servers, volumes and so on.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the steps.")] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Use every service of a lab as its users do, through the virtual IP.

    Exit code 0 when every step passed. What the steps create is removed at the end. Evidence,
    times and files are kept in the lab's reports.
    """
    from labctl.cli import show
    from labctl.running import lifecycle
    from labctl.verify.choice import choose
    from labctl.verify.run import verify as run

    if listed:
        _list(choose(lifecycle.current(lab).lab, steps or ()), as_json=as_json)
        return
    driver, prepared = attach_and_warn(engine, lab)
    chosen = choose(prepared.lab, steps or ())
    with _Lines(Console(stderr=as_json, highlight=False)) as watcher:
        report = run(driver, prepared.desired, chosen, watcher, keep=keep)
    if as_json:
        show.as_json(report)
    counts = [step["result"] for step in report["steps"]]
    parts = [f"{counts.count(kind)} {kind}" for kind in _COLOURS if kind in counts]
    watcher.note(f"lab {report['lab']}: {', '.join(parts) or 'no steps'}")
    if not report["passed"]:
        raise typer.Exit(1)


def _list(chosen: Sequence[Step], *, as_json: bool) -> None:
    from labctl.cli import show

    if as_json:
        show.as_json(
            [{"service": step.service, **step.doc.model_dump(mode="json")} for step in chosen]
        )
        return
    show.table(
        ["step", "what", "needs", "services"],
        [
            (step.name, step.doc.description, ", ".join(step.doc.needs), ", ".join(step.proves))
            for step in chosen
        ],
    )


class _Lines(Live):
    """Prints a line for each step that ends, with its evidence; on a terminal also what runs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._running: dict[str, float] = {}
        self._said: dict[str, list[str]] = {}

    def begun(self, steps: Sequence[Step]) -> None:
        """Print the number of steps."""
        self.note(f"{len(steps)} steps")

    def started(self, step: str) -> None:
        """Show a step while it runs."""
        self._running[step] = time.monotonic()
        self._refresh()

    def said(self, step: str, text: str) -> None:
        """Keep a step's evidence until it ends."""
        self._said.setdefault(step, []).append(text)

    def ended(self, report: StepReport) -> None:
        """Print the step's line, its evidence, and where to look if it failed."""
        self._running.pop(report["name"], None)
        result = Text(f"{report['result']:<8}", style=_COLOURS[report["result"]])
        what = f"{report['name']}: {report['description']}"
        seconds = f" ({report['seconds']:.1f} s)" if report["result"] != "not run" else ""
        self.line(Text.assemble(result, what, seconds))
        for text in self._said.pop(report["name"], []):
            self.line(Text(f"         {text}", style="dim"))
        if report["result"] == "failed":
            self.line(Text(f"         {report['failed_service']}: {report['error']}", style="red"))
            for command in report["logs"]:
                self.line(Text(f"         see {command}"))
        elif report["error"]:
            self.line(Text(f"         because {report['error']}"))
        self._refresh()

    def note(self, text: str) -> None:
        """Print a line."""
        self.line(text)

    def _refresh(self) -> None:
        if self._status:
            self._status.update(", ".join(self._running) or "waiting")
