"""Render a lab's files, commands and probes from the catalogue's templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from labctl.documents.templates import is_template, render_text
from labctl.engine.port import FileEntry
from labctl.errors import InputError
from labctl.model.lab import Instance, Lab, Node, Service
from labctl.model.probes import ProbeDoc, ReportsProbe
from labctl.model.service import FileDoc, JobDoc

Users = Mapping[str, int]


PROBE_KINDS = ("ping", "tcp", "http", "mysql", "redis", "mongodb")
"""The fields of ProbeDoc that are network probes."""


class Renderer:
    """Renders the files, commands and probes of one lab."""

    def __init__(self, lab: Lab, secrets: Mapping[str, str], users: Users, catalogue: Path) -> None:
        self.lab = lab
        self._secrets = secrets
        self._users = users
        self._catalogue = catalogue
        self._sources: dict[str, tuple[str, str]] = {}

    def instance_files(
        self, instance: Instance, *, bootstrap: bool = False, restored: bool = False
    ) -> list[FileEntry]:
        """An instance's files.

        Or the additional ones for when it bootstraps its cluster, or has its data from a
        checkpoint.
        """
        asked = bootstrap, restored
        docs = [f for f in instance.service.doc.files if (f.bootstrap, f.restored) == asked]
        context = self._context(instance.node, instance.service) if docs else {}
        return [self._file(doc, instance.service, context) for doc in docs]

    def job_files(self, service: Service, job: JobDoc) -> list[FileEntry]:
        """The files of a service's one-shot job, on the node where it runs."""
        context = self._context(service.job_node, service)
        return [self._file(doc, service, context, job.user) for doc in job.files]

    def command(self, command: tuple[str, ...], node: Node, service: Service) -> tuple[str, ...]:
        """A command with its templates expanded."""
        if not any(map(is_template, command)):
            return command
        context = self._context(node, service)
        name = f"compose/{service.name}/service.yml"
        return tuple(render_text(word, name, context) for word in command)

    def uid(self, user: str) -> int:
        """Numeric id of a user in the images."""
        return 0 if user == "root" else self._users[user]

    def secrets_of(self, service: Service) -> dict[str, str]:
        """The service's own secrets, by name."""
        own = f"{service.name}."
        return {name: value for name, value in self._secrets.items() if name.startswith(own)}

    def probe(self, doc: ProbeDoc, node: Node, service: Service) -> dict[str, Any]:
        """A network probe as the prober reads it: its kind and fields; empty for ``running``."""
        context = self._context(node, service)
        name = f"compose/{service.name}/service.yml"
        if doc.reports is not None:
            return {**self._reports(doc.reports, name, context), "timeout": doc.timeout}
        for kind in PROBE_KINDS:
            fields = getattr(doc, kind)
            if fields is not None:
                plain = {} if fields is True else fields.model_dump(exclude_none=True)
                return {kind: _expand(plain, name, context), "timeout": doc.timeout}
        return {}

    def _reports(
        self, doc: ReportsProbe, name: str, context: Mapping[str, object]
    ) -> dict[str, Any]:
        """A query to the database in which a control plane records which services are up.

        Empty (as for ``running``) in a lab without that control plane.
        """
        if doc.to not in self.lab.services:
            return {}
        to = self.lab.services[doc.to]
        heartbeats, database = to.doc.heartbeats, to.doc.database
        assert heartbeats is not None  # noqa: S101 - the catalogue was checked for both
        assert database is not None  # noqa: S101
        theirs = self._context(to.nodes[0], to)
        asked = _expand(heartbeats.model_dump(), f"compose/{to.name}/service.yml", theirs)
        own = _expand({"process": doc.process, "host": doc.host}, name, context)
        return {
            "host": self.lab.vip,
            "reports": {
                "port": heartbeats.port,
                "user": database.user,
                "password": self._secrets[f"{to.name}.database"],
                "query": asked["query"].strip(),
                "within": float(asked["within"]),
                **own,
            },
        }

    def _file(
        self, doc: FileDoc, service: Service, context: Mapping[str, object], user: str | None = None
    ) -> FileEntry:
        name, text = self._source(service.name, doc.template)
        if doc.template.endswith(".j2"):
            text = render_text(text, f"compose/{name}", context, self._catalogue)
        owner = self.uid(doc.user or user or service.doc.user)
        return FileEntry(doc.path, text.encode(), int(doc.mode, 8), owner, owner)

    def _source(self, service: str, template: str) -> tuple[str, str]:
        """A template's path below the catalogue and its text; read once for all instances."""
        own = f"{service}/{template}"
        if own not in self._sources:
            # If it is not in the service's directory, its path is relative to the catalogue.
            name = own if (self._catalogue / own).is_file() else template
            path = self._catalogue / name
            try:
                self._sources[own] = name, path.read_text(encoding="utf-8")
            except OSError as error:
                raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        return self._sources[own]

    def _context(self, node: Node, service: Service) -> dict[str, object]:
        context = dict(self._common)
        context["node"] = node
        context["service"] = service
        context["settings"] = service.settings
        context["seed"] = node == service.nodes[0]
        context["expand"] = self._expander(context)
        return context

    @cached_property
    def _common(self) -> dict[str, object]:
        def nodes(name: str) -> list[Node]:
            return list(self.lab.services[name].nodes) if name in self.lab.services else []

        def hosts(name: str) -> list[str]:
            return [node.address for node in nodes(name)]

        def secret(name: str) -> str:
            if name not in self._secrets:
                raise KeyError(f"secret {name!r} is not declared")
            return self._secrets[name]

        return {
            "lab": self.lab,
            "services": self.lab.services,
            "nodes": nodes,
            "hosts": hosts,
            "vip": self.lab.vip,
            "subnet": self.lab.subnet,
            "secret": secret,
        }

    def _expander(self, context: Mapping[str, object]) -> Callable[..., str]:
        """``expand(text, of=service)``: render a template from another service's data."""

        def expand(text: str, of: Service | None = None) -> str:
            if of is None:
                return render_text(text, "expand", context)
            settings = {"service": of, "settings": of.settings}
            return render_text(text, f"compose/{of.name}/service.yml", {**context, **settings})

        return expand


def _expand(value: Any, name: str, context: Mapping[str, object]) -> Any:
    if isinstance(value, str):
        return render_text(value, name, context)
    if isinstance(value, dict):
        return {key: _expand(item, name, context) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_expand(item, name, context) for item in value]
    return value
