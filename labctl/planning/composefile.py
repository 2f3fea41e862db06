"""A whole lab as one Compose document, which the real ``docker compose`` accepts and starts.

labctl starts labs itself, because start order, bootstrap and readiness of clusters are its job;
this is the same lab for people and tools that use Compose. Configuration is inline
(``configs.content``, see :mod:`labctl.planning.staging`), so the file is self-contained and
includes the lab's secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labctl.engine.port import LABEL, FileEntry, VolumeMount
from labctl.engine.spec import confinement, volume_options
from labctl.model.lab import Instance, Lab, Service
from labctl.model.service import JobDoc
from labctl.planning.desired import KIND, NODE_IMAGE, Desired, Unit
from labctl.planning.staging import SERVICE as FILES
from labctl.planning.staging import Staging

Document = dict[str, Any]

_COMPOSE = "com.docker.compose."
_COMPLETED = "service_completed_successfully"


def compose(desired: Desired) -> Document:
    """The document: holders, instances and jobs as services, in the start order of ``up``."""
    writer = _Writer(desired)
    services = {unit.spec.hostname: writer.holder(unit) for unit in desired.holders.values()}
    for instance in desired.lab.instances:
        if instance.name in desired.disks:
            services[_disk(instance)] = writer.disk(instance)
        services[_service(instance)] = writer.instance(instance)
    for service in desired.lab.services.values():
        for job in service.doc.jobs:
            services[_job(service, job)] = writer.job(service, job)
    services[FILES] = writer.files()
    network = desired.network
    return {
        "name": desired.lab.name,
        "networks": {
            "lab": {
                "name": network.name,
                "driver": "macvlan",
                "internal": True,
                "driver_opts": {"parent": network.parent, "macvlan_mode": "bridge"},
                "ipam": {"config": [{"subnet": network.subnet}]},
                "labels": _labels(network.labels),
            }
        },
        "volumes": writer.volumes(),
        "configs": writer.staging.configs(),
        "services": services,
    }


def _service(instance: Instance) -> str:
    return f"{instance.node.name}-{instance.service.name}"


def _disk(instance: Instance) -> str:
    return f"{_service(instance)}-disk"


def _job(service: Service, job: JobDoc) -> str:
    return f"{service.job_node.name}-{service.name}-{job.name}"


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Our labels, without Compose's: it sets those itself."""
    return {key: value for key, value in labels.items() if not key.startswith(_COMPOSE)}


