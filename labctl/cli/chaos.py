"""The ``chaos`` commands: break a lab while clients use it, and judge the outcome."""

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
"""Seconds that clients may outlast a run's limit, so that always the run ends them."""

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its folder.")]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", help="Repeats random choices; drawn and printed if not given."),
]

chaos = typer.Typer(
    no_args_is_help=True,
    help="Break a lab while clients use it, and judge with evidence what was lost.",
    epilog="Exit codes of run, campaign, check, replay: 0 VALID, or what the scenario expects, "
    "1 INVALID, 4 UNKNOWN; "
    "2 your document or arguments, 3 the engine or the machine.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(chaos, name="chaos")


@chaos.command("list", epilog="Example: labctl chaos list galera")
def listed(
    word: Annotated[
        str,
        typer.Argument(metavar="[WORD]", help="Only those with it in their name, row or needs."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List the scenarios.

    Each with the first table row or limit that it is for, and how many more there are (+N).
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
        str | None, typer.Option("--lab", "-l", metavar="NAME", help="Only runs of this lab.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", metavar="N", min=1, help="Only the newest N.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs and their outcomes, those of removed labs included.

    The length is in seconds; a run that was killed has none.
    """
    from labctl.chaos.folder import runs as known
    from labctl.cli import chaos_lists, show

    found = known.rows(lab)[-(last or 0) :]
    if as_json:
        show.as_json(found)
    elif found:
        chaos_lists.runs(found)
    else:
        _say(["no runs yet: `labctl chaos run` starts one"])


@chaos.command("show", epilog="Example: labctl chaos show galera-writer-killed")
def shown(name: Annotated[str, typer.Argument(metavar="NAME|FILE")]) -> None:
    """Print a scenario's document."""
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
    """Run a scenario against a lab, and judge it."""
    from labctl.chaos.run import plan as plans

    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    _run_and_judge(
        lambda there: plans.from_scenario(name, there, chosen), lab, engine, as_json=as_json
    )


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
    """Run all scenarios that fit a lab, or those that words find, one after another.

    A word finds scenarios as in `list`. Scenarios that need what the lab or the machine lacks are
    left out, with the reason. The lab is repaired before each, as `up` does. The exit code is 1 if
    a run is INVALID, else that of the first scenario that could not be run, else 4 if one is
    UNKNOWN.
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
            results.append(_run_one(name, chosen, lab, engine))
    finally:
        # An interrupted campaign still prints its results so far.
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
    _run_and_judge(lambda there: plans.from_run(found, there), lab, engine, as_json=as_json)


@chaos.command("check", epilog="Example: labctl chaos check 20260101T120000_a1b2c3")
def check(run: RunArgument, as_json: JsonOption = False) -> None:
    """Judge a run again, from its folder alone."""
    from labctl.chaos.folder import layout

    _judge(layout.find(run), as_json=as_json)


@chaos.command("report", epilog="Example: labctl chaos report 20260101T120000_a1b2c3")
def report(run: RunArgument) -> None:
    """Write a run's report again: report.html, junit.xml and summary.md."""
    from labctl.chaos.folder import layout

    found = layout.find(run)
    _report(found)
    _say([f"see {found / 'report.html'}"])


@chaos.command("export", epilog="Example: labctl chaos export 20260101T120000_a1b2c3 --to elle")
def export(
    run: RunArgument,
    to: Annotated[str, typer.Option("--to", metavar="elle|porcupine|jepsen", help="Whose format.")],
) -> None:
    """Write a run's history as another checker reads it, a file for each workload.

    jepsen: history.edn of every workload; elle: transactions, and registers as such; porcupine: a
    log for each key of a register.
    """
    from labctl.chaos import export as formats
    from labctl.chaos.folder import history, layout

    found = layout.find(run)
    texts = formats.files(history.pair(history.read(found / layout.HISTORY), strict=False), to)
    for name, text in texts.items():
        layout.write(found, f"{to}-{name}", text)
    _say([f"see {found / f'{to}-{name}'}" for name in texts])


@chaos.command("overview", epilog="Example: labctl chaos overview --lab three-controller")
def overview(lab: LabOption = None) -> None:
    """Write one page about the newest run of each scenario in a lab.

    JUnit XML and Markdown are written beside it. The lab may be one that was removed.
    """
    _say([f"see {_overview(lab)}"])


@chaos.command("shrink", epilog="Example: labctl chaos shrink 20260101T120000_a1b2c3")
def shrink(
    run: RunArgument,
    most: Annotated[int, typer.Option("--runs", min=1, help="Maximum number of runs.")] = 30,
    lab: LabOption = None,
    engine: EngineOption = None,
) -> None:
    """Drop faults from an INVALID run while it stays INVALID; write the smallest scenario."""
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
    why = "none of them can be left out" if shrunk.minimal else "the maximum"
    _say([f"{left}, {why}: see {found / 'smallest.yml'}"])


@chaos.command("heal")
def heal(lab: LabOption = None, as_json: JsonOption = False, engine: EngineOption = None) -> None:
    """Undo whatever a run has left broken, and prove that nothing of it is left."""
    from labctl.cli.faults import heal as heal_faults

    heal_faults(lab, as_json=as_json, engine=engine)


def _run_and_judge(
    make: Callable[[Lab], Plan], lab: str | None, engine: str | None, *, as_json: bool
) -> None:
    _judge(_perform(make, lab, engine, to_stderr=as_json), as_json=as_json)


def _run_one(name: str, seed: int, lab: str | None, engine: str | None) -> Result:
    """Run and judge one scenario of a campaign; an error ends the scenario, not the campaign."""
    from labctl.chaos.folder import layout as files
    from labctl.chaos.run import plan as plans
    from labctl.chaos.run.campaign import Result, code_of
    from labctl.errors import LabctlError

    try:
        _repair(lab, engine)
        made = _perform(
            lambda there: plans.from_scenario(name, there, seed), lab, engine, to_stderr=True
        )
        found = _verdict(made)
        seconds = files.read_json(made, files.RUN).get("seconds")
    except LabctlError as error:
        typer.echo(f"labctl: {error}", err=True)
        return Result(name, None, str(error), error.exit_code)
    outcome = found["outcome"]
    typer.echo(f"{_headline(found)}: {found['why']}", err=True)
    return Result(name, outcome, found["why"], code_of(found), made.name, seconds)


def _repair(lab: str | None, engine: str | None) -> None:
    """Start what an earlier run has left stopped."""
    from labctl.cli.progress import display
    from labctl.running import lifecycle
    from labctl.state import store

    driver, prepared = attach(engine, lab)
    with store.lock(prepared.lab.name), display() as shown:
        lifecycle.up(driver, prepared, shown)


def _perform(
    make: Callable[[Lab], Plan], lab: str | None, engine: str | None, *, to_stderr: bool = False
) -> Path:
    """Carry out a plan in a lab, and return the run's folder."""
    from labctl.chaos.run import becoming, runner, workloads
    from labctl.cli.chaos_progress import Progress
    from labctl.faults import verbs
    from labctl.running import lifecycle
    from labctl.state import store

    # First without an engine: finding a mistake in the document needs none.
    there = lifecycle.current(lab)
    plan = make(there.lab)
    becoming.foresee(there, plan.changes, plan.source)
    driver, prepared = attach(engine, lab)
    plan = make(prepared.lab)
    steps = becoming.foresee(prepared, plan.changes, plan.source)
    becoming.check_there(driver, prepared, steps, plan.source)
    try:
        with store.lock(prepared.lab.name), Progress(to_stderr=to_stderr) as progress:
            counted = f"{len(plan.actions)} faults"
            counted += f", {len(plan.changes)} changes" if plan.changes else ""
            progress.note(f"{plan.scenario.name}, seed {plan.seed}, {counted}")
            most = plan.limit + plan.within + _SPARE
            made = workloads.in_lab(driver, prepared.desired, prepared.secrets, most)
            return runner.run(runner.Context(driver, prepared, made, progress, steps), plan)
    except KeyboardInterrupt as interrupt:
        left = [fault.title for fault in verbs.active(prepared.lab)]
        still = f"{', '.join(left)}: `labctl chaos heal` undoes it" if left else "nothing"
        interrupt.add_note(f"interrupted; still broken: {still}")
        raise


def _verdict(folder: Path) -> dict[str, Any]:
    """Judge a run, write its verdict and report into its folder, and return the verdict."""
    from labctl.chaos.folder import layout as files
    from labctl.chaos.judge import budgets, verdict

    found: dict[str, Any] = verdict.judge(folder, budgets.of_run).to_json()
    files.write_json(folder, files.VERDICT, found)
    _report(folder)
    return found


def _headline(found: dict[str, Any]) -> str:
    """The outcome, and whether it is as expected where that is not plain."""
    expected = found["expected"]
    if expected["outcome"] == "VALID":
        return str(found["outcome"])
    return f"{found['outcome']}, {'' if expected['met'] else 'not '}as expected"


def _judge(folder: Path, *, as_json: bool) -> None:
    """Judge a run, print the verdict, and exit with its code."""
    from labctl.chaos.run.campaign import code_of
    from labctl.cli import show

    found = _verdict(folder)
    if as_json:
        show.as_json({"run": folder.name, "folder": str(folder), **found})
    else:
        checks = [f"  {c['outcome']:<8} {c['workload']}: {c['why']}" for c in found["checks"]]
        budgets = [f"  {b['outcome']:<8} {b['name']}: {b['why']}" for b in found["budgets"]]
        head = f"{_headline(found)}: {found['why']}"
        _say([head, *checks, *budgets, f"run {folder.name}, see {folder / 'report.html'}"])
    if code := code_of(found):
        raise typer.Exit(code)


def _report(folder: Path) -> None:
    from labctl.chaos import report as reports
    from labctl.chaos.folder import layout as files

    for name, text in reports.made(folder).items():
        files.write(folder, name, text)


def _overview(lab: str | None) -> Path:
    """Write the overview of a lab's runs, and return its page. InputError when there are none."""
    from labctl.chaos.folder import layout as files
    from labctl.chaos.folder import runs as known
    from labctl.chaos.report import overview as pages
    from labctl.errors import InputError
    from labctl.state import paths, store

    name = lab or store.choose(None).name
    found = pages.entries(known.rows(name))
    if not found:
        raise InputError(f"lab '{name}' has no runs yet: `labctl chaos run` starts one")
    folder = paths.lab_dir(name) / store.REPORTS
    folder.mkdir(exist_ok=True)
    for file, text in pages.made(name, found).items():
        files.write(folder, file, text)
    return folder / pages.HTML


def _say(lines: list[str]) -> None:
    from labctl.cli.show import out

    for line in lines:
        out().print(line, soft_wrap=True, markup=False)
