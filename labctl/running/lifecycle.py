"""A lab as a whole: made, repaired, taken down. What the command line calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

from labctl.documents.images import user_ids
from labctl.documents.shipped import data_dir
from labctl.engine import link
from labctl.engine.port import Container, Engine
from labctl.errors import EngineError
from labctl.faults import verbs
from labctl.host.parallel import together
from labctl.images import build
from labctl.model.lab import Lab
from labctl.model.service import PROFILES, Profile
from labctl.planning import fit
from labctl.planning.desired import KIND, Desired, desire
from labctl.planning.plan import make_plan
from labctl.planning.render import Renderer
from labctl.planning.steps import Plan
from labctl.resolve.request import resolved
from labctl.running.execute import Executor, Report
from labctl.running.observe import observe
from labctl.running.recover import recover
from labctl.state import paths, secrets, store

_REMOVALS = 8
"""At a time: an engine does not get faster with more."""


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


def prepare(record: store.Record) -> Prepared:
    """Resolve and render a record. Nothing is written: new secrets are in memory only."""
    lab = resolved(record)
    values = secrets.draw(record.directory, secrets.wanted(lab))
    renderer = Renderer(lab, values, user_ids(), data_dir("compose"))
    tags = build.image_tags(lab.release)
    return Prepared(record, desire(lab, renderer, tags, link.link_names(lab.name)), values)


def current(name: str | None) -> Prepared:
    """The lab that a command is about, as it was last asked for."""
    return prepare(store.choose(name))


def plan(engine: Engine, prepared: Prepared) -> Plan:
    """What ``up`` would do now; nothing is touched."""
    return make_plan(prepared.desired, observe(engine, prepared.desired, ask_host=True))


def up(engine: Engine, prepared: Prepared, report: Report) -> Plan:
    """Make the lab what it should be; the plan that was run, empty when all was well."""
    record, desired = prepared.record, prepared.desired
    verbs.heal_all(engine, desired.lab)
    _check_machine(engine, prepared)
    observed = recover(engine, desired, observe(engine, desired, ask_host=True), report.note)
    made = make_plan(desired, observed)
    if made.steps:
        store.save(record)
        secrets.keep(record.directory, prepared.secrets)
        Executor(engine, desired, made, observed.ready, report).run()
    store.hand_out(record, prepared.handouts)
    (record.directory / store.REPORTS).mkdir(exist_ok=True)
    return made


def fitting(engine: Engine, record: store.Record) -> store.Record:
    """The record with the largest profile that fits the machine, if any does; else the smallest.

    A lab that is there already keeps its profile.
    """
    if store.find(record.name) is not None:
        return record
    profiles = [_with(record, profile) for profile in reversed(PROFILES)]
    found = fit.largest(engine, (prepare(each).desired for each in profiles))
    return next(
        (r for r in profiles if found and r.choice.profile == found.lab.profile), profiles[-1]
    )


def _with(record: store.Record, profile: Profile) -> store.Record:
    return replace(record, choice=record.choice.model_copy(update={"profile": profile}))


def _smaller(record: store.Record) -> Iterator[Desired]:
    """The same lab with smaller profiles, the largest first."""
    own = record.choice.profile or record.topology.profile
    for profile in reversed(PROFILES[: PROFILES.index(own)]):
        yield prepare(_with(record, profile)).desired


def _check_machine(engine: Engine, prepared: Prepared) -> None:
    """Refuse what cannot work before anything is touched."""
    lab = prepared.lab
    there = engine.networks(lab.name)
    if there and store.find(lab.name) is None:
        raise EngineError(
            f"a lab named '{lab.name}' runs on this engine, but its secrets are not in "
            f"{paths.home()}: use --name for another, or 'labctl down --lab {lab.name}' first"
        )
    fit.check(engine, prepared.desired, _smaller(prepared.record))
    if there:
        return
    wanted = IPv4Network(lab.subnet)
    for taken in engine.subnets():
        if wanted.overlaps(IPv4Network(taken)):
            raise EngineError(
                f"the subnet {lab.subnet} is taken on this engine (by {taken}): "
                "choose another with --subnet"
            )


def down(engine: Engine, name: str) -> list[str]:
    """Remove all that carries the lab's label, its link, and what is kept of it.

    Needs no record: a lab is found by its label. Returns what was removed, for people.
    """
    verbs.forget(name)
    removed: list[str] = []
    containers = engine.containers(name)
    image = _node_image(engine, containers)
    together(engine.remove, [c.name for c in containers], most=_REMOVALS)
    removed += [f"container {c.name}" for c in containers]
    for network in engine.networks(name):
        engine.remove_network(network.name)
        removed.append(f"network {network.name}")
    volumes = engine.volumes(name)
    together(engine.remove_volume, volumes, most=_REMOVALS)
    removed += [f"volume {volume}" for volume in volumes]
    if image is not None:
        parent, host_end = link.link_names(name)
        if link.remove_link(engine, name, parent, host_end, image):
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
