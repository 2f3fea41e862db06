"""Checks names within a lab: none has two meanings, and no two things share one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from labctl.documents.source import Place, Source
from labctl.model import disk
from labctl.model.lab import Instance, Lab
from labctl.model.reserved import FILES, RESERVED

_HELPERS = ("look", "position", "lead")
"""Suffixes of the containers that work on the volumes of a cluster's stopped member."""


@dataclass(frozen=True)
class Named:
    """A name on the engine: what has it, in words, and the place in the document."""

    name: str
    what: str
    place: Place
    is_container: bool = True


def check_nodes(nodes: Collection[str], services: Collection[str], source: Source) -> None:
    """Raise InputError for a node's name that has another meaning."""
    for node in nodes:
        place = ("nodes", node)
        if node in RESERVED:
            problem = f"'{node}' is {RESERVED[node]}; give the node another name"
            raise source.error(place, problem)
        if node in services:
            problem = f"'{node}' is the name of a service; give the node another name"
            raise source.error(place, problem)


def check_distinct(lab: Lab, source: Source) -> None:
    """Raise InputError when two things of a lab would have the same name on the engine.

    Names are joined with ``-``, which they may contain too: the service ``y`` of node ``x`` would
    have the same name as a node ``x-y``.
    """
    owners: dict[str, Named] = {}
    for each in named(lab):
        other = owners.setdefault(each.name, each)
        if other.what != each.what:
            place = other.place if other.place[:1] == ("nodes",) else each.place
            problem = f"{other.what} and {each.what} would both be named '{each.name}'; rename one"
            raise source.error(place, problem)


def named(lab: Lab) -> Iterator[Named]:
    """Everything of a lab that has a name on the engine."""
    yield Named(lab.network, "the network", ("name",), is_container=False)
    yield Named(lab.records_volume, "the record of its jobs", ("name",), is_container=False)
    yield Named(f"{lab.name}-{FILES}", "the files of its Compose document", ("name",))
    for node in lab.nodes:
        yield Named(lab.holder(node), f"node {node.name}", ("nodes", node.name))
    for service in lab.services.values():
        for node in service.candidates:
            yield from _of_instance(lab, Instance(node, service))
        for job in service.doc.jobs:
            name, place = lab.job(service, job.name), ("nodes", service.job_node.name)
            yield Named(name, f"job {service.name}/{job.name}", place)
        for volume in service.doc.container.lab_volumes:
            name, what = lab.lab_volume(volume), f"the lab's volume {volume}"
            yield Named(name, what, ("name",), is_container=False)


def _of_instance(lab: Lab, instance: Instance) -> Iterator[Named]:
    node, doc, own = instance.node, instance.service.doc, lab.container(instance)
    place: Place = ("nodes", node.name)
    yield Named(own, instance.name, place)
    if disk.size(instance.service.settings):
        yield Named(lab.disk(instance), f"the disk of {instance.name}", place)
    if doc.cluster is not None or doc.recovery.position:
        for helper in _HELPERS:
            yield Named(f"{own}-{helper}", f"a helper of {instance.name}", place)
    for volume in doc.container.volumes:
        name, what = lab.volume(instance, volume), f"the volume {volume} of {instance.name}"
        yield Named(name, what, place, is_container=False)
    for volume in doc.container.node_volumes:
        name, what = lab.node_volume(node, volume), f"the volume {volume} of node {node.name}"
        yield Named(name, what, place, is_container=False)
