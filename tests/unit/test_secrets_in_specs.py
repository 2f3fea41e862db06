"""No secret is in what an engine tells of a container: it is in files, and only their owner's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from labctl.planning.composefile import compose
from labctl.planning.desired import Desired, Unit
from labctl.state import secrets
from tests.golden.test_golden import desired


@pytest.fixture(scope="module", params=["three-controller", "single"])
def lab(request: pytest.FixtureRequest) -> Desired:
    return desired(request.param, value)


def units(lab: Desired) -> Iterator[Unit]:
    for group in (lab.holders, lab.disks, lab.instances, lab.jobs):
        yield from group.values()


def value(name: str) -> str:
    """Of letters and digits as real ones, which no encoding changes; and in no text by chance."""
    return hashlib.sha256(name.encode()).hexdigest()


def found_in(text: str, lab: Desired) -> list[str]:
    return [name for name in secrets.wanted(lab.lab) if value(name) in text]


def test_no_secret_in_a_specification(lab: Desired) -> None:
    """User, command, environment, labels, volumes, devices, sysctls: all of it."""
    for unit in units(lab):
        assert found_in(json.dumps(asdict(unit.spec), default=dict), lab) == [], unit.spec.name


def test_no_secret_in_an_actions_commands(lab: Desired) -> None:
    """They end up in a journal and in command lines."""
    for service in lab.lab.services.values():
        for action in service.doc.actions:
            assert found_in(action.model_dump_json(), lab) == [], service.name


def test_a_file_with_a_secret_is_its_owners_alone(lab: Desired) -> None:
    used: set[str] = set()
    for unit in units(lab):
        for file in (*unit.files, *unit.bootstrap_files):
            held = found_in(file.data.decode(), lab)
            used |= set(held)
            assert not held or file.mode & 0o077 == 0, (unit.spec.name, file.path)
    assert used == set(secrets.wanted(lab.lab)), "a secret that nobody reads"


def test_no_secret_in_a_compose_service(lab: Desired) -> None:
    document = compose(lab)
    for part in ("services", "networks", "volumes"):
        assert found_in(json.dumps(document[part]), lab) == []
