"""Bring a whole lab up, repair it, take it down: what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

import tenacity

from labctl.documents.images import user_ids
from labctl.documents.shipped import data_dir
from labctl.engine import link
from labctl.engine.port import Container, Engine
from labctl.engine.suitable import objection
from labctl.errors import EngineError, InputError, LabError, SubnetTakenError
from labctl.faults import verbs
from labctl.host.parallel import together
from labctl.images import build
from labctl.model.lab import Lab
from labctl.model.service import PROFILES, Profile
from labctl.planning import fit
from labctl.planning.desired import HASH, KIND, NODE_IMAGE, Desired, build_desired
from labctl.planning.plan import make_plan
from labctl.planning.render import Renderer
from labctl.planning.steps import Observed, Plan
from labctl.resolve.request import resolved, with_subnet
from labctl.running.execute import Executor, Report
from labctl.running.observe import Filled, observe
from labctl.running.recover import Found, Recovery, check_services, of_services
from labctl.state import paths, secrets, store

_SUBNETS_TRIED = 16
"""How many subnets to try when somebody else takes the chosen one first."""
_REMOVALS = 8
"""How many objects to remove at a time: an engine does not get faster with more."""


@dataclass(frozen=True)
class Prepared:
    """A lab ready to be planned: its record, what it should consist of, and its secrets."""

    record: store.Record
    desired: Desired
    secrets: Mapping[str, str]
    given: Mapping[str, str] = field(default_factory=dict)
    """Those of the secrets that come with the lab's data."""

    @property
    def lab(self) -> Lab:
        """The resolved lab."""
        return self.desired.lab

    @property
    def user_files(self) -> dict[str, bytes]:
        """Rendered files that the user gets as well, such as clouds.yaml: name → content."""
        found: dict[str, bytes] = {}
        for instance in self.lab.instances:
            files = {f.path: f.data for f in self.desired.instances[instance.name].files}
            for doc in instance.service.doc.files:
                if doc.handout:
                    found[doc.handout] = files[doc.path]
        return found


class Origin(Protocol):
    """Where a new lab has its data from."""

    @property
    def checkpoint(self) -> str:
        """Its name."""
        ...

    @property
    def secrets(self) -> Mapping[str, str]:
        """Secrets without which the data cannot be read."""
        ...

    def fill(self, engine: Engine, desired: Desired, note: Callable[[str], None]) -> Filled:
        """Make the lab's volumes, with their data."""
        ...


@dataclass(frozen=True)
class Change:
    """What is made anew although the lab is what it should be."""

    renew: Mapping[str, bool] = field(default_factory=dict)
    """Nodes → whether their data go, too."""
    rebuilt: Collection[str] = ()
    """Image roles whose containers are replaced as if these images had been built anew; those on
    the client node stay."""

    def seen(self, desired: Desired, observed: Observed) -> Observed:
        """What was observed, as the planner must see it for that."""
        lab = desired.lab
        made_of = {
            lab.container(instance)
            for instance in lab.instances
            if instance.service.image in self.rebuilt and instance.node != lab.client
        }
        if NODE_IMAGE in self.rebuilt:
            made_of |= {lab.holder(node) for node in lab.nodes if node != lab.client}
        containers = {
            name: replace(there, labels={**there.labels, HASH: ""}) if name in made_of else there
            for name, there in observed.containers.items()
        }
        return replace(observed, containers=containers, renew=self.renew)


def prepare(record: store.Record, given: Mapping[str, str] = MappingProxyType({})) -> Prepared:
    """Resolve and render a record. Nothing is written: new secrets are only in memory.

    ``given`` are secrets that the lab has to have.
    """
    lab = resolved(record)
    values = secrets.load_or_generate(record.directory, secrets.wanted(lab), given)
    renderer = Renderer(lab, values, user_ids(), data_dir("compose"))
    tags = build.image_tags(lab.release)
    desired = build_desired(lab, renderer, tags, link.link_names(lab.name))
    return Prepared(record, desired, values, given)


def current(name: str | None) -> Prepared:
    """The lab of that name, or the only one if ``name`` is None, as last requested."""
    return prepare(store.choose(name))


def plan(engine: Engine, prepared: Prepared) -> Plan:
    """What ``up`` would do now; nothing is changed."""
    return make_plan(prepared.desired, observe(engine, prepared.desired, ask_host=True))


