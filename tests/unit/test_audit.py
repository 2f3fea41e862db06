"""Every right that a container has stands in docs/security.md, with its reason.

After a change of the catalogue: ``LABCTL_GOLDEN=write`` and run this again, which writes the first
table again; the reasons in the second are for a person to write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.benchmark.metering import metering
from labctl.doctor import machine
from labctl.documents.catalog import load_catalog
from labctl.documents.shipped import data_dir
from labctl.engine import link
from labctl.engine.port import ContainerSpec
from labctl.planning.desired import Desired, Unit
from labctl.running import archives
from tests.fakes import programs
from tests.fakes.engine import FakeEngine
from tests.golden.test_golden import desired
from tests.unit import labs

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
OWN_SYSCTLS = "/etc/labctl/own-sysctls"
NOTHING = "–"


class Recorder(FakeEngine):
    """Keeps what it was asked to create."""

    def __init__(self) -> None:
        super().__init__(main=self._end)
        self.specs: list[ContainerSpec] = []
        self.add_image("node:1", {"labctl.image": "node"})

    def create(self, spec: ContainerSpec) -> str:
        self.specs.append(spec)
        return super().create(spec)

    def _end(self, engine: FakeEngine, spec: ContainerSpec) -> programs.Main:
        return programs.main(engine, spec) if spec.host_network else programs.Main(0)


@pytest.fixture(scope="module")
def whole() -> Desired:
    return desired("three-controller")


@pytest.fixture(scope="module")
def containers(whole: Desired, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Unit]:
    """What each kind of container is called in the document, and one of its kind."""
    found = {"node": next(iter(whole.holders.values()))}
    disks = labs.desired(tmp_path_factory.mktemp("disk"), disk="256M").disks
    found["disk"] = next(iter(disks.values()))
    for instance in whole.lab.instances:
        found.setdefault(instance.service.name, whole.instances[instance.name])
    for name, unit in whole.jobs.items():
        found[f"job {name}"] = unit
    for name, spec in helpers(whole).items():
        found[f"helper {name}"] = Unit(spec)
    return found


def helpers(whole: Desired) -> dict[str, ContainerSpec]:
    """The short-lived containers that do something on the engine's machine."""
    made = {}
    engine = Recorder()
    link.create_link(engine, "a", "p", "h", "198.18.0.254/24", "node:1")
    made["link"] = engine.specs.pop()
    link.find_links(engine, "node:1")
    made["links"] = engine.specs.pop()
    with metering(engine, "node:1"):
        made["meter"] = engine.specs.pop()
    list(machine._kernel(engine))
    made["doctor"] = engine.specs.pop()
    made["checkpoint"] = archives.helper(whole, "pack", ("true",), ())
    return made


def user(spec: ContainerSpec, names: dict[str, str]) -> str:
    return names[spec.user.partition(":")[0]]


def mounts(unit: Unit, whole: Desired) -> Iterator[str]:
    for mount in unit.spec.volumes:
        if mount.volume.startswith(f"{whole.lab.name}-shared-"):
            yield f"lab's {mount.target}"
        elif "-shared-" in mount.volume:
            yield f"node's {mount.target}"
        else:
            yield mount.target
    for path in unit.spec.tmpfs:
        yield f"memory {path}"


def more(unit: Unit) -> Iterator[str]:
    spec = unit.spec
    yield from (f"{key}={value}" for key, value in spec.sysctls.items())
    if not spec.apparmor:
        yield "no AppArmor"
    if any(file.path == OWN_SYSCTLS for file in unit.files):
        yield "writes /proc/sys/net"
    if spec.host_pid:
        yield "host's processes"


def network(spec: ContainerSpec) -> str:
    if spec.attachment:
        return "the lab's"
    return "its node's" if spec.join else "the host's" if spec.host_network else "none"


def listed(words: Iterator[str] | tuple[str, ...]) -> str:
    return ", ".join(words) or NOTHING


def rows(containers: dict[str, Unit], whole: Desired) -> list[str]:
    users = {str(number): name for name, number in users_of_images().items()}
    return [
        " | ".join(
            (
                f"| {name}",
                user(unit.spec, users),
                listed(unit.spec.cap_add),
                listed(unit.spec.devices),
                listed(mounts(unit, whole)),
                network(unit.spec),
                f"{listed(more(unit))} |",
            )
        )
        for name, unit in containers.items()
    ]


def users_of_images() -> dict[str, int]:
    from labctl.documents.images import user_ids

    return {"root": 0, **user_ids()}


def exceptions(containers: dict[str, Unit], whole: Desired) -> set[tuple[str, str]]:
    """(container, right) of everything that is more than a process of its own user may do."""
    found: set[tuple[str, str]] = set()
    for name, unit in containers.items():
        spec = unit.spec
        rights = [*spec.cap_add, *spec.devices]
        rights += ["root"] if spec.user.startswith("0:") and not name.startswith("helper") else []
        rights += [mount for mount in mounts(unit, whole) if mount.startswith(("node's", "lab's"))]
        rights += [word for word in more(unit) if "=" not in word]
        rights += ["sysctls"] if spec.sysctls else []
        rights += ["host's network"] if spec.host_network else []
        found |= {(name, right) for right in rights}
    return found


def table(head: str) -> list[list[str]]:
    """Cells of the table in the document that begins with this first heading."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {head} |"))
    cells = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split("|")])
    return cells


def test_every_container_stands_in_the_document(
    containers: dict[str, Unit], whole: Desired
) -> None:
    assert set(load_catalog(data_dir("compose"))) <= set(containers)
    text = DOCUMENT.read_text(encoding="utf-8")
    wanted = "\n".join(rows(containers, whole))
    if os.environ.get("LABCTL_GOLDEN") == "write":
        text = re.sub(
            r"(\| container \|.*\n\|[-|]+\n)(?:\|.*\n)*", lambda m: f"{m[1]}{wanted}\n", text
        )
        DOCUMENT.write_text(text, encoding="utf-8")
    shown = [" | ".join(("| " + row[0], *row[1:])) + " |" for row in table("container")]
    assert shown == wanted.splitlines()


def test_every_right_has_a_reason(containers: dict[str, Unit], whole: Desired) -> None:
    reasons = {
        (who, right): why for right, whose, why in table("right") for who in whose.split(", ")
    }
    assert set(reasons) == exceptions(containers, whole)
    assert all(len(why.split()) > 2 for why in reasons.values())


def test_no_container_has_what_nobody_needs(containers: dict[str, Unit]) -> None:
    """Rights that reach the host whatever else is restricted."""
    never = {"SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "BPF", "MKNOD", "DAC_READ_SEARCH"}
    for name, unit in containers.items():
        if name != "helper meter":
            assert not never & set(unit.spec.cap_add), name
            assert not unit.spec.host_pid, name
            assert unit.spec.host_network == (name in ("helper link", "helper links")), name
        assert not any("/" in mount.volume for mount in unit.spec.volumes), name
