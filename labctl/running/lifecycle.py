"""Bring a whole lab up, repair it, take it down: what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import tenacity

from labctl.documents.images import user_ids
from labctl.documents.shipped import data_dir
from labctl.engine import link
from labctl.engine.port import Container, Engine
from labctl.engine.suitable import objection
from labctl.errors import EngineError, SubnetTakenError
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
from labctl.running.observe import observe
from labctl.running.recover import recover
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


def prepare(record: store.Record, before: Prepared | None = None) -> Prepared:
    """Resolve and render a record. Nothing is written: new secrets are only in memory.

    Those of the lab ``before``, from which it is to be made, may not be on disk either.
    """
    lab = resolved(record)
    values = secrets.load_or_generate(record.directory, secrets.wanted(lab))
    if before is not None:
        values = secrets.Secrets({n: before.secrets.get(n, value) for n, value in values.items()})
    renderer = Renderer(lab, values, user_ids(), data_dir("compose"))
    tags = build.image_tags(lab.release)
    return Prepared(record, build_desired(lab, renderer, tags, link.link_names(lab.name)), values)


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
) -> tuple[Prepared, Plan]:
    """Bring the lab into its desired state.

    Returns the lab as it was brought up, and the plan that was run, which is empty when there was
    nothing to do. The lab's subnet may have changed: if the topology sets none and somebody else
    took the chosen one first, another is chosen.

    ``renew`` are nodes to be recreated although nothing about them has changed, and whether their
    data are to go.

    Faults are healed first. One that cannot be healed is reported, and tried again at the end.
    EngineError when the engine or its machine cannot run the lab, LabError when a step fails.
    """
    unhealed = _heal(engine, prepared.lab, report)
    _check_machine(engine, prepared)
    attempts = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(
            1 if prepared.record.topology.network.subnet else _SUBNETS_TRIED
        ),
        retry=tenacity.retry_if_exception_type(SubnetTakenError),
        reraise=True,
    )
    prepared, made = attempts(_up, engine, prepared, report, renew)
    if unhealed:
        _heal(engine, prepared.lab, report)
    store.write_user_files(prepared.record, prepared.user_files)
    (prepared.record.directory / store.REPORTS).mkdir(exist_ok=True)
    return prepared, made


def _up(
    engine: Engine, prepared: Prepared, report: Report, renew: Mapping[str, bool]
) -> tuple[Prepared, Plan]:
    """Choose the subnet, plan and run; the choice is undone if its network is refused."""
    name, before = prepared.lab.name, store.find(prepared.lab.name)
    if not engine.networks(name):
        prepared = _with_subnet(engine, prepared, before)
    desired = prepared.desired
    try:
        made = carry_out(engine, prepared, Change(renew), report)
    except SubnetTakenError:
        # Somebody with another state folder took it first. Remove our link, or the host would
        # reach our lab instead of theirs.
        link.remove_link(engine, name, *desired.link, desired.images[NODE_IMAGE])
        store.restore(name, before)
        raise
    return prepared, made


def carry_out(
    engine: Engine,
    prepared: Prepared,
    change: Change,
    report: Report,
    *,
    recorded: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> Plan:
    """Plan what makes a lab what it should be, and do it; returns the plan.

    Unless it is ``recorded``, the lab's record and secrets on disk stay as they are, and the next
    ``up`` undoes it. LabError when a step fails, or once ``stopped`` says so.
    """
    desired = prepared.desired
    observed = recover(engine, desired, observe(engine, desired, ask_host=True), report.note)
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
    return prepared if record.subnet == prepared.record.subnet else prepare(record)


def _heal(engine: Engine, lab: Lab, report: Report) -> bool:
    """Heal all faults in force and report problems; returns whether any could not be healed."""
    healing = verbs.heal_all(engine, lab)
    overtaken = [evidence.said for evidence in healing.done if evidence.overtaken]
    for said in (*healing.files, *overtaken, *healing.left.values()):
        report.note(said)
    return bool(healing.left)


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
