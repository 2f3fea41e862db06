"""The library: every document is good, fits the lab it is for, and all of the table is covered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.chaos.document.library import find, load_sabotage, load_scenario, sabotages, scenarios
from labctl.chaos.document.scenario import NeedsDoc
from labctl.chaos.document.words import FAULTS, PARTS, WORKLOADS
from labctl.chaos.model import spans
from labctl.chaos.run import fit
from labctl.chaos.run.changes import check, planned
from labctl.chaos.run.timeline import resolve
from labctl.documents.catalog import load_catalog
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.resolve import table
from tests.unit.test_chaos_timeline import lab

LIMITS = {
    "split brain of the virtual IP",
    "cinder-volume",
    "tenant's load balancer",
    "nothing restarts by itself",
    "whole-cluster restart",
}


def made_for(needs: NeedsDoc) -> Lab:
    """The shipped lab with the settings that a scenario needs; each must be there to be set."""
    base = lab(needs.profile)
    services = dict(base.services)
    for name, settings in needs.settings.items():
        assert settings.keys() <= services[name].settings.keys()
        services[name] = replace(services[name], settings={**services[name].settings, **settings})
    return replace(base, services=services)


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_fits_the_lab_that_it_needs(name: str) -> None:
    doc, source = load_scenario(scenarios()[name])
    assert doc.name == name
    fitting = made_for(doc.needs)
    fit.check(doc, fitting, source=source)
    actions = resolve(doc, fitting, 1)
    changes = planned(doc, 1, len(actions))
    check(changes, fitting, source)
    assert len(actions) == sum(step.count for step in doc.timeline if step.choices)
    assert len(actions) + len(changes) == sum(step.count for step in doc.timeline)
    assert all(action.said for action in (*actions, *changes))
    if doc.expect.known is not None:
        assert doc.source, "a known finding names where it was published"


@pytest.mark.parametrize("name", sabotages())
def test_a_sabotage_sets_what_can_be_set(name: str) -> None:
    doc, source = load_sabotage(sabotages()[name])
    assert (doc.name, doc.scenario.name) == (name, name)
    assert doc.scenario.expect.outcome in doc.must.outcome
    fitting = made_for(NeedsDoc(profile=doc.profile, settings=doc.settings))
    fit.check(doc.scenario, fitting, source=source)
    resolve(doc.scenario, fitting, 1)
    assert doc.topology.services == doc.settings


def test_every_row_and_every_limit_has_a_scenario() -> None:
    rows = {row for path in scenarios().values() for row in load_scenario(path)[0].row}
    wanted = {
        row["process"]
        for row in table.of_catalog(load_catalog())
        if row["system"] != "-" and not row["retired"]
    }
    assert wanted | LIMITS <= rows


def test_every_fault_and_every_part_has_a_scenario() -> None:
    docs = [load_scenario(path)[0] for path in scenarios().values()]
    steps = [fault for doc in docs for step in doc.timeline for fault in step.choices]
    assert {step.fault for step in steps} == set(FAULTS)
    said = [str(value) for step in steps for value in step.terms.values()]
    assert {part for part in PARTS if any(part in each for each in said)} == set(PARTS)
    ways = {(workload.kind, workload.as_) for doc in docs for workload in doc.workloads}
    assert ways == {(kind, way) for kind, each in WORKLOADS.items() for way in each}
    actions = {action.name for service in load_catalog().values() for action in service.actions}
    assert {step.action for step in steps if step.action} == actions


def test_scenarios_of_the_support_tier_are_short() -> None:
    for path in scenarios().values():
        doc, _ = load_scenario(path)
        if doc.needs.profile == "support" and doc.name != "nemesis":
            assert max((step.end for step in doc.timeline), default=0) <= 60
            assert spans.seconds(doc.tail) <= 60


def test_a_scenario_is_found_by_name_or_by_path() -> None:
    assert find("nemesis") == scenarios()["nemesis"]
    assert find("./mine.yml") == Path("mine.yml")
    with pytest.raises(InputError) as caught:
        find("nemesys")
    assert str(caught.value) == (
        "there is no scenario 'nemesys': did you mean 'nemesis'? Or give the path of a .yml file"
    )
