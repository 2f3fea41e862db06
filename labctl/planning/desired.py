"""Turn a resolved lab into the containers, files and probes that it should have. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from typing import Any

from labctl.engine.port import LABEL, Attachment, ContainerSpec, FileEntry, Network, VolumeMount
from labctl.model import clock, disk
from labctl.model.lab import Instance, Lab, Node, Service
from labctl.model.service import ContainerDoc, JobDoc
from labctl.model.sizes import size_bytes
from labctl.planning.render import Renderer

NODE_IMAGE = "node"
"""The image role of the holders."""

HASH = "labctl.hash"
KIND = "labctl.kind"
NODE = "labctl.node"
SERVICE = "labctl.service"
JOB = "labctl.job"
DISK = "labctl.disk"
"""Label of a disk's container: bytes of each of its volumes."""
ADDRESS = "labctl.address"
"""Label of a holder: its node's address."""
TOGETHER = "labctl.together"
"""Label of an instance: digest of what all instances of its service must agree on."""
FIXED = "labctl.fixed"
"""Label of an instance: the settings that are written into its data, as JSON."""

RECORDS = "/var/lib/labctl"
"""Where holders have the volume with the lab's records."""
NAMES = f"{RECORDS}/hosts"
"""The names of the lab's nodes. Holders make it their /etc/hosts when they start and at SIGHUP, so
that a node more touches no other."""

HOLDER_SYSCTLS = {
    # HAProxy binds the virtual IP on nodes that do not hold it.
    "net.ipv4.ip_nonlocal_bind": "1",
    # Services run unprivileged, on low ports too; the client pings without capabilities.
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
    # Unacknowledged data is retransmitted for 25 s instead of 15 min, so that clients of a peer
    # that lost power or its address switch to another soon.
    "net.ipv4.tcp_retries2": "6",
}


@dataclass(frozen=True)
class Unit:
    """One desired container: its spec, and the files copied into it before it starts."""

    spec: ContainerSpec
    files: tuple[FileEntry, ...] = ()
    bootstrap_files: tuple[FileEntry, ...] = ()
    """Copied in as well when the instance bootstraps its cluster; not part of the hash."""
    restored_files: tuple[FileEntry, ...] = ()
    """Put on its volumes when they are filled from a checkpoint; not part of the hash."""

    @property
    def hash(self) -> str:
        """Digest of its spec and files: if it has changed, the container is recreated."""
        return self.spec.labels[HASH]


@dataclass(frozen=True)
class Desired:
    """Everything that a lab consists of."""

    lab: Lab
    images: Mapping[str, str]
    """Image role → tag, for the roles that the lab uses."""
    names: str
    """What every node's /etc/hosts says."""
    network: Network
    link: tuple[str, str]
    """The veth pair's names on the engine's host: the network's parent, the host's end."""
    holders: Mapping[str, Unit]
    """Node → holder."""
    disks: Mapping[str, Unit]
    """``node/service`` → container that keeps its in-memory volumes mounted, if it has any."""
    instances: Mapping[str, Unit]
    """``node/service`` → instance."""
    jobs: Mapping[str, Unit]
    """``service/job`` → one-shot container."""
    probes: Mapping[str, Mapping[str, Any]]
    """``node/service`` or ``vip/service`` → probe as the prober reads it, with id and host."""

    @cached_property
    def units(self) -> Mapping[str, Unit]:
        """Container name → unit, of everything that the lab consists of."""
        groups = (self.holders, self.disks, self.instances, self.jobs)
        return {unit.spec.name: unit for group in groups for unit in group.values()}


