"""Commands that break a lab while clients use it, and judge what came of it: chaos."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labctl.cli.options import EngineOption, JsonOption, LabOption, attach

if TYPE_CHECKING:
    from collections.abc import Callable

    from labctl.chaos.run.campaign import Result
    from labctl.chaos.run.plan import Plan
    from labctl.model.lab import Lab

_SPARE = 60.0
"""Seconds that clients would go on beyond what a run may take: the run ends them, not they it."""

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its folder.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Repeats what is random; drawn and said without.")
]

chaos = typer.Typer(
    no_args_is_help=True,
    help="Break a lab while clients use it, and judge with evidence what was lost.",
    epilog="Exit codes of run, campaign, check, replay: 0 VALID, 1 INVALID, 4 UNKNOWN; "
    "2 your document or arguments, 3 the engine or the machine.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(chaos, name="chaos")


@chaos.command("list", epilog="Example: labctl chaos list galera")
def listed(
    word: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Those only that have it in name, row or needs.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say which scenarios there are.

    Each with the first of the rows of the table or limits that it is for; + how many more.
    """
    from labctl.chaos.document import library
    from labctl.cli import chaos_lists, show
    from labctl.errors import InputError

    docs = sorted(library.about(word), key=lambda doc: doc.name)
    if not docs:
        raise InputError(f"no scenario has '{word}' in its name, rows or needs: leave it out")
    if as_json:
        show.as_json([doc.model_dump(mode="json", by_alias=True) for doc in docs])
    else:
        chaos_lists.scenarios(docs)


