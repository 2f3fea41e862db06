"""Save a lab's data as a checkpoint, and tell which labs it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network

from labctl.documents.images import user_ids
from labctl.documents.shipped import data_dir
from labctl.documents.source import Source
from labctl.engine import link
from labctl.engine.port import Engine, FileEntry, VolumeMount
from labctl.errors import EngineError, InputError, LabError
from labctl.faults import verbs
from labctl.host.parallel import together
from labctl.images import build
from labctl.model.checkpoint import Manifest, Part
from labctl.model.lab import Instance, Lab, Service
from labctl.model.topology import TopologyDoc
from labctl.planning.desired import Desired, build_desired
from labctl.planning.identity import Identity, differences, identity
from labctl.planning.kept import Kept, kept, newest_command
from labctl.planning.plan import make_plan
from labctl.planning.render import Renderer
from labctl.resolve.addresses import DEFAULT_SUBNET
from labctl.resolve.request import Request, resolved
from labctl.running import archives, lifecycle
from labctl.running.execute import Report
from labctl.running.observe import observe
from labctl.running.position import most_advanced, position
from labctl.state import checkpoints, secrets, store
from labctl.state.checkpoints import Draft

_HELPER = "pack"
_STOPS = 8
"""How many instances to stop at a time: an engine does not get faster with more."""

Note = Callable[[str], None]


# save


def save(engine: Engine, prepared: lifecycle.Prepared, name: str, report: Report) -> Manifest:
    """Save a lab that is as it should be; it is stopped in good order meanwhile, and started again.

    Hold the lab's lock, and :func:`labctl.state.checkpoints.claimed`. InputError or LabError, with
    nothing changed, when there is such a checkpoint or the lab cannot be saved now.
    """
    desired = prepared.desired
    checkpoints.unused(name)
    wanted = kept(desired)
    done = _check(engine, desired)
    key = identity_of(prepared.record)
    try:
        with checkpoints.drafting(name) as draft:
            report.note("stopping the lab in good order")
            for service_group in stopping_order(desired.lab):
                _stop(engine, desired, service_group)
            parts = _copy(engine, desired, wanted, draft, report.note)
            manifest = _manifest(prepared, key, done, parts)
            draft.complete(manifest)
    except (LabError, EngineError):
        lifecycle.up(engine, prepared, report)
        raise
    report.note("starting the lab again")
    lifecycle.up(engine, prepared, report)
    return manifest


def _check(engine: Engine, desired: Desired) -> Iterable[str]:
    """LabError unless a lab is as it should be; otherwise the jobs that are done in it."""
    lab = desired.lab.name
    if verbs.active(desired.lab):
        raise LabError(f"faults are in force in lab '{lab}': run 'labctl heal --lab {lab}' first")
    observed = observe(engine, desired, ask_host=True)
    if make_plan(desired, observed).steps:
        raise LabError(
            f"lab '{lab}' is not as it should be, so there is nothing to save: "
            f"run 'labctl up --name {lab}' first"
        )
    return sorted(observed.done.keys() & desired.jobs.keys())


def stopping_order(lab: Lab) -> list[list[Service]]:
    """The services in groups: each is stopped when all those that need it have been."""
    depth = dict.fromkeys(lab.services, 0)
    for service in reversed([*lab.services.values()]):
        for need in (need.partition("/")[0] for need in service.doc.needs):
            if need in depth:
                depth[need] = max(depth[need], depth[service.name] + 1)
    groups: list[list[Service]] = [[] for _ in range(max(depth.values()) + 1)]
    for service in lab.services.values():
        groups[depth[service.name]].append(service)
    return groups


def _stop(engine: Engine, desired: Desired, services: Iterable[Service]) -> None:
    """Stop all instances of services, but the toolbox: it has no data, and starts nothing anew."""
    lab = desired.lab
    instances = [i for service in services for i in lab.of_service(service) if i != lab.toolbox]

    def stop(instance: Instance) -> None:
        spec = desired.instances[instance.name].spec
        engine.stop(spec.name, spec.stop_seconds)

    together(stop, instances, most=_STOPS)


def _copy(
    engine: Engine, desired: Desired, wanted: Iterable[Kept], draft: Draft, note: Note
) -> list[Part]:
    """Pack the volumes in a helper of the lab's, and write the archives down."""
    lab = desired.lab.name
    sources = {each: _source(engine, desired, each) for each in wanted}
    note(f"copying {len(sources)} volumes")
    mounts = [VolumeMount(volume, f"/volumes/{each.name}") for each, volume in sources.items()]
    files = [FileEntry("/parts/.keep", b"")]
    for each in sources:
        lines = "".join(f"./{pattern}\n" for pattern in each.omit)
        files.append(FileEntry(f"/omit/{each.name}", lines.encode()))
    command = (archives.PACK, *(each.name for each in sources))
    spec = archives.helper(desired, _HELPER, command, mounts)
    parts = []
    with archives.made(engine, spec):
        engine.put_files(spec.name, files)
        archives.run(engine, spec.name, "packing the volumes failed")
        for each in sources:
            volumes = tuple(volume.removeprefix(f"{lab}-") for volume in each.volumes)
            archive = engine.fetch(spec.name, f"/parts/{each.name}.tar.gz")
            parts.append(draft.add(each.name, volumes, archive))
    return parts


