"""The nodes of a lab that is up: which may come, go or begin anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labctl.documents.reader import validate
from labctl.documents.source import suggestion
from labctl.engine.port import Engine
from labctl.errors import InputError
from labctl.model.lab import Lab
from labctl.model.topology import NodeDoc, TopologyDoc
from labctl.planning.desired import Desired
from labctl.state.store import Record


def known(record: Record, names: Sequence[str]) -> None:
    """InputError for a node that the lab does not have."""
    nodes = record.topology.nodes
    for name in names:
        if name not in nodes:
            raise InputError(f"lab '{record.name}' has no node '{name}'; {suggestion(name, nodes)}")


def added(record: Record, names: Sequence[str], like: str) -> Record:
    """The lab with further nodes that have the roles of another; nothing is made yet."""
    known(record, [like])
    nodes = dict(record.topology.nodes)
    for name in names:
        if name in nodes:
            raise InputError(f"lab '{record.name}' has a node '{name}' already")
        nodes[name] = NodeDoc(roles=nodes[like].roles)
    return _with_nodes(record, nodes)


def removed(record: Record, names: Sequence[str]) -> Record:
    """The lab without some of its nodes; nothing is removed yet."""
    known(record, names)
    return _with_nodes(
        record, {name: doc for name, doc in record.topology.nodes.items() if name not in names}
    )


def check_majorities(lab: Lab, names: Sequence[str]) -> None:
    """InputError when a cluster would lose its majority with these nodes, were they to go at once.

    They go one after another, and each is forgotten before the next: but should labctl be killed
    between the two, those that are left must still be able to decide.
    """
    for service in lab.services.values():
        members = [node.name for node in service.nodes]
        left = [name for name in members if name not in names]
        if service.doc.cluster is None or len(left) == len(members):
            continue
        if 2 * len(left) <= len(members):
            raise InputError(
                f"without {' and '.join(names)} {service.name} keeps {len(left)} of its "
                f"{len(members)} members, which is no majority: remove fewer nodes at a time"
            )


def drop_volumes(engine: Engine, desired: Desired, names: Sequence[str]) -> list[str]:
    """Remove the volumes of nodes that have left, so that one of that name begins without data.

    Returns their names. Volumes that the lab still uses stay.
    """
    used = {mount.volume for unit in desired.units.values() for mount in unit.spec.volumes}
    prefixes = tuple(f"{desired.lab.name}-{name}-" for name in names)
    left = [v for v in engine.volumes(desired.lab.name) if v.startswith(prefixes)]
    gone = sorted(set(left) - used)
    for volume in gone:
        engine.remove_volume(volume)
    return gone


def _with_nodes(record: Record, nodes: dict[str, NodeDoc]) -> Record:
    # Read anew, because a model that is copied is not checked.
    document = record.topology.model_dump(mode="json", exclude_unset=True)
    plain = {name: doc.model_dump(mode="json", exclude_unset=True) for name, doc in nodes.items()}
    topology = validate({**document, "nodes": plain}, TopologyDoc, record.source)
    return replace(record, topology=topology)
