"""Labs that are brought up at once: each has a subnet of its own, whoever brings it up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labctl.documents.source import Source
from labctl.engine.port import LABEL, Network
from labctl.errors import SubnetTakenError
from labctl.planning.desired import Desired, build_desired
from labctl.planning.render import Renderer
from labctl.resolve import request
from labctl.resolve.resolution import resolve
from labctl.running import lifecycle
from labctl.state import paths, store
from tests.fakes.engine import FakeEngine
from tests.unit.labs import IMAGES, USERS
from tests.unit.test_lab import Quiet
from tests.unit.test_moving import CATALOGUE, TOPOLOGY

POOL = [str(subnet) for subnet in list(request.POOL.subnets(new_prefix=24))[:6]]


class NetworkOnly:
    """An executor that makes the lab's network and nothing else."""

    def __init__(self, engine: FakeEngine, desired: Desired, *_: Any, **__: Any) -> None:
        self._engine, self._network = engine, desired.network

    def run(self) -> None:
        self._engine.create_network(self._network)


def prepare(record: store.Record, *_: object) -> lifecycle.Prepared:
    made = resolve(record.topology, CATALOGUE, name=record.name, subnet=record.subnet)
    wanted = build_desired(made, Renderer(made, {}, USERS, Path()), IMAGES, (f"{made.name}-p", "h"))
    return lifecycle.Prepared(record, wanted, {})


class World:
    """One engine, and people with state folders of their own who bring labs up on it."""

    def __init__(self, patch: pytest.MonkeyPatch, directory: Path, taken: list[str]) -> None:
        self.engine, self._mine = FakeEngine(), threading.local()
        self._directory = directory
        for tag in IMAGES.values():
            self.engine.add_image(tag)
        for number, subnet in enumerate(taken):
            self.engine.create_network(Network(f"other-{number}", subnet, "x", {LABEL: "other"}))
        patch.setattr(lifecycle, "Executor", NetworkOnly)
        patch.setattr(lifecycle, "prepare", prepare)
        patch.setattr(lifecycle.fit, "check", lambda *_: None)
        patch.setattr(paths, "home", lambda: self._mine.home)

    def up(self, name: str, person: int, subnet: str | None = None) -> str:
        """The subnet that the lab got, as its record has it."""
        self._mine.home = self._directory / str(person)
        asked = IPv4Network(subnet) if subnet else None
        network = TOPOLOGY.network.model_copy(update={"subnet": asked})
        topology = TOPOLOGY.model_copy(update={"network": network})
        chosen = asked or request.free_subnet(self.engine.subnets(), name)
        record = store.Record(name, chosen, topology, Source("x.yml", {}))
        self._at_once()
        prepared, _ = lifecycle.up(self.engine, prepare(record), Quiet())
        assert prepared.record.subnet == store.load(name).subnet
        assert str(prepared.record.subnet) == prepared.lab.subnet
        return prepared.lab.subnet

    def _at_once(self) -> None:
        """Where all have chosen the same, before anybody has said so."""


@example([1, 1, 1, 1, 1, 1], [])
@example([1, 2, 3], [POOL[0]])
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=2, max_size=6),
    st.lists(st.sampled_from(POOL), max_size=3, unique=True),
)
def test_no_two_labs_get_the_same_subnet(people: list[int], taken: list[str]) -> None:
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        world = World(patch, Path(directory), taken)
        everybody = threading.Barrier(len(people))
        patch.setattr(world, "_at_once", everybody.wait)
        with ThreadPoolExecutor(len(people)) as pool:
            labs = [pool.submit(world.up, f"lab{n}", who) for n, who in enumerate(people)]
        got = [IPv4Network(lab.result()) for lab in labs]
        assert len(set(got)) == len(people)
        every = [*got, *map(IPv4Network, taken)]
        assert not any(one.overlaps(other) for one, other in combinations(every, 2))
        assert sorted(world.engine.subnets()) == sorted(map(str, every))
        if len(set(people)) == 1:  # then nobody even tries what another has
            tries = [method for method, _ in world.engine.calls if method == "create_network"]
            assert len(tries) == len(every)


def test_what_was_asked_for_is_refused_and_not_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where it is taken only when the network is made: then nothing of the choice is left."""
    world = World(monkeypatch, tmp_path, [])
    world.up("mine", 1)

    def quicker() -> None:
        asked = world.engine.subnets
        monkeypatch.setattr(world.engine, "subnets", list)
        world.engine.create_network(Network("other", POOL[3], "x", {LABEL: "other"}))
        assert asked()

    monkeypatch.setattr(world, "_at_once", quicker)
    with pytest.raises(SubnetTakenError) as refused:
        world.up("late", 1, POOL[3])
    assert str(refused.value) == (
        "cannot create network late-net: its subnet overlaps that of another network;"
        " set another `network.subnet` in the topology"
    )
    assert store.names() == ["mine"]
    assert not world.engine.links


def test_a_lab_whose_network_is_gone_gets_another_when_its_own_was_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World(monkeypatch, tmp_path, [])
    assert world.up("mine", 1) == POOL[0]
    world.engine.remove_network("mine-net")
    world.engine.create_network(Network("other", POOL[0], "x", {LABEL: "other"}))
    assert world.up("mine", 1) == POOL[1]
