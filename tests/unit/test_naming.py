"""No name of a lab has two meanings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.chaos.document import aims, words
from labctl.errors import InputError
from labctl.faults import targets
from labctl.model.lab import Lab
from labctl.model.reserved import RESERVED
from labctl.model.topology import TopologyDoc
from labctl.planning.desired import build_desired
from labctl.planning.render import Renderer
from labctl.resolve.naming import named
from labctl.resolve.resolution import resolve
from tests.unit.labs import IMAGES, USERS, service

PIECE = st.sampled_from(["a", "b", "c", "data", "disk", "shared", "job", "look"])
NAME = st.lists(PIECE, min_size=1, max_size=3).map("-".join)
NODE = NAME.filter(lambda name: len(name) <= 15)
"""Of so few pieces that names meet often."""


@st.composite
def documents(draw):
    """A catalogue and a topology whose names are like each other."""
    services = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    catalog = {
        name: service(
            settings={"disk": None},
            jobs=[
                {"name": job, "description": "d", "command": ["x"]}
                for job in draw(st.lists(PIECE, max_size=2, unique=True))
            ],
            container={
                "volumes": {v: f"/{v}" for v in draw(st.sets(PIECE, min_size=1, max_size=2))},
                "node_volumes": {v: f"/n/{v}" for v in draw(st.sets(PIECE, max_size=1))},
                "lab_volumes": {v: f"/l/{v}" for v in draw(st.sets(PIECE, max_size=1))},
            },
        )
        for name in services
    }
    catalog["toolbox"] = service(image="client", user="lab")
    nodes = draw(st.lists(NODE, min_size=1, max_size=4, unique=True))
    disks = draw(st.sets(st.sampled_from(services), max_size=1))
    topology = {
        "name": draw(NAME),
        "description": "d",
        "nodes": {name: {"roles": ["all"]} for name in nodes} | {"client": {"roles": ["client"]}},
        "roles": {"all": services, "client": ["toolbox"]},
        "services": {name: {"disk": "1M"} for name in disks},
    }
    return catalog, TopologyDoc.model_validate(topology)


@given(documents())
def test_all_names_of_a_lab_are_distinct(case) -> None:
    catalog, topology = case
    try:
        lab = resolve(topology, catalog)
    except InputError:
        return
    wanted = build_desired(lab, Renderer(lab, {}, USERS, None), IMAGES, ("p", "h"))  # type: ignore[arg-type]
    units = [
        unit
        for group in (wanted.holders, wanted.disks, wanted.instances, wanted.jobs)
        for unit in group.values()
    ]
    containers = [unit.spec.name for unit in units]
    volumes = {mount.volume for unit in units for mount in unit.spec.volumes}
    everything = [*containers, *volumes, wanted.network.name]
    assert len(everything) == len(set(everything))
    # And the check has seen every one of them.
    assert set(everything) <= {each.name for each in named(lab)}


def small(catalog, nodes) -> Lab:
    topology = {
        "name": "small",
        "description": "d",
        "nodes": {name: {"roles": roles} for name, roles in nodes.items()}
        | {"client": {"roles": ["client"]}},
        "roles": {"one": ["api"], "two": ["x-api"], "client": ["toolbox"]},
    }
    return resolve(TopologyDoc.model_validate(topology), catalog)


def test_two_instances_that_would_be_named_alike_are_refused() -> None:
    catalog = {"api": service(), "x-api": service(), "toolbox": service(image="client")}
    with pytest.raises(InputError) as raised:
        small(catalog, {"c1-x": ["one"], "c1": ["two"]})
    assert str(raised.value) == (
        "topology: nodes.c1-x: c1-x/api and c1/x-api would both be named 'small-c1-x-api'; "
        "rename one"
    )


def test_every_word_that_faults_are_aimed_with_is_reserved() -> None:
    parts = {*targets.PARTS, *targets.SERVERS, *words.PARTS, targets.VIP_HOLDER}
    parts |= {targets.GALERA_DONOR, targets.SENTINEL_LEADER}
    assert parts | {*words.SHARES, aims.OTHERS} <= RESERVED.keys()
