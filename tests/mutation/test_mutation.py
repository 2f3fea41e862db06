"""No good run is INVALID, and no corruption goes unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import pytest

from labctl.chaos.document.library import load_scenario, scenarios
from labctl.chaos.judge import budgets, verdict
from labctl.chaos.model.findings import Verdict
from labctl.documents.reader import read_yaml
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.workloads.registry import KINDS
from tests.mutation import damage, stores
from tests.mutation.stores import Mutant, Simulated
from tests.mutation.world import Run, simulate
from tests.unit.test_chaos_library import made_for
from tests.unit.test_chaos_timeline import lab

STORES = {(each.kind, each.way): each for each in stores.known()}
MAKERS = {key: each.make for key, each in STORES.items()}
RATE = 5.0
_OF_APIS = ("image", "token")
"""APIs are alike but for the names of things."""
_OF_RUNS = {("galera", "set"), ("vip", "probe"), ("rabbitmq", "quorum"), ("api", "token")}
"""Whose runs are damaged in ways that have nothing to do with the workload."""


def scenario(store: Simulated) -> dict[str, Any]:
    """One workload, and one fault that it feels."""
    entry = KINDS[store.kind][store.way]
    workload = {
        "name": "w",
        "kind": store.kind,
        "as": store.way,
        "rate": min(RATE, entry.most),
        "workers": 4 if entry.workers > 1 else 1,
        "settings": store.settings,
    }
    # What was asked for so long before a fault is not excused by it.
    late = 45 if store.kind == "api" else 25
    return {
        "name": "simulated",
        "description": "A member is killed",
        "needs": {"profile": store.profile},
        "workloads": [workload],
        "timeline": [{"at": f"{late}s", "fault": "kill", "target": store.target, "for": "15s"}],
        # Long enough for what may happen long after.
        "tail": "90s",
        "limit": "15m",
    }


@cache
def good(key: tuple[str, str], seed: int = 1) -> Run:
    store = STORES[key]
    return simulate(scenario(store), lab(store.profile), MAKERS, seed)


def judged(run: Run, folder: Path) -> Verdict | str:
    """The verdict; or the sentence that refuses the folder."""
    try:
        return verdict.judge(run.write(folder), budgets.of_run)
    except InputError as error:
        return str(error)


def _mutants() -> Iterator[Any]:
    for key, store in STORES.items():
        served = damage.OF_A_WORKLOAD if store.kind != "api" or store.way in _OF_APIS else ()
        every = (*store.mutants, *served, *(damage.OF_A_RUN if key in _OF_RUNS else ()))
        for mutant in every:
            marks = [pytest.mark.xfail(reason=mutant.missed, strict=True)] if mutant.missed else []
            name = f"{store.kind}/{store.way}: {mutant.name}"
            yield pytest.param(key, mutant, id=name, marks=marks)


def test_every_workload_is_simulated() -> None:
    ways = {(kind, way) for kind, each in KINDS.items() for way in each}
    assert set(STORES) == ways


@pytest.mark.parametrize("key", [pytest.param(k, id="/".join(k)) for k in STORES])
def test_a_good_run_is_valid(key: tuple[str, str], tmp_path: Path) -> None:
    found = judged(good(key), tmp_path)
    assert isinstance(found, Verdict), found
    assert found.outcome == "VALID", found.why


@pytest.mark.parametrize(("key", "mutant"), [*_mutants()])
def test_a_corruption_is_noticed(key: tuple[str, str], mutant: Mutant, tmp_path: Path) -> None:
    run = good(key).copy()
    dice = Random(crc32(f"{key}{mutant.name}".encode()))  # noqa: S311 - to repeat it
    if mutant.change(run, "w", dice) is False:
        if mutant.missed:
            pytest.xfail(mutant.missed)
        pytest.skip("there is nothing of that in this run")
    found = judged(run, tmp_path)
    assert isinstance(found, Verdict), found
    assert found.outcome in mutant.right, found.why


def small(document: dict[str, Any]) -> dict[str, Any]:
    """The same scenario with fewer operations, so that a hundred take seconds."""
    works = [{**w, "rate": min(w.get("rate", 6), 6)} for w in document["workloads"]]
    return {**document, "workloads": works}


@pytest.mark.parametrize("name", scenarios())
def test_no_good_run_of_the_library_is_invalid(name: str, tmp_path: Path) -> None:
    doc, _ = load_scenario(scenarios()[name])
    run = simulate(small(read_yaml(scenarios()[name])), _lab(name), MAKERS, seed=1)
    found = judged(run, tmp_path)
    assert isinstance(found, Verdict), found
    # What it is there to show does not show in a simulation in which nothing is lost; and a part
    # that nobody plays in it cannot be hit.
    if found.outcome == "UNKNOWN" and (doc.expect.known or doc.expect.away):
        assert "did not show" in found.why, found.why
    elif any(row["error"] for row in run.timeline):
        assert found.outcome == "UNKNOWN", found.why
    else:
        assert found.outcome == "VALID", found.why


@cache
def _lab(name: str) -> Lab:
    doc, _ = load_scenario(scenarios()[name])
    return replace(made_for(doc.needs))
