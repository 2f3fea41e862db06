"""Every scenario comes out as its document says, in a lab that has what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.chaos.document.library import load_scenario, scenarios
from labctl.model.service import PROFILES
from labctl.model.topology import ExtensionDoc
from tests.lab.command import Labctl
from tests.lab.scenario import come_out
from tests.library.conftest import Standing

DOCS = [load_scenario(path)[0] for path in scenarios().values()]
SETTINGS = [doc.name for doc in DOCS if doc.needs.settings]
"""Those that need a lab with settings of its own."""
SUPPORT = [d.name for d in DOCS if d.needs.profile == "support" and d.name not in SETTINGS]
LEFT_OUT = ("rabbit-blink", "rabbit-links-broken", "rabbit-sleeps")
"""They may leave a broker that the others do not count, which nothing but its restart mends."""
SUPPORT.sort(key=lambda name: name in LEFT_OUT)
TABLE = [doc.name for doc in DOCS if doc.name not in (*SUPPORT, *SETTINGS)]
"""Those that need more of the table than the support tier."""
DELAYED = [
    doc.name
    for doc in DOCS
    if any(fault.fault == "delay" for step in doc.timeline for fault in step.choices)
]
"""Those that need a kernel with netem."""


@pytest.fixture(scope="module")
def support(standing: Standing) -> Iterator[str]:
    """A sound lab with the support tier."""
    with standing("three-controller", "--profile", "support") as lab:
        yield lab


@pytest.fixture(scope="module")
def table(standing: Standing) -> Iterator[str]:
    """A sound lab with as much of the table as fits here."""
    with standing("three-controller", "--profile", "auto") as lab:
        yield lab


@pytest.fixture(scope="module")
def netem(labctl: Labctl) -> bool:
    """Whether the kernel has it, as the doctor says."""
    found = {check["name"]: check["ok"] for check in labctl("doctor", "--json", code=None).json}
    return bool(found["kernel: netem"])


@pytest.mark.parametrize("name", SUPPORT)
def test_of_the_support_tier(labctl: Labctl, support: str, netem: bool, name: str) -> None:
    if name in DELAYED and not netem:
        refused = labctl("chaos", "run", name, "--lab", support, code=3)
        assert "this kernel has no netem" in refused.err
        return
    come_out(labctl, support, name)


@pytest.mark.parametrize("name", SETTINGS)
def test_with_settings(labctl: Labctl, standing: Standing, tmp_path: Path, name: str) -> None:
    doc, _ = load_scenario(scenarios()[name])
    topology = ExtensionDoc(
        name=name,
        description=doc.description,
        extends="three-controller",
        profile=doc.needs.profile,
        services=doc.needs.settings,
    )
    # JSON is YAML.
    path = tmp_path / "topology.yml"
    path.write_text(topology.model_dump_json(exclude_unset=True, by_alias=True))
    with standing(str(path)) as lab:
        come_out(labctl, lab, name)


@pytest.mark.parametrize("name", TABLE)
def test_of_the_whole_table(labctl: Labctl, table: str, name: str) -> None:
    doc, _ = load_scenario(scenarios()[name])
    there = labctl.status(table)["profile"]
    if PROFILES.index(doc.needs.profile) > PROFILES.index(there):
        pytest.skip(f"{name} needs the profile {doc.needs.profile}, {there} fits here")
    come_out(labctl, table, name)
