"""A lab as a whole: made, repaired, taken down. What the command line calls."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from labctl import images, paths, secrets, store
from labctl.actions import LOG_LINES
from labctl.catalog import load_catalog
from labctl.desired import KIND, Desired, desire
from labctl.documents import load_with_source, read_yaml
from labctl.engine import link
from labctl.engine.port import Container, Engine
from labctl.errors import EngineError, InputError, LabError
from labctl.execute import Executor, Report
from labctl.faults import verbs
from labctl.model.lab import Lab
from labctl.model.topology import TopologyDoc
from labctl.observe import observe
from labctl.plan import make_plan
from labctl.recover import recover
from labctl.render import Renderer
from labctl.resolve import check_memory, resolve
from labctl.steps import Observed, Plan

POOL = IPv4Network("198.18.0.0/15")
"""RFC 2544: set aside for benchmarks, so on no LAN and no VPN; a /24 for each lab."""

DISK_TO_BUILD = 5 << 30
DISK_TO_RUN = 2 << 30


@dataclass(frozen=True)
class Request:
    """What ``up`` was asked for: a topology's name or path, and what overrides it."""

    topology: str
    name: str | None = None
    subnet: IPv4Network | None = None


@dataclass(frozen=True)
class Prepared:
    """A lab ready to be planned: its record and what it should consist of."""

    record: store.Record
    desired: Desired
    secrets: Mapping[str, str]

    @property
    def lab(self) -> Lab:
        """The resolved lab."""
        return self.desired.lab

    @property
    def handouts(self) -> dict[str, bytes]:
        """Rendered files that the person gets too: name → content."""
        found: dict[str, bytes] = {}
        for instance in self.lab.instances:
            files = {f.path: f.data for f in self.desired.instances[instance.name].files}
            for doc in instance.service.doc.files:
                if doc.handout:
                    found[doc.handout] = files[doc.path]
        return found


def topologies() -> Mapping[str, Path]:
    """Shipped topologies: name → file."""
    return {path.stem: path for path in sorted(paths.data_dir("topologies").glob("*.yml"))}


def request_record(request: Request, taken: Callable[[], Iterable[str]]) -> store.Record:
    """The record that a request comes to, the document checked before anybody is asked.

    ``taken`` answers with the subnets in use on the engine, and is asked only if one must be
    chosen.
    """
    path = Path(request.topology)
    shipped = topologies()
    if request.topology in shipped:
        path = shipped[request.topology]
    elif path.suffix not in (".yml", ".yaml") and not path.exists():
        known = ", ".join(shipped)
        raise InputError(
            f"there is no topology '{request.topology}' (shipped: {known}); "
            "name one of these or the path of a .yml file"
        )
    topology, source = load_with_source(path, TopologyDoc)
    name = request.name or topology.name
    there = store.find(name)
    if there is not None and there.topology.name != topology.name:
        raise InputError(
            f"the name '{name}' is taken by a lab of topology '{there.topology.name}': "
            f"choose another with --name, or run 'labctl down --lab {name}' first"
        )
    if request.subnet is not None:
        network = topology.network.model_copy(update={"subnet": request.subnet})
        topology = topology.model_copy(update={"network": network})
    subnet = topology.network.subnet or (there.subnet if there else None)
    provisional = subnet or next(POOL.subnets(new_prefix=24))
    resolve(topology, load_catalog(), name=name, subnet=provisional, source=source)
    return store.Record(name, subnet or free_subnet(taken()), topology, source)


def free_subnet(taken: Iterable[str]) -> IPv4Network:
    """The first /24 of the pool that no network of the engine and no recorded lab uses."""
    used = [IPv4Network(subnet) for subnet in taken]
    used += [record.subnet for record in map(store.find, store.names()) if record]
    for subnet in POOL.subnets(new_prefix=24):
        if not any(subnet.overlaps(other) for other in used):
            return subnet
    raise EngineError(f"no /24 of {POOL} is free: take a lab down first")


def prepare(record: store.Record) -> Prepared:
    """Resolve and render a record. Nothing is written: new secrets are in memory only."""
    catalogue = paths.data_dir("compose")
    lab = resolve(
        record.topology,
        load_catalog(catalogue),
        name=record.name,
        subnet=record.subnet,
        source=record.source,
    )
    values = secrets.draw(record.directory, secrets.wanted(lab))
    users = read_yaml(paths.data_dir("images") / "users.yml")
    renderer = Renderer(lab, values, users, catalogue)
    tags = images.image_tags(lab.release)
    return Prepared(record, desire(lab, renderer, tags, link.link_names(lab.name)), values)


