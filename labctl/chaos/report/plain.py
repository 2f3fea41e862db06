"""The report without pictures: JUnit XML, Markdown, and lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from labctl.chaos.report.markup import clean, tag
from labctl.chaos.report.record import Change, Data, Fault, Record, time_of
from labctl.chaos.report.verdicts import outcome_of
from labctl.chaos.report.words import count, moment, plain, seconds


@dataclass(frozen=True)
class Case:
    """Something with an outcome: a check, a budget, a fault, or the steady state."""

    group: str
    name: str
    outcome: str
    why: str
    remark: str = ""


def cases(record: Record) -> list[Case]:
    """Everything that decides a run's outcome; a run not judged yet is one unknown case."""
    if not record.verdict:
        return [Case("run", "judged", "UNKNOWN", record.why), *_steps(record)]
    found = [
        *_steady(record),
        *_steps(record),
        *map(_check, record.checks),
        *(_budget(budget, record) for budget in record.budgets),
    ]
    if record.outcome != "VALID" and all(case.outcome == "VALID" for case in found):
        found.append(Case("run", "outcome", record.outcome, record.why))
    return found


def junit(record: Record) -> str:
    """JUnit XML. INVALID is a failure, UNKNOWN an error.

    UNKNOWN is not skipped: a skipped test counts as passed, which a run without proof has not. In a
    run that is INVALID as its scenario expects, what is INVALID has passed.
    """
    found = cases(record)
    if record.as_expected:
        found = [replace(c, outcome="VALID") if c.outcome == record.outcome else c for c in found]
    tests = [
        tag(
            "testcase",
            *_result(case),
            classname=f"chaos.{record.title}.{case.group}",
            name=case.name,
            time="0",
        )
        for case in found
    ]
    properties = [
        tag("property", name=key, value=plain(record.run.get(key, "-")))
        for key in ("lab", "topology", "profile", "seed", "labctl")
    ]
    inside = [tag("properties", *properties), *tests]
    outcomes = [case.outcome for case in found]
    return xml(record.title, inside, outcomes, record.length, plain(record.run.get("began", "")))


def xml(
    name: str, inside: Sequence[Markup], outcomes: Sequence[str], length: float, began: str = ""
) -> str:
    """A JUnit document with one suite; ``length`` is in seconds."""
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("INVALID")),
        "errors": str(outcomes.count("UNKNOWN")),
        "skipped": "0",
        "time": f"{length:.1f}",
    }
    suite = tag("testsuite", *inside, name=name, timestamp=began or None, **counts)
    whole = tag("testsuites", suite, name="labctl chaos", **counts)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{whole}\n'


def summary(record: Record) -> str:
    """Markdown for a pull request: the outcome, a row for each case, how to repeat the run."""
    rows = [
        f"| {case.outcome} | {cell(case.group)} | {cell(case.name)} "
        f"| {cell(case.why)}{f' ({cell(case.remark)})' if case.remark else ''} |"
        for case in cases(record)
    ]
    facts = f"{count(len(record.faults), 'fault')}, "
    facts += f"{count(len(record.changes), 'change')}, " if record.changes else ""
    facts += f"{count(len(record.operations), 'operation')} in {seconds(record.length)}, "
    facts += f"seed {plain(record.run.get('seed', '-'))}"
    lines = [
        f"### {cell(record.title)}: {record.outcome}",
        "",
        cell(record.why),
        "",
        "| outcome | of | what | why |",
        "|---|---|---|---|",
        *rows,
        "",
        f"{cell(facts)}. Repeat: `labctl chaos replay {record.name}`",
        *(f"\n- {cell(note)}" for note in record.notes[:10]),
    ]
    return "\n".join(lines) + "\n"


def lines(record: Record) -> list[str]:
    """The verdict for a terminal, without colours: the outcome first, then what decided it.

    All that is VALID shares one line.
    """
    found = cases(record)
    good = [case for case in found if case.outcome == "VALID"]
    told = [f"{record.outcome}  {record.title}: {record.why}"]
    for outcome in ("INVALID", "UNKNOWN"):
        for case in (c for c in found if c.outcome == outcome):
            remark = f" ({case.remark})" if case.remark else ""
            told.append(f"  {outcome:<7}  {case.group} {case.name}: {case.why}{remark}")
    if good:
        names = ", ".join(dict.fromkeys(f"{case.group} {case.name}" for case in good))
        told.append(f"  VALID    {count(len(good), 'case')}: {plain(names, 400)}")
    told += [f"  note     {plain(note, 300)}" for note in record.notes]
    return [clean(line) for line in told]


def _steady(record: Record) -> Iterator[Case]:
    steady = record.verdict.get("steady")
    for when in ("before", "after"):
        state = steady.get(when) if isinstance(steady, dict) else None
        if not isinstance(state, dict) or state.get("held") is None:
            continue
        said = state.get("said")
        why = "; ".join(map(str, said)) if isinstance(said, list) and said else ""
        held = state["held"] is True
        outcome = "VALID" if held else "UNKNOWN" if when == "before" else record.outcome
        yield Case("steady", when, outcome, why or ("steady" if held else "not steady"))


def _steps(record: Record) -> Iterator[Case]:
    yield from map(_fault, record.faults)
    yield from map(_change, record.changes)


def _change(change: Change) -> Case:
    name = f"{change.said} at {moment(change.asked)}"
    if change.began is None:
        return Case("changes", name, "UNKNOWN", change.error or "it was not made")
    if change.ended is None or change.error:
        # Whether that is a failure of the lab is said by the check ``changed``.
        return Case("changes", name, "UNKNOWN", change.error or "it did not end")
    took = f"complete after {seconds(change.ended - change.began)}"
    return Case("changes", name, "VALID", f"{took}, {count(len(change.windows), 'window')}")


def _fault(fault: Fault) -> Case:
    name = f"{fault.said} at {moment(fault.asked)} bites"
    if fault.bites is None:
        return Case("faults", name, "UNKNOWN", fault.error or "it did not bite")
    return Case("faults", name, "VALID", f"bites from {moment(fault.bites)}")


def _check(check: Data) -> Case:
    return Case(
        group=plain(check.get("workload") or "lab"),
        name=plain(check.get("check") or "check"),
        outcome=outcome_of(check),
        why=plain(check.get("why", ""), 600),
        remark=plain(check.get("promise", "")),
    )


def _budget(budget: Data, record: Record) -> Case:
    step = record.cause(budget.get("fault"))
    when = "during" if isinstance(step, Change) else "after"
    after = f" {when} {step.said} at {moment(step.asked)}" if step else ""
    measured, bound = time_of(budget.get("measured")), time_of(budget.get("bound"))
    taken = f"{seconds(measured)} of {seconds(bound)}" if measured is not None else "not measured"
    return Case(
        group="budget",
        name=plain(budget.get("name", "")) + after,
        outcome=outcome_of(budget),
        why=plain(budget.get("why", ""), 600),
        remark=f"{taken}, {plain(budget.get('dominant', ''))}",
    )


def _result(case: Case) -> list[Markup]:
    kind = {"INVALID": "failure", "UNKNOWN": "error"}.get(case.outcome)
    if kind is None:
        return []
    return [tag(kind, case.remark, message=case.why, type=case.outcome)]


def cell(text: str) -> str:
    """Text for one cell of a Markdown table: no markup, links or mentions come of it."""
    line = " ".join(clean(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\`*_[]|@#":
        line = line.replace(sign, f"\\{sign}" if sign != "@" else "@\u200b")
    return line
