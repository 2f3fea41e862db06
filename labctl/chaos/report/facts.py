"""Sections of the page with facts: faults with their proof, operations, and the run itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from labctl.chaos.folder.history import Operation
from labctl.chaos.report.markup import join, tag
from labctl.chaos.report.record import Fault, Record
from labctl.chaos.report.verdicts import targets
from labctl.chaos.report.words import moment, plain, seconds

_MOST_ROWS = 400
_MOST_SCENARIO = 60_000


def faults(record: Record) -> Markup:
    """Every fault: when it was asked for, that it bit, and that nothing of it was left."""
    if not record.faults:
        return tag("p", "No fault was made.", class_="quiet")
    return tag("ol", *map(_fault, record.faults[:_MOST_ROWS]), class_="faults")


def operations(found: Mapping[int, Operation], record: Record) -> Markup:
    """The operations that checks refer to, by time, with the faults in force then."""
    if not found:
        return tag("p", "No check refers to a single operation.", class_="quiet")
    titles = ("began", "took", "workload", "process", "operation", "asked at", "end", "meanwhile")
    head = tag("tr", *(tag("th", title, scope="col") for title in titles))
    rows = [_operation(found[number], record.faults) for number in sorted(found)]
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="operations")
    return tag("div", table, class_="wide")


def about(record: Record) -> Markup:
    """How to repeat the run, its versions and settings, and what else is in its folder."""
    run, name = record.run, record.name
    versions = run.get("versions")
    known = versions if isinstance(versions, dict) else {}
    facts = {
        "repeat": tag("code", f"labctl chaos replay {name}"),
        "judge again": tag("code", f"labctl chaos check {name}"),
        "seed": plain(run.get("seed", "-")),
        "began": plain(run.get("began", "-")),
        "lab": f"{plain(run.get('lab', '-'))}, engine {plain(run.get('engine', '-'))}",
        "topology": f"{plain(run.get('topology', '-'))}, profile {plain(run.get('profile', '-'))}",
        "labctl": plain(run.get("labctl", "-")),
        "logs": join((tag("code", f"logs/{log}") for log in record.logs), ", ") or "none",
    }
    return join(
        (
            _facts(facts),
            _folded("Versions", _facts({str(k): plain(v) for k, v in known.items()}), bool(known)),
            _folded("Settings that promises and budgets depend on", _settings(run), True),
            _folded(
                "Scenario", tag("pre", record.scenario[:_MOST_SCENARIO]), bool(record.scenario)
            ),
        )
    )


def _fault(fault: Fault) -> Markup:
    bites = fault.bites
    proof = "did not bite"
    if bites is not None:
        proof = f"bites from {moment(bites)}, {seconds(max(bites - fault.asked, 0.0))} later"
    healed = f"healed at {moment(fault.healed)}" if fault.healed is not None else "not healed"
    if fault.healed is not None and bites is not None:
        healed += f" after {seconds(fault.healed - bites)}"
    facts = {
        "targets": targets(fault),
        "asked": moment(fault.asked),
        "it bit": proof,
        "evidence": _evidence(fault.evidence),
        "it was healed": healed,
        "evidence of healing": _evidence(fault.heal_evidence),
    }
    if fault.error:
        facts["why not"] = plain(fault.error, 400)
    class_ = "fault" if bites is not None else "fault missed"
    title = tag("h4", tag("i", class_=f"key {fault.family}"), " ", fault.said)
    return tag("li", title, _facts(facts), class_=class_, id=f"fault-{fault.index}")


def _evidence(data: Any) -> str:
    if not data:
        return "none recorded"
    if isinstance(data, dict):
        return "; ".join(f"{plain(key, 60)}: {_value(value)}" for key, value in data.items())
    return plain(data, 400)


def _value(value: Any) -> str:
    """A value of the evidence; those of several targets without brackets."""
    if isinstance(value, dict):
        return plain(", ".join(f"{key} {plain(each, 40)}" for key, each in value.items()), 200)
    return plain(value, 200)


def _operation(operation: Operation, faults: Iterable[Fault]) -> Markup:
    meanwhile = [
        f.said
        for f in faults
        if f.bites is not None
        and f.bites <= (operation.began if operation.ended is None else operation.ended)
        and (f.healed is None or f.healed >= operation.began)
    ]
    cut_short = "the run was cut short before its end" if operation.ended is None else ""
    error = operation.error or cut_short
    end = operation.end + (f": {plain(error, 200)}" if error else "")
    cells = (
        tag("th", moment(operation.began), scope="row"),
        tag("td", seconds(operation.seconds)),
        tag("td", operation.workload),
        tag("td", str(operation.process)),
        tag("td", tag("code", f"{operation.f} {plain(operation.value, 120)}")),
        tag("td", operation.at or "-"),
        tag("td", end, class_=f"end {operation.end if operation.end != 'info' else 'unknown'}"),
        tag("td", plain("; ".join(meanwhile) or "-")),
    )
    return tag("tr", *cells, id=f"op-{operation.number}")


def _settings(run: Mapping[str, Any]) -> Markup:
    settings = run.get("settings")
    if not isinstance(settings, dict) or not settings:
        return Markup("")
    return _facts({str(key): plain(value, 600) for key, value in settings.items()})


def _folded(title: str, inside: Markup, there: bool) -> Markup:
    return tag("details", tag("summary", title), inside) if there and inside else Markup("")


def _facts(facts: Mapping[str, str]) -> Markup:
    return tag("dl", *(join((tag("dt", key), tag("dd", value))) for key, value in facts.items()))