def _source(engine: Engine, desired: Desired, each: Kept) -> str:
    """The volume whose data are kept for all."""
    if not each.newest:
        return each.volumes[0]
    service = desired.lab.services[each.newest]
    instances = desired.lab.of_service(service)
    command = newest_command(service)
    found = together(lambda i: position(engine, desired, i, command), instances)
    positions = {i.name: at for i, at in zip(instances, found, strict=True) if at is not None}
    chosen = most_advanced(service.name, positions)
    return each.volumes[[i.name for i in instances].index(chosen)]


def _manifest(
    prepared: lifecycle.Prepared, key: Identity, done: Iterable[str], parts: Iterable[Part]
) -> Manifest:
    record = prepared.record
    lasting = [name for name, doc in secrets.wanted(prepared.lab).items() if doc.lasting]
    return Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        lab=record.name,
        source=record.source.name,
        topology=record.topology,
        choice=record.choice,
        placed=dict(record.placed),
        identity=dict(key),
        jobs=tuple(done),
        secrets={name: prepared.secrets[name] for name in lasting},
        parts=tuple(parts),
    )


# whether it fits


def identity_of(record: store.Record) -> Identity:
    """What a recorded lab is, whatever its name, its addresses and its secrets."""
    topology = without_subnet(record.topology)
    subnet = topology.network.subnet or DEFAULT_SUBNET
    lab = resolved(replace(record, name="lab", subnet=subnet, topology=topology))
    named = {name: name for name in secrets.wanted(lab)}
    renderer = Renderer(lab, named, user_ids(), data_dir("compose"))
    tags = build.image_tags(lab.release)
    return identity(build_desired(lab, renderer, tags, link.link_names(lab.name)))


def request(manifest: Manifest, name: str | None, subnet: IPv4Network | None) -> Request:
    """A lab like the one that a checkpoint is of, elsewhere."""
    document = without_subnet(manifest.topology), Source(manifest.source, {})
    return Request(manifest.topology.name, name, subnet, manifest.choice, document)


def without_subnet(topology: TopologyDoc) -> TopologyDoc:
    """A topology that leaves the subnet to labctl, unless it names addresses."""
    network = topology.network
    addresses = [network.vip, network.host, *(node.address for node in topology.nodes.values())]
    if any(address is not None for address in addresses):
        return topology
    return topology.model_copy(update={"network": network.model_copy(update={"subnet": None})})


def check_fit(name: str, manifest: Manifest, record: store.Record) -> None:
    """InputError, which names what differs, unless a lab can go on with a checkpoint's data."""
    found = differences(manifest.identity, identity_of(record))
    if found:
        raise InputError(
            f"checkpoint '{name}' does not fit lab '{record.name}'; what differs: "
            f"{', '.join(found)}"
        )
