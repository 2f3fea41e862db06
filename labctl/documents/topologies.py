"""Finds and loads topology documents, and merges those that extend others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from labctl.documents.reader import STDIN, exists, read_with_source, shown, validate
from labctl.documents.shipped import data_dir
from labctl.documents.source import Source, printable, suggestion
from labctl.errors import InputError
from labctl.model.topology import ExtensionDoc, OverrideDoc, TopologyDoc


def shipped() -> Mapping[str, Path]:
    """Shipped topologies: name → file."""
    return {path.stem: path for path in sorted(data_dir("topologies").glob("*.yml"))}


def find(topology: str, beside: Path = Path()) -> Path:
    """The file of a shipped topology, by name, or of another, by its path relative to ``beside``.

    ``-`` is standard input. InputError, which names the shipped ones, when it is neither.
    """
    known = shipped()
    if topology in known:
        return known[topology]
    path = beside / topology
    if path != STDIN and path.suffix not in (".yml", ".yaml") and not exists(path):
        raise InputError(
            f"there is no topology '{printable(topology)}' (shipped: {', '.join(known)}); "
            "name one of these or the path of a .yml file"
        )
    return path


def load_topology(path: Path) -> tuple[TopologyDoc, Source]:
    """A topology, merged with what it extends, and the positions in its own file."""
    return _load(path, ())


def _load(path: Path, users: tuple[Path, ...]) -> tuple[TopologyDoc, Source]:
    data, source = read_with_source(path)
    if not isinstance(data, dict) or "extends" not in data:
        return validate(data, TopologyDoc, source), source
    own = validate(data, ExtensionDoc, source)
    try:
        other = find(own.extends, _folder(path))
    except InputError:
        problem = f"no topology '{printable(own.extends)}'; {suggestion(own.extends, shipped())}"
        raise source.error(("extends",), problem) from None
    chain = (*users, path.resolve())
    if other.resolve() in chain:
        cycle = " → ".join(shown(each) for each in (*chain, other.resolve()))
        raise source.error(("extends",), f"is circular: {cycle}")
    return overridden(_load(other, chain)[0], own, own.name, own.description), source


def _folder(path: Path) -> Path:
    """Where to look for what a document extends: its directory, or here if it is from a pipe."""
    if path == STDIN or {"dev", "proc"} & set(path.absolute().parts[1:2]):
        return Path()
    return path.parent


def overridden(other: TopologyDoc, own: OverrideDoc, name: str, description: str) -> TopologyDoc:
    """``other`` overridden by ``own``; where lists are joined, those of ``own`` come first."""
    services = {
        name: {**other.services.get(name, {}), **own.services.get(name, {})}
        for name in {**other.services, **own.services}
    }
    wanted = {service for services in own.add.values() for service in services}
    add = {
        role: (*own.add.get(role, ()), *(s for s in other.add.get(role, ()) if s not in own.drop))
        for role in {**own.add, **other.add}
    }
    return TopologyDoc(
        name=name,
        description=description,
        release=other.release,
        network=own.network or other.network,
        nodes={**other.nodes, **own.nodes},
        roles={**other.roles, **own.roles},
        services=services,
        profile=own.profile or other.profile,
        add=add,
        drop=(*own.drop, *(service for service in other.drop if service not in wanted)),
    )
