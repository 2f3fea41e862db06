"""Random topologies over the shipped catalogue, and an engine on which they come up at once."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from labctl.documents.catalog import load_catalog
from labctl.documents.images import roles as image_roles
from labctl.documents.images import user_ids
from labctl.documents.shipped import data_dir
from labctl.documents.source import Source
from labctl.engine.port import ContainerSpec, ExecResult
from labctl.model.lab import Lab
from labctl.model.order import needed
from labctl.model.service import PROFILES
from labctl.model.topology import Choice, TopologyDoc
from labctl.planning.desired import Desired, build_desired
from labctl.planning.render import Renderer
from labctl.resolve.resolution import resolve
from labctl.resolve.selection import select
from labctl.running.probe import PROBER, SPEC_PATH
from labctl.state import secrets
from tests.fakes import programs
from tests.fakes.engine import FakeEngine

ROLES = ("one", "two", "three")
IMAGES = {role: f"labctl/{role}:1" for role in image_roles()}


@cache
def catalog() -> dict[str, Any]:
    """The shipped one, read once."""
    return dict(load_catalog())


@st.composite
def requests(draw: st.DrawFn) -> tuple[TopologyDoc, Choice]:
    """Roles of any services, with what these need or without; the client anywhere."""
    docs = catalog()
    names = st.sampled_from(sorted(docs))
    roles: dict[str, list[str]] = {}
    for role in ROLES[: draw(st.integers(1, 3))]:
        wanted = draw(st.lists(names, min_size=1, max_size=4, unique=True))
        roles[role] = _with_needs(wanted) if draw(st.integers(0, 9)) else wanted
    roles["client"] = ["toolbox", *draw(st.lists(names, max_size=2, unique=True))]
    # Mostly odd numbers of nodes: half of the services are clusters where a majority decides.
    count = draw(st.sampled_from([1, 3, 1, 3, 2, 5]))
    nodes: dict[str, list[str]] = {f"n{number}": [] for number in range(count)}
    for role in sorted(roles.keys() - {"client"}):
        for number in range(min(count, draw(st.sampled_from([1, 3, 1, 3, 2])))):
            nodes[f"n{number}"].append(role)
    apart = draw(st.booleans())
    client = "client" if apart else f"n{draw(st.integers(0, count - 1))}"
    nodes.setdefault(client, []).append("client")
    nodes = {name: here for name, here in nodes.items() if here}
    used = {role for here in nodes.values() for role in here}
    topology = {
        "name": "random",
        "description": "d",
        "network": {"subnet": "198.18.0.0/24"},
        "nodes": {name: {"roles": here} for name, here in nodes.items()},
        "roles": {role: list(dict.fromkeys(roles[role])) for role in roles if role in used},
        "profile": draw(st.sampled_from(PROFILES)),
    }
    listed = sorted({service for role in used for service in roles[role]})
    dropped = st.one_of(st.sampled_from(listed), names)
    choice = Choice(
        add=draw(st.dictionaries(names, st.sampled_from(sorted(used)), max_size=1)),
        drop=tuple(draw(st.lists(dropped, max_size=1))),
    )
    return TopologyDoc.model_validate(topology), choice


def _with_needs(wanted: list[str]) -> list[str]:
    found, todo = dict.fromkeys(wanted), list(wanted)
    while todo:
        for need in needed(catalog()[todo.pop()]):
            if need not in found:
                found[need] = None
                todo.append(need)
    return list(found)


def resolved(topology: TopologyDoc, choice: Choice) -> Lab:
    """The lab of a request, or InputError."""
    source = Source("random.yml")
    return resolve(select(topology, catalog(), choice, source), catalog(), source=source)


def rendered(
    lab: Lab,
    images: Mapping[str, str] = IMAGES,
    known: Mapping[str, str] = MappingProxyType({}),
) -> Desired:
    """The lab with every file rendered; ``known`` are the secrets that are not ``secret``."""
    values = {name: known.get(name, "secret") for name in secrets.wanted(lab)}
    renderer = Renderer(lab, values, user_ids(), data_dir("compose"))
    return build_desired(lab, renderer, images, ("parent", "host"))


class ReadyEngine(FakeEngine):
    """A fake engine on which jobs end well, and what runs answers when it is asked."""

    def __init__(self, desired: Desired) -> None:
        super().__init__(main=_main, program=self._prober)
        self._told: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._said: set[str] = set()
        self._wanted: set[str] = set()
        self.aim(desired)

    def aim(self, desired: Desired) -> None:
        """Answer for another lab from now on."""
        self._desired = desired
        self._units = {unit.spec.name: name for name, unit in desired.instances.items()}
        self._told, self._said, self._wanted = queue.SimpleQueue(), set(), set()
        for role, tag in desired.images.items():
            self.add_image(tag, {"labctl.image": role})

    def _answers(self, name: str) -> bool:
        unit = self._desired.instances.get(name)
        if unit is None:  # at the virtual IP
            service = self._desired.lab.services[name.partition("/")[2]]
            instances = self._desired.lab.of_service(service)
            return any(self._answers(instance.name) for instance in instances)
        box = self._boxes.get(unit.spec.name)
        return box is not None and box.status == "running"

    def _asked(self, container: str, path: str) -> list[str]:
        spec = json.loads(self.read_file(container, path) or b"{}")
        return [probe["id"] for probe in spec["probes"]]

    def _prober(
        self, engine: FakeEngine, container: str, command: Sequence[str], stdin: bytes
    ) -> ExecResult:
        if command[0] in ("rabbitmqctl", "rabbitmq-upgrade", "sh"):  # drains, or forgets
            return ExecResult(0, "", "")
        if command[0] != PROBER:
            return programs.program(engine, container, command, stdin)
        probes = {
            name: {"ready": self._answers(name), "detail": ""}
            for name in self._asked(container, command[1])
        }
        spec = json.loads(self.read_file(container, command[1]) or b"{}")
        clusters = {
            asked["service"]: {
                "service": asked["service"],
                "size": sum(
                    self._answers(f"{member['name']}/{asked['service']}")
                    for member in asked["members"]
                ),
                "members": self._parts(asked),
            }
            for asked in spec["clusters"]
        }
        return ExecResult(0, json.dumps({"probes": probes, "clusters": clusters, "vip": {}}), "")

    def _parts(self, asked: Any) -> dict[str, str]:
        """Member → its part in a replica set; the first that answers is the primary."""
        if asked["kind"] != "mongodb":
            return {}
        names = [member["name"] for member in asked["members"]]
        here = [name for name in names if self._answers(f"{name}/{asked['service']}")]
        return {name: "primary" if name == here[0] else "secondary" for name in here}

    def put_files(self, name: str, files: Any) -> None:
        super().put_files(name, files)
        if any(file.path == SPEC_PATH for file in files):
            self._wanted = set(self._asked(name, SPEC_PATH))
            for probe in self._wanted:
                self._tell(probe)

    def start(self, name: str) -> None:
        super().start(name)
        unit = self._units.get(name)
        if unit is not None:
            self._said -= {unit, f"vip/{unit.partition('/')[2]}"}
            for probe in self._wanted:
                self._tell(probe)

    def _tell(self, probe: str) -> None:
        if probe not in self._said and self._answers(probe):
            self._said.add(probe)
            self._told.put(json.dumps({"id": probe, "ready": True, "detail": ""}))

    def exec_stream(self, name: str, command: Sequence[str], *, stdin: bytes | None = None) -> Any:
        self._told, self._said = queue.SimpleQueue(), set()
        for probe in self._wanted:
            self._tell(probe)
        return _Stream(self._told)


class _Stream:
    def __init__(self, told: queue.SimpleQueue[str | None]) -> None:
        self._told = told
        self.close: Callable[[], None] = lambda: told.put(None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._told.get, None)


def _main(engine: FakeEngine, spec: ContainerSpec) -> programs.Main:
    if spec.labels.get("labctl.kind") == "job":
        return programs.Main(0)
    return programs.main(engine, spec)