def up(
    engine: Engine,
    prepared: Prepared,
    report: Report,
    renew: Mapping[str, bool] = MappingProxyType({}),
    origin: Origin | None = None,
) -> tuple[Prepared, Plan]:
    """Bring the lab into its desired state.

    Returns the lab as it was brought up, and the plan that was run, which is empty when there was
    nothing to do. The lab's subnet may have changed: if the topology sets none and somebody else
    took the chosen one first, another is chosen.

    ``renew`` are nodes to be recreated although nothing about them has changed, and whether their
    data are to go. ``origin`` is where a new lab gets its data from, instead of making them.

    Faults are healed first. One that cannot be healed is reported, and tried again at the end.
    EngineError when the engine or its machine cannot run the lab, LabError when a step fails.
    """
    _check_whole(engine, prepared.lab.name, origin)
    unhealed = _heal(engine, prepared.lab, report)
    _check_machine(engine, prepared)
    attempts = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(
            1 if prepared.record.topology.network.subnet else _SUBNETS_TRIED
        ),
        retry=tenacity.retry_if_exception_type(SubnetTakenError),
        reraise=True,
    )
    prepared, made = attempts(_up, engine, prepared, report, renew, origin)
    if unhealed:
        _heal(engine, prepared.lab, report)
    store.write_user_files(prepared.record, prepared.user_files)
    (prepared.record.directory / store.REPORTS).mkdir(exist_ok=True)
    return prepared, made


def _up(
    engine: Engine,
    prepared: Prepared,
    report: Report,
    renew: Mapping[str, bool],
    origin: Origin | None,
) -> tuple[Prepared, Plan]:
    """Choose the subnet, plan and run; the choice is undone if its network is refused."""
    name, before = prepared.lab.name, store.find(prepared.lab.name)
    if not engine.networks(name):
        prepared = _with_subnet(engine, prepared, before)
    desired = prepared.desired
    filled = None if origin is None else _fill(engine, prepared, origin, report)
    try:
        made = carry_out(engine, prepared, Change(renew), report, filled=filled)
    except SubnetTakenError:
        # Somebody with another state folder took it first. Remove our link, or the host would
        # reach our lab instead of theirs.
        link.remove_link(engine, name, *desired.link, desired.images[NODE_IMAGE])
        store.restore(name, before)
        raise
    return prepared, made


def _fill(engine: Engine, prepared: Prepared, origin: Origin, report: Report) -> Filled:
    """Give a new lab its data; when that fails, nothing is left of it."""
    name = prepared.lab.name
    try:
        with store.filling(name, origin.checkpoint):
            store.save(prepared.record)
            secrets.save(prepared.record.directory, prepared.secrets)
            return origin.fill(engine, prepared.desired, report.note)
    except (LabError, EngineError):
        down(engine, name)
        raise


def _check_whole(engine: Engine, name: str, origin: Origin | None) -> None:
    """Refuse a lab whose data were not all there, and a checkpoint for a lab that has its own."""
    half = store.half_filled(name)
    if origin is None and half is not None:
        raise LabError(
            f"lab '{name}' was not yet filled from checkpoint '{half}' when labctl was "
            f"interrupted: run 'labctl up --name {name} --from {half}' or "
            f"'labctl down --lab {name}'"
        )
    if origin is not None and half is None and (store.find(name) or exists(engine, name)):
        raise InputError(
            f"there is a lab '{name}', and a checkpoint makes a new one: choose another name with "
            f"--name, or run 'labctl down --lab {name}' first"
        )