def current(name: str | None) -> Prepared:
    """The lab that a command is about, as it was last asked for."""
    return prepare(store.choose(name))


def plan(engine: Engine, prepared: Prepared) -> Plan:
    """What ``up`` would do now; nothing is touched."""
    return make_plan(prepared.desired, observe(engine, prepared.desired))


def up(engine: Engine, prepared: Prepared, report: Report) -> Plan:
    """Make the lab what it should be; the plan that was run, empty when all was well."""
    record, desired = prepared.record, prepared.desired
    verbs.heal_all(engine, desired.lab)
    _check_machine(engine, prepared)
    observed = recover(engine, desired, observe(engine, desired), report.note)
    made = make_plan(desired, observed)
    if made.steps:
        _check_disk(engine, observed, desired)
        store.save(record)
        secrets.keep(record.directory, prepared.secrets)
        Executor(engine, desired, made, observed.ready, report).run()
        _check_running(engine, desired)
    store.hand_out(record, prepared.handouts)
    (record.directory / store.REPORTS).mkdir(exist_ok=True)
    return made


def _check_machine(engine: Engine, prepared: Prepared) -> None:
    """Refuse what cannot work before anything is touched."""
    lab = prepared.lab
    check_memory(lab, engine.info().memory)
    there = engine.networks(lab.name)
    if there and store.find(lab.name) is None:
        raise EngineError(
            f"a lab named '{lab.name}' runs on this engine, but its secrets are not in "
            f"{paths.home()}: use --name for another, or 'labctl down --lab {lab.name}' first"
        )
    if there:
        return
    wanted = IPv4Network(lab.subnet)
    for taken in engine.subnets():
        if wanted.overlaps(IPv4Network(taken)):
            raise EngineError(
                f"the subnet {lab.subnet} is taken on this engine (by {taken}): "
                "choose another with --subnet"
            )


def _check_disk(engine: Engine, observed: Observed, desired: Desired) -> None:
    """A full disk breaks databases in ways that explain nothing: look before."""
    root = Path(engine.info().root_dir)
    if not root.is_dir():
        return
    builds = set(desired.images.values()) - observed.images
    needed = DISK_TO_BUILD if builds else DISK_TO_RUN
    free = shutil.disk_usage(root).free
    if free < needed:
        raise EngineError(
            f"{root}: {free >> 20} MiB free, at least {needed >> 20} MiB needed: "
            "make room ('labctl images prune' removes images that nothing uses)"
        )


def _check_running(engine: Engine, desired: Desired) -> None:
    """After everything answered, everything must still run: some things cannot be asked."""
    there = {c.name: c for c in engine.containers(desired.lab.name)}
    for name, unit in desired.instances.items():
        container = there.get(unit.spec.name)
        if container is None or container.status != "running":
            code = container.exit_code if container else None
            log = engine.logs(unit.spec.name, LOG_LINES).rstrip() if container else ""
            raise LabError(f"{name} ended with exit code {code}; its log ends:\n{log}")


def down(engine: Engine, name: str) -> list[str]:
    """Remove all that carries the lab's label, its link, and what is kept of it.

    Needs no record: a lab is found by its label. Returns what was removed, for people.
    """
    verbs.forget(name)
    removed: list[str] = []
    containers = engine.containers(name)
    image = _node_image(engine, containers)
    _all(engine.remove, [c.name for c in containers])
    removed += [f"container {c.name}" for c in containers]
    for network in engine.networks(name):
        engine.remove_network(network.name)
        removed.append(f"network {network.name}")
    volumes = engine.volumes(name)
    _all(engine.remove_volume, volumes)
    removed += [f"volume {volume}" for volume in volumes]
    if image is not None:
        parent, host_end = link.link_names(name)
        link.remove_link(engine, name, parent, host_end, image)
        removed.append(f"link {parent}")
    store.forget(name)
    return removed


def _node_image(engine: Engine, containers: list[Container]) -> str | None:
    """An image that can remove the link: a holder's, else any node image there is."""
    for container in containers:
        if container.labels.get(KIND) == "holder":
            return container.image
    there = engine.images("labctl.image=node")
    return there[0].tags[0] if there and there[0].tags else None


def _all(remove: Callable[[str], None], names: list[str]) -> None:
    """Several removals at once: the engine waits more than it works."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(remove, names))