def build_desired(
    lab: Lab, renderer: Renderer, images: Mapping[str, str], link: tuple[str, str]
) -> Desired:
    """Everything that a lab should consist of.

    ``images`` are tags by role; ``link`` are the names of the veth pair's ends.
    """
    network = Network(lab.network, lab.subnet, link[0], {LABEL: lab.name, **_project(lab)})
    roles = {NODE_IMAGE} | {
        role
        for service in lab.services.values()
        for role in (service.doc.image, service.image, *(job.image for job in service.doc.jobs))
        if role
    }
    agreed = {s.name: _agreed(lab, s, renderer) for s in lab.services.values()}
    return Desired(
        lab=lab,
        images={role: images[role] for role in sorted(roles)},
        names=_names(lab),
        network=network,
        link=link,
        holders={node.name: _holder(lab, node, images) for node in lab.nodes},
        disks={
            i.name: _disk(lab, i, images) for i in lab.instances if disk.size(i.service.settings)
        },
        instances={
            i.name: _instance(lab, i, renderer, images, agreed[i.service.name])
            for i in lab.instances
        },
        jobs={
            f"{service.name}/{job.name}": _job(lab, service, job, renderer, images)
            for service in lab.services.values()
            for job in service.doc.jobs
        },
        probes=_probes(lab, renderer),
    )


def _names(lab: Lab) -> str:
    own = {"localhost": "127.0.0.1", "ip6-localhost": "::1"}
    known = {**own, **lab.hosts}
    return "".join(f"{address}\t{name}\n" for name, address in known.items())


def _holder(lab: Lab, node: Node, images: Mapping[str, str]) -> Unit:
    spec = ContainerSpec(
        name=lab.holder(node),
        image=images[NODE_IMAGE],
        labels={**_labels(lab, node.name, kind="holder", node=node), ADDRESS: node.address},
        hostname=node.name,
        attachment=Attachment(lab.network, node.address, node.mac),
        cap_add=("NET_ADMIN", "NET_RAW"),
        sysctls=HOLDER_SYSCTLS,
        volumes=(VolumeMount(lab.records_volume, RECORDS),),
        stop_seconds=1,
    )
    return _hashed(spec)


def _disk(lab: Lab, instance: Instance, images: Mapping[str, str]) -> Unit:
    """A container that only keeps an instance's volumes mounted."""
    labels = _labels(
        lab, f"{instance.node.name}-{instance.service.name}-disk", "disk", instance.node
    )
    spec = ContainerSpec(
        name=lab.disk(instance),
        image=images[NODE_IMAGE],
        labels={**labels, DISK: str(disk.size(instance.service.settings))},
        # The fill fault writes as root into directories that belong to other users.
        cap_add=("DAC_OVERRIDE",),
        volumes=_own_volumes(lab, instance),
        stop_seconds=1,
    )
    return _hashed(spec)


def _instance(
    lab: Lab,
    instance: Instance,
    renderer: Renderer,
    images: Mapping[str, str],
    agreed: Mapping[str, str],
) -> Unit:
    service, doc = instance.service, instance.service.doc
    container = doc.container
    owner = renderer.uid(doc.user)
    faked = clock.faked(service.settings)
    spec = ContainerSpec(
        name=lab.container(instance),
        image=images[service.image],
        labels={
            **_labels(lab, f"{instance.node.name}-{service.name}", "instance", instance.node),
            SERVICE: service.name,
            **agreed,
        },
        command=renderer.command(doc.command, instance.node, service),
        user=f"{owner}:{owner}",
        join=lab.holder(instance.node),
        cap_add=_capabilities(container),
        apparmor=not container.network_namespaces,
        sysctls=container.sysctls,
        volumes=_volumes(lab, instance),
        tmpfs=container.tmpfs,
        devices=tuple(filter(None, renderer.command(container.devices, instance.node, service))),
        ulimits=container.ulimits,
        environment={**container.environment, **(clock.ENVIRONMENT if faked else {})},
        stop_signal=container.stop_signal,
        stop_seconds=int(container.stop_grace_period),
        memory_bytes=size_bytes(container.mem_limit) if container.mem_limit else 0,
        cpu_shares=container.cpu_shares or 0,
    )
    files = renderer.instance_files(instance)
    bootstrap = renderer.instance_files(instance, bootstrap=True)
    if faked:
        files.append(FileEntry(clock.FILE, clock.content(0)))
    restored = renderer.instance_files(instance, restored=True)
    return replace(_hashed(spec, files, bootstrap), restored_files=tuple(restored))


