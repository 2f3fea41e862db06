"""Why containers are replaced, and what is not shown of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labctl.engine.port import ContainerSpec, FileEntry
from labctl.planning.desired import Desired
from labctl.planning.steps import Plan, Remove, Step
from labctl.running.differences import MASK, Difference, differences
from tests.fakes.engine import FakeEngine
from tests.unit.labs import IMAGES, desired


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return desired(tmp_path, size=5)


@pytest.fixture
def fake(wanted: Desired) -> FakeEngine:
    """On which the lab is as it was before a change."""
    made = FakeEngine()
    for image in (*IMAGES.values(), "api:old"):
        made.add_image(image)
    for unit in (*wanted.holders.values(), *wanted.instances.values()):
        made.create(replace(unit.spec, labels={**unit.spec.labels, "labctl.hash": "before"}))
        made.put_files(unit.spec.name, unit.files)
    return made


def found(fake: FakeEngine, wanted: Desired, name: str, *secrets: str) -> Difference:
    step: Step = Remove(f"remove:{name}", container=name)
    [each] = differences(fake, wanted, Plan({step.id: step}), secrets)
    return each


def test_a_file_that_differs_is_shown(fake: FakeEngine, wanted: Desired) -> None:
    address = wanted.lab.nodes[0].address
    fake.put_files("small-c1-store", [FileEntry("/etc/store", f"{address} 3\n".encode())])
    each = found(fake, wanted, "small-c1-store")
    assert each.reasons == ("/etc/store differs",)
    assert each.diff[-2:] == (f"-{address} 3", f"+{address} 5")


def test_an_image_that_differs_is_named(fake: FakeEngine, wanted: Desired) -> None:
    spec: ContainerSpec = wanted.instances["c1/api"].spec
    fake.remove(spec.name)
    fake.create(replace(spec, image="api:old", labels={**spec.labels, "labctl.hash": "x"}))
    reasons = found(fake, wanted, spec.name).reasons
    assert reasons == ("image api:old is now controller:1",)


def test_what_differs_in_neither_is_a_setting(fake: FakeEngine, wanted: Desired) -> None:
    each = found(fake, wanted, "small-c1-api")
    assert each.reasons == ("its settings as a container differ",)


def test_what_goes_with_its_node_says_so(fake: FakeEngine, wanted: Desired) -> None:
    spec = wanted.instances["c1/api"].spec
    fake.remove(spec.name)
    fake.create(spec)
    fake.start("small-c1")
    fake.start(spec.name)
    assert found(fake, wanted, spec.name).reasons == ("its node is recreated",)


def test_what_is_left_over_says_so(fake: FakeEngine, wanted: Desired) -> None:
    fake.create(ContainerSpec("small-c9", "node:1", {"labctl.lab": "small"}))
    assert found(fake, wanted, "small-c9").reasons == ("it is not part of the lab any more",)


def test_secrets_are_masked_those_of_before_too(fake: FakeEngine, wanted: Desired) -> None:
    now, before = "short-one", "Zk3tYw9QmB7xVd2RfHs8LpNa"
    unit = wanted.instances["c1/store"]
    changed = replace(unit, files=(FileEntry("/etc/store", f"password = {now}\n".encode()),))
    wanted = replace(wanted, instances={**wanted.instances, "c1/store": changed})
    was = f"password = {before}\n".encode()
    fake.put_files("small-c1-store", [FileEntry("/etc/store", was)])
    each = found(fake, wanted, "small-c1-store", now)
    assert each.diff[-2:] == (f"-password = {MASK}", f"+password = {MASK}")
