"""The report for people: one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from markupsafe import Markup

from labctl.chaos.folder.history import Operation
from labctl.chaos.report import changes, facts, lanes, verdicts
from labctl.chaos.report.glance import glance
from labctl.chaos.report.markup import tag
from labctl.chaos.report.operations import concerned
from labctl.chaos.report.picture import picture
from labctl.chaos.report.record import Record
from labctl.chaos.report.words import SIGNS, count, plain, seconds

Keys = tuple[tuple[str, str], ...]
"""CSS class and meaning of each element of the picture."""

_BITTEN: Keys = (("key bites", "a fault bites"),)
_CHANGED: Keys = (
    ("key change", "a change of the lab"),
    ("key window", "planned outage of an instance"),
    ("key new", "a new one"),
)
_SEEN: Keys = (
    ("key held", "holds the virtual IP, or is a member"),
    ("key leads", "leads"),
    ("key odd", "joining, or out of quorum"),
    ("key hatched", "away, or two holders"),
)
_ASKED: Keys = (
    ("key ok", "acknowledged"),
    ("key fail", "failed"),
    ("key info", "unknown"),
    ("key silent", "nothing acknowledged"),
    ("key diamond", "operation in question"),
)
_SLEPT: Keys = (("key asleep", "the client itself did not run"),)


def html(record: Record) -> str:
    """The whole page: at most a few hundred kB, however long the run."""
    meant = _concerned(record)
    marked = {operation.number: operation for operation in meant.values()}
    body = tag(
        "main",
        _head(record),
        glance(record),
        _section("What happened", _figure(record, marked), "picture"),
        _section("Failover budgets", verdicts.budgets(record), "budgets"),
        _section("Promises", verdicts.ledger(record), "ledger"),
        _section("Verdicts", verdicts.checks(record, meant), "verdicts"),
        *_steps(record),
        _section("Operations in question", facts.operations(marked, record), "operations"),
        _section("This run", facts.about(record), "run"),
    )
    return document(f"{record.outcome}: {record.title}", body)


def _steps(record: Record) -> Iterator[Markup]:
    """What the timeline did: changes, and faults unless it had changes only."""
    if record.changes:
        yield _section("Changes", changes.section(record), "changes")
    if record.faults or not record.changes:
        yield _section("Faults, and the proof of them", facts.faults(record), "faults")


def document(title: str, body: Markup) -> str:
    """A self-contained HTML page."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),  # noqa: S704 - a file of ours
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def _head(record: Record) -> Markup:
    run, outcome = record.run, record.outcome
    chips = {
        "run": record.name,
        "lab": plain(run.get("lab", "-")),
        "topology": f"{plain(run.get('topology', '-'))}, {plain(run.get('profile', '-'))}",
        "seed": plain(run.get("seed", "-")),
        "began": plain(run.get("began", "-")),
        "length": seconds(record.length),
        "asked": count(len(record.operations), "operation"),
        "faults": str(len(record.faults)),
        **({"changes": str(len(record.changes))} if record.changes else {}),
    }
    items = [tag("li", tag("span", key), " ", tag("b", value)) for key, value in chips.items()]
    return tag(
        "header",
        tag("p", "labctl chaos", class_="kicker"),
        tag("h1", record.title),
        tag(
            "div",
            tag("p", tag("span", SIGNS[outcome], aria_hidden="true"), " ", outcome, class_="word"),
            tag("p", record.why, class_="why"),
            class_=f"outcome {outcome.lower()}",
        ),
        tag("ul", *_remarks(record), class_="remarks"),
        tag("ul", *items, class_="chips"),
        class_="top",
    )


def _remarks(record: Record) -> Iterator[Markup]:
    steady = record.verdict.get("steady")
    for when in ("before", "after"):
        state = steady.get(when) if isinstance(steady, dict) else None
        if isinstance(state, dict) and state.get("held") is not True:
            said = state.get("said")
            reasons = "; ".join(map(str, said)) if isinstance(said, list) else ""
            held = "was not steady" if state.get("held") is False else "was not observed"
            told = f": {plain(reasons, 400)}" if reasons else ""
            yield tag("li", f"The lab {held} {when} the faults{told}")
    expected = record.verdict.get("expected")
    if isinstance(expected, dict) and expected.get("outcome") not in (None, "VALID"):
        yield tag("li", f"The scenario expects {plain(expected['outcome'])}")
    for note in record.notes[:30]:
        yield tag("li", plain(note, 400))


def _figure(record: Record, marked: dict[int, Operation]) -> Markup:
    keys = [(f"key {class_}", f"{word} fault") for class_, word in lanes.legend(record.faults)]
    for drawn, said in (
        (record.faults, _BITTEN),
        (record.changes, _CHANGED),
        (record.observations, _SEEN),
        (record.operations, _ASKED),
        (record.lags, _SLEPT),
    ):
        keys += said if drawn else ()
    legend = [tag("li", tag("i", class_=class_), " ", word) for class_, word in keys]
    return tag(
        "figure",
        tag("div", picture(record, marked), class_="wide"),
        tag("figcaption", tag("ul", *legend, class_="legend")),
    )


def _section(title: str, inside: Markup, name: str) -> Markup:
    return tag("section", tag("h2", title), inside, id=name)


def _concerned(record: Record) -> dict[tuple[int, int], Operation]:
    found: dict[tuple[int, int], Operation] = {}
    for place, check in enumerate(record.checks):
        pieces = check.get("evidence")
        for at, piece in enumerate(pieces if isinstance(pieces, list) else []):
            operation = (
                concerned(record.operations, check, piece) if isinstance(piece, dict) else None
            )
            if operation is not None:
                found[place, at] = operation
    return found
