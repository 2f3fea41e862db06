"""Topologies that extend another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.documents.reader import load
from labctl.documents.shipped import data_dir
from labctl.documents.topologies import find, load_topology, shipped
from labctl.errors import InputError
from labctl.model.topology import TopologyDoc

BASE = """
name: base
description: d
network: {subnet: 198.18.5.0/24}
nodes: {c1: {roles: [controller]}, client: {roles: [client]}}
roles: {controller: [a, b], client: [toolbox]}
services: {a: {x: 1, y: 1}}
add: {controller: [e]}
drop: [b]
"""


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / f"{name}.yml"
    path.write_text(text)
    return path


def test_what_is_not_said_is_the_others(tmp_path: Path) -> None:
    base = write(tmp_path, "base", BASE)
    text = "name: mine\ndescription: m\nextends: base.yml\n"
    made, source = load_topology(write(tmp_path, "mine", text))
    other = load(base, TopologyDoc)
    assert made == other.model_copy(update={"name": "mine", "description": "m"})
    assert source.line(("extends",)) == 3


def test_what_is_said_is_added_or_wins(tmp_path: Path) -> None:
    write(tmp_path, "base", BASE)
    text = """
name: mine
description: m
extends: base.yml
nodes: {n1: {roles: [compute]}}
roles: {compute: [d]}
services: {a: {y: 2}, d: {z: 3}}
profile: core
add: {controller: [b]}
drop: [e, a]
"""
    made, _ = load_topology(write(tmp_path, "mine", text))
    assert list(made.nodes) == ["c1", "client", "n1"]
    assert made.roles == {"controller": ("a", "b"), "client": ("toolbox",), "compute": ("d",)}
    assert made.services == {"a": {"x": 1, "y": 2}, "d": {"z": 3}}
    assert (made.profile, made.add, made.drop) == ("core", {"controller": ("b",)}, ("e", "a"))


def test_a_shipped_one_is_named_by_its_name(tmp_path: Path) -> None:
    text = "name: mine\ndescription: m\nextends: single\ndrop: [memcached]\n"
    made, _ = load_topology(write(tmp_path, "mine", text))
    assert made.roles == load_topology(shipped()["single"])[0].roles


@pytest.mark.parametrize(
    ("extends", "said"),
    [
        ("mine.yml", "mine.yml:3: extends: is circular: mine.yml → mine.yml"),
        (
            "nothing",
            f"mine.yml:3: extends: no topology 'nothing'; allowed: {', '.join(shipped())}",
        ),
        ("absent.yml", "absent.yml: no such file"),
        ("[a]", "mine.yml:3: extends: is a list, should be text"),
    ],
)
def test_what_cannot_be_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extends: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "mine", f"name: mine\ndescription: m\nextends: {extends}\n")
    with pytest.raises(InputError) as raised:
        load_topology(Path("mine.yml"))
    assert str(raised.value) == said


def test_a_misspelt_key_of_an_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "mine", "name: mine\ndescription: m\nextends: single\ndropp: [a]\n")
    with pytest.raises(InputError, match=r"mine\.yml:4: dropp: unknown key; did you mean 'drop'"):
        load_topology(Path("mine.yml"))


def test_shipped_ones_are_found() -> None:
    assert find("single") == data_dir("topologies") / "single.yml"
