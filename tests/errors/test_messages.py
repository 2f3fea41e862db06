"""Bad documents and what exactly is said of each: ``<case>.yml`` beside ``<case>.txt``."""

from pathlib import Path

import pytest

from labctl.chaos.document.library import load_scenario
from labctl.chaos.run import changes, fit
from labctl.documents.catalog import load_catalog
from labctl.documents.reader import load, load_with_source
from labctl.documents.topologies import load_topology, shipped
from labctl.errors import InputError
from labctl.faults.kinds import registered
from labctl.model.service import ServiceDoc
from labctl.model.topology import Choice, TopologyDoc
from labctl.resolve.resolution import resolve
from labctl.resolve.selection import select
from labctl.workloads.registry import KINDS

HERE = Path(__file__).parent
CATALOGUE = HERE.parent / "data" / "catalogue" / "compose"


def cases(kind):
    return stems(kind, "yml")


def stems(kind, suffix):
    return sorted(path.stem for path in (HERE / kind).glob(f"*.{suffix}"))


def expected(kind, case):
    text = (HERE / kind / f"{case}.txt").read_text(encoding="utf-8").removesuffix("\n")
    # What there is to choose from is the registries' to say.
    return text.replace("{faults}", ", ".join(registered())).replace("{stores}", ", ".join(KINDS))


@pytest.fixture(scope="module")
def catalog():
    return load_catalog(CATALOGUE)


@pytest.fixture(scope="module")
def lab():
    """The support tier: what scenarios name is in the shipped catalogue."""
    catalog = load_catalog()
    topology, source = load_topology(shipped()["three-controller"])
    choice = Choice(profile="support")
    return resolve(select(topology, catalog, choice, source), catalog, source=source)


@pytest.mark.parametrize("case", cases("topology"))
def test_topology(case, catalog, monkeypatch):
    monkeypatch.chdir(HERE / "topology")
    path = Path(f"{case}.yml")
    with pytest.raises(InputError) as caught:
        topology, source = load_topology(path)
        resolve(select(topology, catalog, Choice(), source), catalog, source=source)
    assert str(caught.value) == expected("topology", case)


@pytest.mark.parametrize("case", cases("service"))
def test_service(case, monkeypatch):
    monkeypatch.chdir(HERE / "service")
    with pytest.raises(InputError) as caught:
        load(Path(f"{case}.yml"), ServiceDoc)
    assert str(caught.value) == expected("service", case)


@pytest.mark.parametrize("case", cases("scenario"))
def test_scenario(case, lab, monkeypatch):
    monkeypatch.chdir(HERE / "scenario")
    with pytest.raises(InputError) as caught:
        scenario, source = load_scenario(Path(f"{case}.yml"))
        fit.check(scenario, lab, source=source)
        changes.check(changes.planned(scenario, 1, 0), lab, source)
    assert str(caught.value) == expected("scenario", case)


@pytest.mark.parametrize("kind", ["topology", "service", "scenario"])
def test_every_case_has_its_message(kind):
    assert stems(kind, "txt") == cases(kind)


def test_the_document_that_the_cases_are_made_of_is_good(catalog):
    topology, source = load_with_source(HERE.parent / "data" / "topology.yml", TopologyDoc)
    assert len(resolve(topology, catalog, source=source).nodes) == 4


def test_the_scenario_that_the_cases_are_made_of_is_good(lab):
    scenario, source = load_scenario(HERE.parent / "data" / "scenario.yml")
    fit.check(scenario, lab, source=source)