@chaos.command("runs", epilog="Example: labctl chaos runs --lab three-controller")
def runs(
    lab: Annotated[
        str | None, typer.Option("--lab", "-l", metavar="NAME", help="Only this lab's.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", metavar="N", min=1, help="The newest N only.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which runs there are, and what came out.

    Runs of labs that are gone, too. The length is in seconds, and none where a run was killed.
    """
    from labctl.chaos.folder import runs as known
    from labctl.cli import chaos_lists, show

    found = known.rows(lab)[-(last or 0) :]
    if as_json:
        show.as_json(found)
    elif found:
        chaos_lists.runs(found)
    else:
        _say(["no run yet: `labctl chaos run` makes one"])


@chaos.command("show", epilog="Example: labctl chaos show galera-writer-killed")
def shown(name: Annotated[str, typer.Argument(metavar="NAME|FILE")]) -> None:
    """Say what a scenario does, as its document has it."""
    from labctl.chaos.document import library

    path = library.find(name)
    library.load_scenario(path)
    typer.echo(path.read_text(encoding="utf-8"), nl=False)


@chaos.command("run", epilog="Example: labctl chaos run galera-writer-killed --seed 7")
def run(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")],
    seed: SeedOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Carry a scenario out against a lab, and judge it."""
    from labctl.chaos.run import plan as plans

    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    _carry_out(lambda there: plans.from_scenario(name, there, chosen), lab, engine, as_json=as_json)


@chaos.command("campaign", epilog="Example: labctl chaos campaign galera rabbitmq ./mine.yml")
def campaign(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD|NAME|FILE", show_default=False)
    ] = None,
    seed: SeedOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Carry out all scenarios that fit a lab, one after another, or those that words find.

    A word finds scenarios as `list` does. What a lab or the machine lacks leaves those out, and is
    said. Before each the lab is mended, as `up` does. The exit code is 1 if a run is INVALID, else
    that of the first that could not be carried out, else 4 if one is UNKNOWN.
    """
    from functools import partial

    from labctl.chaos.run import campaign as campaigns
    from labctl.chaos.run.injector import require
    from labctl.cli import chaos_lists, show
    from labctl.running import lifecycle

    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    campaigns.choose(words or (), lifecycle.current(lab).lab)
    driver, prepared = attach(engine, lab)
    choice = campaigns.choose(words or (), prepared.lab, partial(require, driver, prepared.lab))
    results: list[Result] = []
    try:
        for number, name in enumerate(choice.names, 1):
            typer.echo(f"{number} of {len(choice.names)}: {name}", err=True)
            results.append(_one_of_many(name, chosen, lab, engine))
    finally:
        # Whoever interrupts it learns what is known by then.
        if as_json:
            rows = [result.to_json() for result in results]
            show.as_json({"seed": chosen, "results": rows, "left_out": choice.left_out})
        else:
            chaos_lists.results(results, choice.left_out)
            _say([campaigns.tally(results, choice.left_out)])
        if any(result.run for result in results):
            page = _overview(prepared.lab.name)
            typer.echo(f"see {page}", err=as_json)
    if code := campaigns.worst(results):
        raise typer.Exit(code)


@chaos.command("replay", epilog="Example: labctl chaos replay 20260101T120000_a1b2c3")
def replay(
    run: RunArgument,
    lab: LabOption = None,
    as_json: JsonOption = False,
    engine: EngineOption = None,
) -> None:
    """Repeat a run's faults: the same targets at the same times."""
    from labctl.chaos.folder import layout
    from labctl.chaos.run import plan as plans

    found = layout.find(run)
    _carry_out(lambda there: plans.from_run(found, there), lab, engine, as_json=as_json)


@chaos.command("check", epilog="Example: labctl chaos check 20260101T120000_a1b2c3")
def check(run: RunArgument, as_json: JsonOption = False) -> None:
    """Judge a run again, from its folder alone."""
    from labctl.chaos.folder import layout

    _judge(layout.find(run), as_json=as_json)


@chaos.command("report", epilog="Example: labctl chaos report 20260101T120000_a1b2c3")
def report(run: RunArgument) -> None:
    """Write a run's report anew: report.html, junit.xml and summary.md."""
    from labctl.chaos.folder import layout

    found = layout.find(run)
    _report(found)
    _say([f"see {found / 'report.html'}"])


@chaos.command("overview", epilog="Example: labctl chaos overview --lab three-controller")
def overview(lab: LabOption = None) -> None:
    """Write one page about the newest run of each scenario in a lab.

    Beside it, the same as JUnit XML and as Markdown. A lab that is gone may be named, too.
    """
    _say([f"see {_overview(lab)}"])


@chaos.command("shrink", epilog="Example: labctl chaos shrink 20260101T120000_a1b2c3")
def shrink(
    run: RunArgument,
    most: Annotated[int, typer.Option("--runs", min=1, help="Runs at most.")] = 30,
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Leave out faults of an INVALID run while it stays INVALID; writes the smallest scenario."""
    from labctl.chaos.folder import layout as files
    from labctl.chaos.judge import budgets, verdict
    from labctl.chaos.model.findings import Outcome
    from labctl.chaos.run import plan as plans
    from labctl.chaos.run import shrink as shrinking
    from labctl.documents.reader import dumps, read_yaml

    found = files.find(run)
    timeline = files.read_json(found, files.TIMELINE)

    def judge(part: tuple[Any, ...]) -> Outcome:
        kept = [int(entry["index"]) for entry in part]
        made = _perform(lambda there: plans.from_run(found, there, kept), lab, engine)
        judged = verdict.judge(made, budgets.of_run)
        files.write_json(made, files.VERDICT, judged.to_json())
        _say([f"{len(part)} faults: {judged.outcome}, {judged.why}"])
        return judged.outcome

    shrunk = shrinking.shrink(timeline, judge, most=most)
    began = float(files.read_json(found, files.RUN).get("workloads_began", 0.0))
    smallest = shrinking.smallest(read_yaml(found / files.SCENARIO), shrunk.timeline, began)
    files.write(found, "smallest.yml", dumps(smallest))
    left = f"{len(shrunk.timeline)} of {len(timeline)} faults are left after {shrunk.runs} runs"
    none = "none of them can be left out" if shrunk.minimal else "there was no time for more"
    _say([f"{left}, {none}: see {found / 'smallest.yml'}"])


@chaos.command("heal")
def heal(lab: LabOption = None, as_json: JsonOption = False, engine: EngineOption = None) -> None:
    """Undo whatever a run has left broken, and prove that nothing of it is left."""
    from labctl.cli.faults import heal as heal_faults

    heal_faults(lab, as_json=as_json, engine=engine)


def _carry_out(
    make: Callable[[Lab], Plan], lab: str | None, engine: str | None, *, as_json: bool
) -> None:
    _judge(_perform(make, lab, engine, to_stderr=as_json), as_json=as_json)


def _one_of_many(name: str, seed: int, lab: str | None, engine: str | None) -> Result:
    """A scenario of a campaign, carried out and judged; an error ends it, not the campaign."""
    from labctl.chaos.folder import layout as files
    from labctl.chaos.run import plan as plans
    from labctl.chaos.run.campaign import CODES, Result
    from labctl.errors import LabctlError

    try:
        _mend(lab, engine)
        made = _perform(
            lambda there: plans.from_scenario(name, there, seed), lab, engine, to_stderr=True
        )
        found = _verdict(made)
        seconds = files.read_json(made, files.RUN).get("seconds")
    except LabctlError as error:
        typer.echo(f"labctl: {error}", err=True)
        return Result(name, None, str(error), error.exit_code)
    outcome = found["outcome"]
    typer.echo(f"{outcome}: {found['why']}", err=True)
    return Result(name, outcome, found["why"], CODES[outcome], made.name, seconds)


def _mend(lab: str | None, engine: str | None) -> None:
    """Start what a run before has left dead."""
    from labctl.cli.progress import display
    from labctl.running import lifecycle
    from labctl.state import store

    driver, prepared = attach(engine, lab)
    with store.lock(prepared.lab.name), display() as shown:
        lifecycle.up(driver, prepared, shown)


def _perform(
    make: Callable[[Lab], Plan], lab: str | None, engine: str | None, *, to_stderr: bool = False
) -> Path:
    """Carry a plan out in a lab; the run's folder."""
    from labctl.chaos.run import runner, workloads
    from labctl.cli.chaos_progress import Progress
    from labctl.faults import verbs
    from labctl.running import lifecycle
    from labctl.state import store

    # Before an engine is needed: a mistake in the document needs none.
    make(lifecycle.current(lab).lab)
    driver, prepared = attach(engine, lab)
    plan = make(prepared.lab)
    try:
        with store.lock(prepared.lab.name), Progress(to_stderr=to_stderr) as progress:
            progress.note(f"{plan.scenario.name}, seed {plan.seed}, {len(plan.actions)} faults")
            most = plan.limit + plan.within + _SPARE
            made = workloads.in_lab(driver, prepared.desired, prepared.secrets, most)
            return runner.run(runner.Context(driver, prepared, made, progress), plan)
    except KeyboardInterrupt as interrupt:
        left = [fault.title for fault in verbs.active(prepared.lab)]
        still = f"{', '.join(left)}: `labctl chaos heal` mends it" if left else "nothing"
        interrupt.add_note(f"interrupted; still broken: {still}")
        raise


def _verdict(folder: Path) -> dict[str, Any]:
    """Judge a run; verdict and report are written into its folder."""
    from labctl.chaos.folder import layout as files
    from labctl.chaos.judge import budgets, verdict

    found: dict[str, Any] = verdict.judge(folder, budgets.of_run).to_json()
    files.write_json(folder, files.VERDICT, found)
    _report(folder)
    return found


def _judge(folder: Path, *, as_json: bool) -> None:
    """Verdict and report, and the exit code of the verdict."""
    from labctl.chaos.run.campaign import CODES
    from labctl.cli import show

    found = _verdict(folder)
    if as_json:
        show.as_json({"run": folder.name, "folder": str(folder), **found})
    else:
        checks = [f"  {c['outcome']:<8} {c['workload']}: {c['why']}" for c in found["checks"]]
        budgets = [f"  {b['outcome']:<8} {b['name']}: {b['why']}" for b in found["budgets"]]
        head = f"{found['outcome']}: {found['why']}"
        _say([head, *checks, *budgets, f"run {folder.name}, see {folder / 'report.html'}"])
    if code := CODES[found["outcome"]]:
        raise typer.Exit(code)


def _report(folder: Path) -> None:
    from labctl.chaos import report as reports
    from labctl.chaos.folder import layout as files

    for name, text in reports.made(folder).items():
        files.write(folder, name, text)


def _overview(lab: str | None) -> Path:
    """Write the overview of a lab's runs; its page. InputError when it has none."""
    from labctl.chaos.folder import layout as files
    from labctl.chaos.folder import runs as known
    from labctl.chaos.report import overview as pages
    from labctl.errors import InputError
    from labctl.state import paths, store

    name = lab or store.choose(None).name
    found = pages.entries(known.rows(name))
    if not found:
        raise InputError(f"lab '{name}' has no run yet: `labctl chaos run` makes one")
    folder = paths.lab_dir(name) / store.REPORTS
    folder.mkdir(exist_ok=True)
    for file, text in pages.made(name, found).items():
        files.write(folder, file, text)
    return folder / pages.HTML


def _say(lines: list[str]) -> None:
    from labctl.cli.show import out

    for line in lines:
        out().print(line, soft_wrap=True, markup=False)
