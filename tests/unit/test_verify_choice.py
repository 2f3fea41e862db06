"""Which steps of verify a lab has, and which are chosen."""

from __future__ import annotations

import shutil
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from labctl.documents.catalog import load_catalog
from labctl.documents.reader import load
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.model.topology import TopologyDoc
from labctl.resolve.resolution import resolve
from labctl.verify import choice

DATA = Path(__file__).parents[1] / "data"
STEPS = {
    "keystone": """
verify:
  - {name: token, description: A token, proves: [mariadb, memcached]}
  - {name: image, description: An image, function: image, needs: [token]}
""",
    "memcached": """
verify:
  - {name: cached, description: A value, after: [server, token]}
""",
    "mariadb": """
verify:
  - {name: server, description: A server, needs: [image], timeout: 90}
""",
}


@pytest.fixture
def compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(DATA / "catalogue", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for service, text in STEPS.items():
        path = tmp_path / "compose" / service / "service.yml"
        path.write_text(path.read_text() + text)
        (path.parent / "verify.py").write_text("def run(ctx): pass\n")
    return tmp_path / "compose"


def lab(compose: Path) -> Lab:
    topology = load(DATA / "topology.yml", TopologyDoc)
    return resolve(topology, load_catalog(compose), subnet=IPv4Network("198.18.0.0/24"))


def names(steps: list[choice.Step]) -> list[str]:
    return [step.name for step in steps]


def test_all_of_them_each_after_what_it_needs(compose: Path) -> None:
    chosen = names(choice.choose(lab(compose), ()))
    assert sorted(chosen) == ["cached", "image", "server", "token"]
    assert chosen.index("token") < chosen.index("image") < chosen.index("server")
    assert chosen.index("server") < chosen.index("cached")


def test_a_step_brings_what_it_needs_and_not_what_it_comes_after(compose: Path) -> None:
    there = lab(compose)
    assert names(choice.choose(there, ["server"])) == ["token", "image", "server"]
    assert names(choice.choose(there, ["cached"])) == ["cached"]


def test_a_step_whose_needs_the_lab_lacks_is_left_out(compose: Path) -> None:
    path = compose / "mariadb" / "service.yml"
    path.write_text(path.read_text().replace("needs: [image]", "needs: [cached]"))
    other = compose / "memcached" / "service.yml"
    other.write_text(other.read_text().replace("after: [server, token]", "needs: [image]"))
    there = lab(compose)
    assert set(choice.steps(there)) == {"token", "image", "cached", "server"}
    services = {name: s for name, s in there.services.items() if name != "keystone"}
    without = replace(there, services=services)
    assert set(choice.steps(without)) == set()
    with pytest.raises(InputError, match="step 'server' needs cached, which lab"):
        choice.choose(without, ["server"])


def test_a_name_that_no_step_has(compose: Path) -> None:
    there = lab(compose)
    with pytest.raises(InputError) as caught:
        choice.choose(there, ["tokn"])
    assert str(caught.value) == f"no step 'tokn' in lab '{there.name}'; did you mean 'token'?"


def test_what_proves_a_service(compose: Path) -> None:
    proofs = choice.proofs(lab(compose))
    assert proofs["keystone"] == ["token", "image"]
    assert proofs["mariadb"] == ["token", "server"]
    assert proofs["memcached"] == ["token", "cached"]


def test_what_the_program_is_told(compose: Path) -> None:
    there = lab(compose)
    spec = choice.specification(there, choice.choose(there, ["image"]), "1a2b", keep=True)
    assert spec["run"] == "1a2b"
    assert spec["keep"] is True
    assert spec["vip"] == there.vip
    assert spec["nodes"]["c1"] == there.nodes[0].address
    assert spec["services"]["keystone"]["nodes"] == [
        node.name for node in there.services["keystone"].nodes
    ]
    assert [step["name"] for step in spec["steps"]] == ["token", "image"]
    assert spec["steps"][1] == {
        "name": "image",
        "service": "keystone",
        "path": "/run/labctl/verify/keystone/verify.py",
        "function": "image",
        "needs": ("token",),
        "after": (),
        "timeout": 180,
    }


@pytest.mark.parametrize(
    ("service", "old", "new", "message"),
    [
        (
            "memcached",
            "name: cached",
            "name: server",
            "'mariadb' has a step 'server' too; rename one",
        ),
        (
            "memcached",
            "after: [server, token]",
            "after: [servr]",
            "no service has a step 'servr'; did you mean 'server'?",
        ),
        (
            "keystone",
            "proves: [mariadb, memcached]",
            "proves: [marjadb]",
            "no service 'marjadb'; did you mean 'mariadb'?",
        ),
        (
            "keystone",
            "A token, proves",
            "A token, script: verfy.py, proves",
            "no file 'verfy.py' in compose/keystone; did you mean 'verify.py'?",
        ),
        (
            "keystone",
            "A token, proves",
            "A token, needs: [server], proves",
            "is circular: ",
        ),
    ],
)
def test_steps_that_do_not_fit(
    compose: Path, service: str, old: str, new: str, message: str
) -> None:
    path = compose / service / "service.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        load_catalog(compose)
    assert message in str(caught.value)
    assert str(caught.value).startswith("compose/")