def carry_out(
    engine: Engine,
    prepared: Prepared,
    change: Change,
    report: Report,
    *,
    recorded: bool = True,
    filled: Filled | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Plan:
    """Plan what makes a lab what it should be, and do it; returns the plan.

    Unless it is ``recorded``, the lab's record and secrets on disk stay as they are, and the next
    ``up`` undoes it. What has just been ``filled`` from a checkpoint is not looked at again.
    LabError when a step fails, or once ``stopped`` says so.
    """
    desired = prepared.desired
    seen = observe(engine, desired, ask_host=True, filled=filled)
    observed = Recovery(engine, desired, report).prepare(replace(seen, renew=change.renew))
    made = make_plan(desired, change.seen(desired, observed))
    if made.steps:
        if recorded:
            store.save(prepared.record)
            secrets.save(prepared.record.directory, prepared.secrets)
        Executor(engine, desired, made, observed.ready, report, stopped=stopped).run()
    return made


def _with_subnet(engine: Engine, prepared: Prepared, before: store.Record | None) -> Prepared:
    """The lab with a free subnet, which is recorded before another labctl can choose it."""
    with store.choosing_subnet():
        record = with_subnet(prepared.record, engine.subnets())
        store.save(replace(before or record, subnet=record.subnet))
    same = record.subnet == prepared.record.subnet
    return prepared if same else prepare(record, prepared.given)


def _heal(engine: Engine, lab: Lab, report: Report, *, ended: bool = True) -> bool:
    """Heal all faults in force and report problems; returns whether any could not be healed."""
    healing = verbs.heal_all(engine, lab, ended=ended)
    overtaken = [evidence.said for evidence in healing.done if evidence.overtaken]
    for said in (*healing.files, *overtaken, *healing.left.values()):
        report.note(said)
    return bool(healing.left)


def diagnose(
    engine: Engine, prepared: Prepared, report: Report, services: Collection[str] = ()
) -> tuple[Found, Plan]:
    """What is lost of a lab, or of these services, and what ``recover`` would do about it.

    The plan is empty as long as it depends on what a step before it has to find out. Volumes of
    members that do not run are read, by helpers; nothing is changed.
    """
    check_services(prepared.lab, services)
    desired = prepared.desired
    found = Recovery(engine, desired, report, services).foresee(
        observe(engine, desired, ask_host=True)
    )
    if any(d.stops or found.steps(d) for d in found.diagnoses):
        return found, Plan({})
    return found, of_services(make_plan(desired, found.planned()), prepared.lab, services)


def recover(
    engine: Engine, prepared: Prepared, report: Report, services: Collection[str] = ()
) -> Plan:
    """Bring back what is lost of a lab, or of these services; the plan that was run for it.

    Faults are healed first, but nothing is started by that: what faults have ended is brought back
    like any other loss. LabError when a person has to choose, and when a step fails.
    """
    lab, desired = prepared.lab, prepared.desired
    check_services(lab, services)
    _heal(engine, lab, report, ended=False)
    observed = Recovery(engine, desired, report, services).prepare(
        observe(engine, desired, ask_host=True)
    )
    made = of_services(make_plan(desired, observed), lab, services)
    if made.steps:
        own = {i.name for i in lab.instances if i.service.name in services} if services else None
        Executor(engine, desired, made, observed.ready, report, only=own).run()
    if not services:
        _heal(engine, lab, report)  # closes those that are over now
    return made


def fitting(engine: Engine, record: store.Record) -> store.Record:
    """The record with the largest profile that fits the machine, or the smallest if none does.

    An existing lab keeps its profile.
    """
    if store.find(record.name) is not None:
        return record
    profiles = [_with_profile(record, profile) for profile in reversed(PROFILES)]
    found = fit.largest(engine, (prepare(each).desired for each in profiles))
    return next(
        (r for r in profiles if found and r.choice.profile == found.lab.profile), profiles[-1]
    )


def _with_profile(record: store.Record, profile: Profile) -> store.Record:
    return replace(record, choice=record.choice.model_copy(update={"profile": profile}))


def _smaller(record: store.Record) -> Iterator[Desired]:
    """The same lab with each smaller profile, largest first."""
    own = record.choice.profile or record.topology.profile
    for profile in reversed(PROFILES[: PROFILES.index(own)]):
        yield prepare(_with_profile(record, profile)).desired


def _check_machine(engine: Engine, prepared: Prepared) -> None:
    """Raise EngineError for a lab that cannot run here, before anything is changed."""
    lab = prepared.lab
    problem = objection(engine.info())
    if problem is not None:
        raise EngineError(f"{problem.reason}: {problem.remedy}")
    if engine.networks(lab.name) and store.find(lab.name) is None:
        raise EngineError(
            f"a lab named '{lab.name}' exists on this engine, but its secrets are not in "
            f"{paths.home()}: choose another name with --name, or run "
            f"'labctl down --lab {lab.name}' first"
        )
    fit.check(engine, prepared.desired, _smaller(prepared.record))


def exists(engine: Engine, name: str) -> bool:
    """Whether the engine has any container, network or volume of a lab."""
    return bool(engine.containers(name) or engine.networks(name) or engine.volumes(name))


def down(engine: Engine, name: str) -> list[str]:
    """Remove everything with the lab's label, its link, and its state on disk.

    Needs no record: a lab is found by its label. Returns what was removed, to be shown.
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
    """An image that can remove the link: a holder's, or else any node image."""
    for container in containers:
        if container.labels.get(KIND) == "holder":
            return container.image
    images = engine.images("labctl.image=node")
    return images[0].tags[0] if images and images[0].tags else None