def _agreed(lab: Lab, service: Service, renderer: Renderer) -> dict[str, str]:
    """Labels that say what all instances of a service must agree on, and keep for good."""
    settings = {name: service.settings[name] for name in service.doc.change.together}
    agreed = [lab.vip, settings, renderer.secrets_of(service)]
    digest = hashlib.sha256(json.dumps(agreed, sort_keys=True).encode()).hexdigest()[:16]
    fixed = {name: service.settings[name] for name in service.doc.change.fixed}
    return {TOGETHER: digest, **({FIXED: json.dumps(fixed, sort_keys=True)} if fixed else {})}


def _capabilities(container: ContainerDoc) -> tuple[str, ...]:
    return (*container.cap_add, *(("SYS_ADMIN",) if container.network_namespaces else ()))


def _own_volumes(lab: Lab, instance: Instance) -> tuple[VolumeMount, ...]:
    size = disk.size(instance.service.settings)
    own = instance.service.doc.container.volumes
    return tuple(VolumeMount(lab.volume(instance, name), path, size) for name, path in own.items())


def _volumes(lab: Lab, instance: Instance) -> tuple[VolumeMount, ...]:
    container = instance.service.doc.container
    node = {
        lab.node_volume(instance.node, name): path for name, path in container.node_volumes.items()
    }
    shared = {lab.lab_volume(name): path for name, path in container.lab_volumes.items()}
    others = tuple(VolumeMount(name, path) for name, path in (node | shared).items())
    return (*_own_volumes(lab, instance), *others)


def _job(
    lab: Lab, service: Service, job: JobDoc, renderer: Renderer, images: Mapping[str, str]
) -> Unit:
    node = service.job_node
    owner = renderer.uid(job.user or service.doc.user)
    name = f"{service.name}-{job.name}"
    spec = ContainerSpec(
        name=lab.job(service, job.name),
        image=images[job.image or service.doc.image],
        labels={
            **_labels(lab, f"{node.name}-{name}", "job", node),
            SERVICE: service.name,
            JOB: job.name,
        },
        command=renderer.command(job.command, node, service),
        user=f"{owner}:{owner}",
        join=lab.holder(node),
        tmpfs=job.tmpfs,
    )
    return _hashed(spec, renderer.job_files(service, job))


def _labels(lab: Lab, service: str, kind: str, node: Node) -> dict[str, str]:
    """Our labels, and Compose's: ``docker compose -p <lab> ps|logs|exec`` work on the lab."""
    compose = {
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
    }
    return {LABEL: lab.name, KIND: kind, NODE: node.name, **_project(lab), **compose}


def _project(lab: Lab) -> dict[str, str]:
    return {"com.docker.compose.project": lab.name}


def _hashed(
    spec: ContainerSpec,
    files: list[FileEntry] | None = None,
    bootstrap: list[FileEntry] | None = None,
) -> Unit:
    value = digest(spec, files or ())
    labels = {**spec.labels, HASH: value, "com.docker.compose.config-hash": value}
    return Unit(replace(spec, labels=labels), tuple(files or ()), tuple(bootstrap or ()))


def digest(spec: ContainerSpec, files: Iterable[FileEntry]) -> str:
    """Digest of everything that a container is made of."""
    found = hashlib.sha256(json.dumps(vars(spec), sort_keys=True, default=_plain).encode())
    for entry in files:
        found.update(f"{entry.path}\0{entry.mode}\0{entry.uid}\0{entry.gid}\0".encode())
        found.update(hashlib.sha256(entry.data).digest())
    return found.hexdigest()[:16]


def _plain(value: Any) -> dict[str, Any]:
    """Convert what JSON cannot represent: a dataclass, or a mapping that is not a dict."""
    return vars(value) if is_dataclass(value) else dict(value)


def _probes(lab: Lab, renderer: Renderer) -> dict[str, Mapping[str, Any]]:
    probes: dict[str, Mapping[str, Any]] = {}
    for instance in lab.instances:
        question = renderer.probe(instance.service.doc.ready, instance.node, instance.service)
        if question:
            probes[instance.name] = {
                "id": instance.name,
                "host": instance.node.address,
                **question,
            }
    for service in lab.services.values():
        if service.doc.vip_ready is not None:
            question = renderer.probe(service.doc.vip_ready, service.nodes[0], service)
            probes[f"vip/{service.name}"] = {
                "id": f"vip/{service.name}",
                "host": lab.vip,
                **question,
            }
    return probes