class _Writer:
    def __init__(self, desired: Desired) -> None:
        self._desired = desired
        self._lab: Lab = desired.lab
        self.staging = Staging()
        self._volumes: list[VolumeMount] = []

    def volumes(self) -> dict[str, Document]:
        """All volumes used so far, with the lab's label, so that labctl finds them too."""
        sizes = {mount.volume: mount.size for mount in self._volumes}
        return {
            name: _without_empty(
                {
                    "name": name,
                    "labels": {LABEL: self._lab.name},
                    "driver_opts": volume_options(sizes.get(name, 0)),
                }
            )
            for name in (*sizes, *self.staging.volumes)
        }

    def files(self) -> Document:
        """The one-shot container that installs the others' files."""
        name = f"{self._lab.name}-{FILES}"
        labels = {LABEL: self._lab.name, KIND: "job"}
        return self.staging.service(name, self._desired.images[NODE_IMAGE], labels)

    def holder(self, unit: Unit) -> Document:
        """A node's holder, with its address on the lab's network, host name and /etc/hosts."""
        spec = unit.spec
        assert spec.attachment is not None  # noqa: S101 - holders are attached by construction
        return {
            **self._container(unit),
            "hostname": spec.hostname,
            "extra_hosts": [f"{name}={address}" for name, address in self._lab.hosts.items()],
            "networks": {
                "lab": {
                    "ipv4_address": spec.attachment.address,
                    "mac_address": spec.attachment.mac,
                }
            },
        }

    def disk(self, instance: Instance) -> Document:
        """The container that keeps an instance's in-memory volumes mounted."""
        return {**self._container(self._desired.disks[instance.name]), "network_mode": "none"}

    def instance(self, instance: Instance) -> Document:
        """An instance in its node's namespace, started after what it needs."""
        unit, service = self._desired.instances[instance.name], instance.service
        first = instance.node == service.nodes[0]
        cluster = service.doc.cluster
        waits = self._after(service.doc.needs)
        if instance.name in self._desired.disks:
            waits |= {_disk(instance): "service_started"}
        for job in service.doc.jobs:
            if job.when == "before":
                waits |= {_job(service, job): _COMPLETED}
        if cluster is not None and cluster.start == "seed" and not first:
            seed = Instance(service.nodes[0], service)
            waits |= {_service(seed): "service_healthy"}
        if instance == self._lab.toolbox and service.name not in self._needed():
            # So the client starts in a complete lab. Also, Compose accepts that a container has
            # exited only if something waits for its success.
            waits |= {name: _COMPLETED for name in self._jobs()}
        files = [*unit.files, *(unit.bootstrap_files if first else ())]
        document = self._in_namespace(unit, instance.node.name, waits, files)
        if self._listens(instance):
            document["healthcheck"] = _health(self._desired.probes[instance.name])
        return document

    def job(self, service: Service, job: JobDoc) -> Document:
        """A one-shot container, retried until it succeeds."""
        unit = self._desired.jobs[f"{service.name}/{job.name}"]
        node = service.job_node.name
        waits = self._after(job.needs)
        seed = _service(Instance(service.nodes[0], service))
        if job.when == "seed":
            waits |= {seed: "service_healthy"}
        elif job.when in ("started", "ready"):
            condition = "service_started" if job.when == "started" else "service_healthy"
            waits |= {_service(Instance(n, service)): condition for n in service.nodes}
        document = self._in_namespace(unit, node, waits, unit.files)
        # Healthy is a weaker condition than ready, so the first attempts may fail.
        return document | {"restart": "on-failure:10"}

    def _after(self, needs: tuple[str, ...]) -> dict[str, str]:
        """The ``needs`` of a service or job in Compose: healthy instances, successful jobs."""
        waits: dict[str, str] = {}
        for need in needs:
            name, _, only = need.partition("/")
            service = self._lab.services[name]
            for job in service.doc.jobs:
                if not only or job.name == only:
                    waits[_job(service, job)] = _COMPLETED
            for node in () if only else service.nodes:
                instance = Instance(node, service)
                listens = self._listens(instance)
                waits[_service(instance)] = "service_healthy" if listens else "service_started"
        return waits

    def _listens(self, instance: Instance) -> bool:
        """Whether Compose can check its health, which is done by connecting to the instance."""
        return instance.service.doc.ready.reports is None and (
            instance.name in self._desired.probes
        )

    def _needed(self) -> set[str]:
        """Services that others, or jobs, wait for."""
        docs = [service.doc for service in self._lab.services.values()]
        needs = [need for doc in docs for need in doc.needs]
        needs += [need for doc in docs for job in doc.jobs for need in job.needs]
        return {need.partition("/")[0] for need in needs} | {
            service.name for service in self._lab.services.values() if service.doc.jobs
        }

    def _jobs(self) -> list[str]:
        return [_job(s, job) for s in self._lab.services.values() for job in s.doc.jobs]

    def _in_namespace(
        self, unit: Unit, node: str, waits: Mapping[str, str], files: Iterable[FileEntry]
    ) -> Document:
        """A container in a node's namespace, with its files and what it waits for."""
        mounts = self.staging.add(unit.spec.name, files)
        waits = {node: "service_started", **waits} | ({FILES: _COMPLETED} if mounts else {})
        document = {
            **self._container(unit),
            "network_mode": f"service:{node}",
            "depends_on": {name: {"condition": condition} for name, condition in waits.items()},
        }
        own = document.get("volumes", [])
        document["volumes"] = [*own, *(f"{volume}:{path}" for path, volume in mounts.items())]
        return _without_empty(document)

    def _container(self, unit: Unit) -> Document:
        spec = unit.spec
        self._volumes += spec.volumes
        return _without_empty(
            {
                "container_name": spec.name,
                "image": spec.image,
                "command": [_escaped(word) for word in spec.command],
                "user": spec.user,
                "labels": _labels(spec.labels),
                "cap_drop": ["ALL"],
                "cap_add": list(spec.cap_add),
                "security_opt": ["no-new-privileges:true", *confinement(spec)],
                "sysctls": dict(spec.sysctls),
                "volumes": [f"{mount.volume}:{mount.target}" for mount in spec.volumes],
                "tmpfs": [f"{path}:{options}" for path, options in spec.tmpfs.items()],
                "devices": list(spec.devices),
                "ulimits": dict(spec.ulimits),
                "environment": {k: _escaped(v) for k, v in spec.environment.items()},
                "stop_signal": spec.stop_signal,
                "stop_grace_period": f"{spec.stop_seconds}s",
                "mem_limit": spec.memory_bytes,
                "cpu_shares": spec.cpu_shares,
            }
        )


def _health(probe: Mapping[str, Any]) -> Document:
    """A health check for Compose: it runs in the container, so it only opens a connection."""
    port = next((v["port"] for v in probe.values() if isinstance(v, Mapping) and "port" in v), None)
    test = f"exec 3<>/dev/tcp/{probe['host']}/{port}"
    return {
        "test": ["CMD", "bash", "-c", test],
        "interval": "2s",
        "timeout": "2s",
        "retries": 90,
    }


def _escaped(text: str) -> str:
    """Escape ``$``, which Compose would expand."""
    return text.replace("$", "$$")


def _without_empty(document: Document) -> Document:
    return {key: value for key, value in document.items() if value not in ({}, [], "", 0)}
